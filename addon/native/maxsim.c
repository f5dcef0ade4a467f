/* MaxSim: how well the tokens of memories, and of the turns before them, cover the tokens of a question. The same as compare() in
   npu_memory_server/retrieval/maxsim.py, to the last bit: the tokens of a question are rounded to 16 bits, those of memories have 8,
   so that products and their sums are whole numbers below 2^24, which numpy computes exactly in float32. */
#include "cover.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
  TURNS = 3,
  MOST_TOKENS = 1 << 12,
  MOST_MEMORIES = 1 << 16,
  UNKNOWN = -1,
  NONE = -1,
  MEMORY_SCALE = 127,
  QUESTION_SCALE = 127 * 256,
  UNCOVERED = -MEMORY_SCALE * QUESTION_SCALE,
};

enum { DONE = 0, OUT_OF_RANGE = -1, OUT_OF_MEMORY = -2 };

/* What a question asks; the same fields in the same order are in npu_memory_server/native/maxsim.py. */
struct maxsim {
  const int8_t *kept;      /* [kept_tokens][REDUCED], each of length MEMORY_SCALE */
  const int32_t *spans;    /* [known_rows][2]: where the tokens of a row begin (UNKNOWN if not kept), and how many */
  const float *tokens;     /* [question_tokens][REDUCED], each of length 1 */
  const float *importance; /* [question_tokens] */
  const int64_t *rows;     /* [TURNS][memories]: each memory, the turn before it, the one before that; or NONE */
  const float *shares;     /* [TURNS - 1][memories]: what the cosines of the turns before count */
  float *scores;           /* [memories]: the answer */
  int64_t *missing;        /* [TURNS * memories]: or the rows that are not kept */
  int64_t kept_tokens;
  int64_t known_rows;
  int64_t question_tokens;
  int64_t memories;
};

/* To the nearest whole number, halves to the even one: a float of 1.5 * 2^23 has no room for a fraction. */
static void round_tokens(const float *tokens, int64_t count, int16_t *rounded) {
  const float whole = 12582912.0f, most = QUESTION_SCALE;
  for (int64_t place = 0; place < count; place++) {
    float value = tokens[place] * most;
    value = value < most ? value : most;
    value = value > -most ? value : -most;
    rounded[place] = (int16_t)(value + whole - whole);
  }
}

/* Gives each row that is needed one place in `memories`, the same to those that are the same; returns how many there are. */
static int64_t find_places(const struct maxsim *asked, struct memory *memories, int32_t *places, int32_t *table,
    uint64_t table_mask) {
  int64_t found = 0;
  memset(table, 0xff, (size_t)(table_mask + 1) * sizeof *table);
  for (int64_t place = 0; place < TURNS * asked->memories; place++) {
    int64_t row = asked->rows[place];
    places[place] = NONE;
    if (row == NONE)
      continue;
    uint64_t at = ((uint64_t)row * 0x9e3779b97f4a7c15u >> 32) & table_mask;
    while (table[at] != NONE && memories[table[at]].row != row)
      at = (at + 1) & table_mask;
    if (table[at] == NONE) {
      __builtin_prefetch(asked->spans + 2 * row);
      memories[found].row = row;
      table[at] = (int32_t)found++;
    }
    places[place] = table[at];
  }
  return found;
}

/* Returns how many of the memories are not kept, or OUT_OF_RANGE. */
static int64_t find_tokens(const struct maxsim *asked, struct memory *memories, int64_t count) {
  int64_t missing = 0;
  for (int64_t place = 0; place < count; place++) {
    const int32_t *span = asked->spans + 2 * memories[place].row;
    if (span[0] == UNKNOWN) {
      asked->missing[missing++] = memories[place].row;
      continue;
    }
    if (span[0] < 0 || span[1] < 0 || (int64_t)span[0] + span[1] > asked->kept_tokens)
      return OUT_OF_RANGE;
    memories[place].tokens = asked->kept + (int64_t)span[0] * REDUCED;
    memories[place].count = span[1];
  }
  return missing;
}

/* The best cosines of the memories and of the turns before them, weighed, into the scores. A memory without tokens gets the
   lowest score of the others. */
static void weigh(const struct maxsim *asked, const struct memory *memories, const int32_t *places, const int32_t *best) {
  int64_t tokens = asked->question_tokens;
  const float unit = 1.0f / (MEMORY_SCALE * QUESTION_SCALE);
  float lowest = INFINITY;
  for (int64_t one = 0; one < asked->memories; one++) {
    double score = 0;
    if (places[one] == NONE || !memories[places[one]].count)
      continue;
    for (int64_t token = 0; token < tokens; token++) {
      float highest = (float)best[places[one] * tokens + token] * unit;
      for (int64_t turn = 1; turn < TURNS; turn++) {
        int32_t place = places[turn * asked->memories + one];
        float cosine = place == NONE ? -1.0f : (float)best[place * tokens + token] * unit;
        if (cosine > 0)
          cosine *= asked->shares[(turn - 1) * asked->memories + one];
        highest = cosine > highest ? cosine : highest;
      }
      score += (double)highest * asked->importance[token];
    }
    asked->scores[one] = (float)score;
    lowest = asked->scores[one] < lowest ? asked->scores[one] : lowest;
  }
  for (int64_t one = 0; one < asked->memories; one++)
    if (places[one] == NONE || !memories[places[one]].count)
      asked->scores[one] = lowest < INFINITY ? lowest : 0;
}

static int64_t score(const struct maxsim *asked, int16_t *rounded, int16_t *prepared, int32_t *best, struct memory *memories,
    int32_t *places, int32_t *table, uint64_t table_mask) {
  int64_t count = find_places(asked, memories, places, table, table_mask);
  int64_t missing = find_tokens(asked, memories, count);
  if (missing)
    return missing;
  const struct processor *using = processor();
  int64_t tokens = asked->question_tokens;
  memories[count] = (struct memory){NONE, asked->kept, 0};
  fetch_ahead(&memories[0], 0, memories[0].count);
  round_tokens(asked->tokens, tokens * REDUCED, rounded);
  for (int64_t token = 0; token < tokens; token++)
    using->prepare(rounded + token * REDUCED, prepared + token * REDUCED);
  for (int64_t place = 0; place < count * tokens; place++)
    best[place] = UNCOVERED;
  for (int64_t place = 0; place < count; place++)
    using->cover(prepared, tokens, &memories[place], &memories[place + 1], best + place * tokens);
  weigh(asked, memories, places, best);
  return DONE;
}

/* Returns DONE; how many of the rows are not kept, whose scores then are not computed; or an error. */
EXPORTED int64_t maxsim_scores(const struct maxsim *asked) {
  int64_t memories = asked->memories, tokens = asked->question_tokens;
  if (memories < 0 || memories > MOST_MEMORIES || tokens < 0 || tokens > MOST_TOKENS)
    return OUT_OF_RANGE;
  for (int64_t place = 0; place < TURNS * memories; place++)
    if (asked->rows[place] != NONE && (asked->rows[place] < 0 || asked->rows[place] >= asked->known_rows))
      return OUT_OF_RANGE;
  uint64_t table_mask = 63;
  while (table_mask < (uint64_t)(2 * TURNS * memories))
    table_mask = 2 * table_mask + 1;
  size_t rows = (size_t)(TURNS * memories);
  size_t of_memories = (rows + 1) * sizeof(struct memory), of_best = rows * (size_t)tokens * sizeof(int32_t);
  size_t of_question = (size_t)tokens * REDUCED * sizeof(int16_t);
  size_t of_places = rows * sizeof(int32_t), of_table = (size_t)(table_mask + 1) * sizeof(int32_t);
  char *room = malloc(2 * of_question + of_memories + of_best + of_places + of_table);
  if (!room)
    return OUT_OF_MEMORY;
  char *best = room + 2 * of_question + of_memories, *places = best + of_best;
  int64_t done = score(asked, (int16_t *)room, (int16_t *)(room + of_question), (int32_t *)best,
      (struct memory *)(room + 2 * of_question), (int32_t *)places, (int32_t *)(places + of_places), table_mask);
  free(room);
  return done;
}
