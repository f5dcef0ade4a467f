/* The vectors of a large memory, in cells of their like: which ones a question looks at, which of these seem nearest, and how near they
   are. What it has to do is retrieval/cells.py's; retrieval/scanning.py does the same in numpy.

   Nothing here allocates, and nothing is written but what is handed over for it. Sizes and starts were checked when the table was made;
   every row and cell that is read from memory is checked here. */
#include <math.h>
#include <stddef.h>

#include "kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

/* The arrays of an index, C-contiguous. Cell i has those of the saved vectors from starts[i] to starts[i + 1]; a place is a number among
   the saved ones and then the newer ones, and place_of[row] is negative where a row has no vector. */
struct cells {
  int64_t dimensions, reduced, cells, saved, newer, rows;
  const int8_t *centers;       /* [cells, dimensions] */
  const float *basis;          /* [dimensions, reduced] */
  const int64_t *starts;       /* [cells + 1] */
  const int64_t *held;         /* [cells]: how many a cell has, newer ones too */
  const uint32_t *row_of;      /* [saved] */
  const int8_t *codes;         /* [saved, dimensions] */
  const float *scales;         /* [saved] */
  const int8_t *coarse;        /* [saved, reduced] */
  const uint32_t *new_row_of;  /* [newer] */
  const uint16_t *new_cell_of; /* [newer] */
  const int8_t *new_codes;     /* [newer, dimensions] */
  const float *new_scales;     /* [newer] */
  const int8_t *new_coarse;    /* [newer, reduced] */
  const int32_t *place_of;     /* [rows] */
};

/* What a question has looked at: `stretches` of the saved vectors, then `recent` of the newer ones. */
struct seen {
  int64_t total, stretches, recent;
  int8_t *toward;        /* [dimensions]: the question, for the centers */
  double *projected;     /* [reduced] */
  int8_t *aim;           /* [reduced]: the question, for the coarse codes */
  int32_t *cell_scores;  /* [cells] */
  uint8_t *chosen;       /* [cells] */
  int64_t *firsts;       /* [cells]: where a stretch begins */
  int64_t *lasts;        /* [cells]: where it ends */
  int32_t *new_places;   /* [newer]: which of the newer ones */
  int32_t *scores;       /* [saved + newer]: of those looked at, in their order */
  int32_t *peaks;        /* [(saved + newer) / BLOCK + 1]: the best of each block of scores */
  int32_t *picked;       /* [saved + newer]: which of those looked at may be among the best */
  int32_t *picked_scores; /* [saved + newer] */
  float *cosines;         /* [saved + newer] */
  uint64_t *keys;         /* [2, saved + newer] */
};

enum { FULL = 127, BUCKETS = 512, AT_ONCE = 8, AHEAD = 8, LINE = 64, BLOCK = 16, SUMS = 64 };

static int32_t inner_plain(const int8_t *codes, const int8_t *aim, int64_t width) {
  int32_t sum = 0;
  for (int64_t i = 0; i < width; i++) sum += codes[i] * aim[i];
  return sum;
}

#if defined(__x86_64__)
#define FOLDED(name, attributes)                                                                                                     \
  attributes static inline __m256i name(const __m256i *sums) {                                                                       \
    __m256i low = _mm256_hadd_epi32(_mm256_hadd_epi32(sums[0], sums[1]), _mm256_hadd_epi32(sums[2], sums[3]));                       \
    __m256i high = _mm256_hadd_epi32(_mm256_hadd_epi32(sums[4], sums[5]), _mm256_hadd_epi32(sums[6], sums[7]));                      \
    return _mm256_add_epi32(_mm256_permute2x128_si256(low, high, 0x20), _mm256_permute2x128_si256(low, high, 0x31));                 \
  }
/* Eight times eight sums, each eight added up. */
FOLDED(folded_avx2, FOR_AVX2)
FOLDED(folded_avx512, FOR_AVX512)

/* Products of the absolute values with the signs moved to the other side: two of 127 * 128 stay within 16 bits. */
FOR_AVX2 static void inner8_avx2(const int8_t *codes, const int8_t *aim, int64_t width, int32_t *scores) {
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i sums[AT_ONCE] = {0};
  for (int64_t at = 0; at < width; at += 32) {
    __m256i toward = _mm256_loadu_si256((const __m256i *)(aim + at)), size = _mm256_abs_epi8(toward);
    for (int row = 0; row < AT_ONCE; row++) {
      __m256i code = _mm256_loadu_si256((const __m256i *)(codes + row * width + at));
      __m256i pairs = _mm256_maddubs_epi16(size, _mm256_sign_epi8(code, toward));
      sums[row] = _mm256_add_epi32(sums[row], _mm256_madd_epi16(pairs, ones));
    }
  }
  _mm256_storeu_si256((__m256i *)scores, folded_avx2(sums));
}

/* The instruction multiplies unsigned by signed: 128 is added to the codes, and what that adds is taken away again. */
FOR_AVX512 static void inner8_avx512(const int8_t *codes, const int8_t *aim, int64_t width, int32_t *scores) {
  const __m256i flip = _mm256_set1_epi8((char)0x80);
  __m256i sums[AT_ONCE] = {0}, added = _mm256_setzero_si256();
  for (int64_t at = 0; at < width; at += 32) {
    __m256i toward = _mm256_loadu_si256((const __m256i *)(aim + at));
    added = _mm256_dpbusd_epi32(added, flip, toward);
    for (int row = 0; row < AT_ONCE; row++) {
      __m256i code = _mm256_loadu_si256((const __m256i *)(codes + row * width + at));
      sums[row] = _mm256_dpbusd_epi32(sums[row], _mm256_xor_si256(code, flip), toward);
    }
  }
  for (int row = 0; row < AT_ONCE; row++) sums[row] = _mm256_sub_epi32(sums[row], added);
  _mm256_storeu_si256((__m256i *)scores, folded_avx512(sums));
}
#elif defined(__aarch64__)
FOR_DOTPROD static void inner8_dotprod(const int8_t *codes, const int8_t *aim, int64_t width, int32_t *scores) {
  int32x4_t sums[AT_ONCE];
  for (int row = 0; row < AT_ONCE; row++) sums[row] = vdupq_n_s32(0);
  for (int64_t at = 0; at < width; at += 16) {
    int8x16_t toward = vld1q_s8(aim + at);
    for (int row = 0; row < AT_ONCE; row++) sums[row] = vdotq_s32(sums[row], vld1q_s8(codes + row * width + at), toward);
  }
  for (int row = 0; row < AT_ONCE; row += 4)
    vst1q_s32(scores + row, vpaddq_s32(vpaddq_s32(sums[row], sums[row + 1]), vpaddq_s32(sums[row + 2], sums[row + 3])));
}
#endif

/* Writes the inner products of eight codes, int8 [8, width], with an aim. */
static inline void inner8(const int8_t *codes, const int8_t *aim, int64_t width, int32_t *scores) {
#if defined(__x86_64__)
  if (kernels_level == AVX512 && width % 32 == 0) return inner8_avx512(codes, aim, width, scores);
  if (kernels_level >= AVX2 && width % 32 == 0) return inner8_avx2(codes, aim, width, scores);
#elif defined(__aarch64__)
  if (kernels_level == DOTPROD && width % 16 == 0) return inner8_dotprod(codes, aim, width, scores);
#endif
  for (int row = 0; row < AT_ONCE; row++) scores[row] = inner_plain(codes + row * width, aim, width);
}

static inline void prefetch(const void *start, int64_t bytes) {
  for (int64_t at = 0; at < bytes; at += LINE) __builtin_prefetch((const char *)start + at);
}

/* Writes the inner products of codes, int8 [count, width]; what will be wanted `next`, int8 [next_count, width], is fetched meanwhile. */
static void inner(const int8_t *codes, int64_t count, const int8_t *aim, int64_t width, int32_t *scores, const int8_t *next,
                  int64_t next_count) {
  const int64_t block = AT_ONCE * width;
  int64_t row = 0;
  for (; row + AT_ONCE <= count; row += AT_ONCE) {
    int64_t ahead = row + AHEAD * AT_ONCE;
    if (ahead < count)
      prefetch(codes + ahead * width, block);
    else if (ahead - count < next_count)
      prefetch(next + (ahead - count) * width, block);
    inner8(codes + row * width, aim, width, scores + row);
  }
  if (row < count && count >= AT_ONCE) return inner8(codes + (count - AT_ONCE) * width, aim, width, scores + count - AT_ONCE);
  for (; row < count; row++) scores[row] = inner_plain(codes + row * width, aim, width);
}

static inline __attribute__((always_inline)) int32_t threshold_body(const int32_t *scores, const int64_t *weights, int64_t count,
                                                                    int64_t wanted, int64_t *above) {
  int32_t low = scores[0], high = scores[0];
  int64_t over = 0;
  for (int64_t i = 1; i < count; i++) {
    low = scores[i] < low ? scores[i] : low;
    high = scores[i] > high ? scores[i] : high;
  }
  while (high > low) {
    int64_t buckets[BUCKETS] = {0}, range = (int64_t)high - low;
    int shift = 0;
    while (range >> shift >= BUCKETS) shift++;
    for (int64_t i = 0; i < count; i++)
      if (scores[i] >= low && scores[i] <= high) buckets[((int64_t)scores[i] - low) >> shift] += weights ? weights[i] : 1;
    int64_t bucket = range >> shift;
    while (bucket > 0 && over + buckets[bucket] < wanted) over += buckets[bucket--];
    int64_t least = low + (bucket << shift), most = least + ((int64_t)1 << shift) - 1;
    low = (int32_t)least;
    if (most < high) high = (int32_t)most;
  }
  *above = over;
  return low;
}

/* Returns the largest score of which at least `wanted` are there with all above it, and writes how much there is above it. A score counts
   as often as its weight says, or once without weights. If there are fewer it returns the smallest score there is. */
FOR_EACH_LEVEL(static int32_t, threshold, threshold_body,
               (const int32_t *scores, const int64_t *weights, int64_t count, int64_t wanted, int64_t *above),
               (scores, weights, count, wanted, above))

/* Writes which of the scores may be among the `kept` best, and these scores: all that are as good as the kept-th of the best of each
   block, and that are at least `kept`. Returns how many. */
static inline __attribute__((always_inline)) int64_t picked_body(const struct seen *seen, int64_t kept) {
  const int64_t total = seen->total, blocks = (total + BLOCK - 1) / BLOCK;
  int32_t least = INT32_MIN;
  for (int64_t block = 0; block < blocks; block++) {
    const int32_t *scores = seen->scores + block * BLOCK;
    int64_t size = total - block * BLOCK;
    int32_t peak = scores[0];
    if (size >= BLOCK)
      for (int i = 1; i < BLOCK; i++) peak = scores[i] > peak ? scores[i] : peak;
    else
      for (int i = 1; i < size; i++) peak = scores[i] > peak ? scores[i] : peak;
    seen->peaks[block] = peak;
  }
  if (blocks > kept) {
    int64_t above;
    least = threshold_body(seen->peaks, NULL, blocks, kept, &above);
  }
  int64_t found = 0;
  for (int64_t block = 0; block < blocks; block++) {
    if (seen->peaks[block] < least) continue;
    int64_t end = (block + 1) * BLOCK < total ? (block + 1) * BLOCK : total;
    for (int64_t at = block * BLOCK; at < end; at++) {
      int32_t score = seen->scores[at];
      seen->picked[found] = (int32_t)at;
      seen->picked_scores[found] = score;
      found += score >= least;
    }
  }
  return found;
}
FOR_EACH_LEVEL(static int64_t, picked, picked_body, (const struct seen *seen, int64_t kept), (seen, kept))

static inline __attribute__((always_inline)) void project_body(const struct cells *table, const float *query, double *projected) {
  for (int64_t j = 0; j < table->reduced; j++) projected[j] = 0;
  for (int64_t i = 0; i < table->dimensions; i++)
    for (int64_t j = 0; j < table->reduced; j++) projected[j] += (double)query[i] * (double)table->basis[i * table->reduced + j];
}
FOR_EACH_LEVEL(static void, project, project_body, (const struct cells *table, const float *query, double *projected),
               (table, query, projected))

/* Writes what the question points at in int8, in all dimensions and in the directions of the basis. */
static void aims(const struct cells *table, struct seen *seen, const float *query) {
  float widest = 0;
  for (int64_t i = 0; i < table->dimensions; i++) widest = fabsf(query[i]) > widest ? fabsf(query[i]) : widest;
  float scale = (float)(FULL / fmax(widest, 1e-9));
  for (int64_t i = 0; i < table->dimensions; i++) seen->toward[i] = (int8_t)lrintf(query[i] * scale);
  project(table, query, seen->projected);
  double most = 1e-9;
  for (int64_t j = 0; j < table->reduced; j++) most = fmax(fabs(seen->projected[j]), most);
  for (int64_t j = 0; j < table->reduced; j++) seen->aim[j] = (int8_t)lrint(seen->projected[j] * (FULL / most));
}

/* Marks the nearest cells that have `count` vectors between them; all if there are fewer. */
static void choose(const struct cells *table, struct seen *seen, int64_t count) {
  inner(table->centers, table->cells, seen->toward, table->dimensions, seen->cell_scores, NULL, 0);
  int64_t has;
  int32_t least = threshold(seen->cell_scores, table->held, table->cells, count, &has);
  for (int64_t cell = 0; cell < table->cells; cell++) {
    int32_t score = seen->cell_scores[cell];
    seen->chosen[cell] = score > least || (score == least && has < count);
    if (score == least) has += table->held[cell];
  }
}

/* Looks at about `count` vectors for a question, finite float [dimensions]. Returns how many it were. */
EXPORTED int64_t cells_look(const struct cells *table, struct seen *seen, const float *query, int64_t count) {
  seen->total = seen->stretches = seen->recent = 0;
  if (table->cells < 1) return 0;
  aims(table, seen, query);
  choose(table, seen, count);
  for (int64_t cell = 0; cell < table->cells; cell++) {
    if (!seen->chosen[cell] || table->starts[cell] == table->starts[cell + 1]) continue;
    if (seen->stretches && seen->lasts[seen->stretches - 1] == table->starts[cell]) {
      seen->lasts[seen->stretches - 1] = table->starts[cell + 1];
    } else {
      seen->firsts[seen->stretches] = table->starts[cell];
      seen->lasts[seen->stretches++] = table->starts[cell + 1];
    }
  }
  for (int64_t i = 0; i < seen->stretches; i++) {
    int64_t first = seen->firsts[i], size = seen->lasts[i] - first, next = i + 1 < seen->stretches ? i + 1 : i;
    inner(table->coarse + first * table->reduced, size, seen->aim, table->reduced, seen->scores + seen->total,
          table->coarse + seen->firsts[next] * table->reduced, seen->lasts[next] - seen->firsts[next]);
    seen->total += size;
  }
  for (int64_t i = 0; i < table->newer; i++)
    if (table->new_cell_of[i] < table->cells && seen->chosen[table->new_cell_of[i]]) {
      seen->new_places[seen->recent++] = (int32_t)i;
      seen->scores[seen->total++] = inner_plain(table->new_coarse + i * table->reduced, seen->aim, table->reduced);
    }
  return seen->total;
}

static int64_t row_at(const struct cells *table, int64_t place) {
  return place < table->saved ? table->row_of[place] : table->new_row_of[place - table->saved];
}

/* Writes the rows of the `kept` vectors that seem nearest of what was looked at, and how near they seem, in the order of their places;
   without those that are no longer where they were. Returns how many, at most `kept`. */
EXPORTED int64_t cells_best(const struct cells *table, const struct seen *seen, int64_t kept, int64_t *rows, int32_t *scores) {
  if (seen->total < 1 || kept < 1) return 0;
  int64_t above, found = 0, present = 0, stretch = 0, begin = 0;
  int64_t candidates = picked(seen, kept);
  int32_t least = threshold(seen->picked_scores, NULL, candidates, kept, &above);
  int64_t ties = kept - above;
  for (int64_t i = 0; i < candidates; i++) {
    int32_t score = seen->picked_scores[i];
    if (score < least || (score == least && --ties < 0)) continue;
    int64_t at = seen->picked[i], place;
    while (stretch < seen->stretches && at - begin >= seen->lasts[stretch] - seen->firsts[stretch]) {
      begin += seen->lasts[stretch] - seen->firsts[stretch];
      stretch++;
    }
    if (stretch < seen->stretches) {
      place = seen->firsts[stretch] + at - begin;
      __builtin_prefetch(table->row_of + place);
    } else {
      place = table->saved + seen->new_places[at - begin];
    }
    rows[found] = place;
    scores[found++] = score;
  }
  for (int64_t i = 0; i < found; i++) {
    int64_t row = row_at(table, rows[i]);
    if (row < table->rows) __builtin_prefetch(table->place_of + row);
  }
  for (int64_t i = 0; i < found; i++) {
    int64_t place = rows[i], row = row_at(table, place);
    if (row >= table->rows || table->place_of[row] != place) continue;
    /* Its cosine will be wanted next. */
    if (place < table->saved) prefetch(table->codes + place * table->dimensions, table->dimensions);
    rows[present] = row;
    scores[present++] = scores[i];
  }
  return present;
}

/* Many sums, so that a processor can add many at a time, and each processor the same ones. */
static inline __attribute__((always_inline)) float cosine(const int8_t *codes, const float *query, int64_t width) {
  float sums[SUMS] = {0}, sum = 0;
  int64_t at = 0;
  for (; at + SUMS <= width; at += SUMS)
    for (int i = 0; i < SUMS; i++) sums[i] += (float)codes[at + i] * query[at + i];
  for (; at < width; at++) sum += (float)codes[at] * query[at];
  for (int half = SUMS / 2; half; half /= 2)
    for (int i = 0; i < half; i++) sums[i] += sums[i + half];
  return sum + sums[0];
}

static inline __attribute__((always_inline)) int64_t cosines_body(const struct cells *table, const float *query,
                                                                  const int64_t *rows, int64_t count, float *found) {
  const int64_t width = table->dimensions;
  for (int64_t i = -AHEAD; i < count; i++) {
    if (i + AHEAD < count) {
      int64_t row = rows[i + AHEAD];
      if (row < 0 || row >= table->rows) return -1;
      int64_t place = table->place_of[row];
      if (place >= 0 && place < table->saved) {
        prefetch(table->codes + place * width, width);
        __builtin_prefetch(table->scales + place);
      }
    }
    if (i < 0) continue;
    int64_t place = table->place_of[rows[i]], newer = place - table->saved;
    if (place < 0 || newer >= table->newer)
      found[i] = 0;
    else if (newer < 0)
      found[i] = cosine(table->codes + place * width, query, width) * table->scales[place];
    else
      found[i] = cosine(table->new_codes + newer * width, query, width) * table->new_scales[newer];
  }
  return 0;
}

FOR_EACH_LEVEL(static int64_t, cosines, cosines_body,
               (const struct cells *table, const float *query, const int64_t *rows, int64_t count, float *found),
               (table, query, rows, count, found))

/* Writes the cosine of the vector of each row with a question, float [dimensions]; 0 for a row without one. Returns -1 if a row is none
   of the index's, and otherwise 0. */
EXPORTED int64_t cells_cosines(const struct cells *table, const float *query, const int64_t *rows, int64_t count, float *found) {
  return cosines(table, query, rows, count, found);
}

/* Puts keys in the order of their upper halves, equal ones as they were: by 8 bits at a time, lowest first. Uses as much room behind them. */
static void sort(uint64_t *keys, int64_t count) {
  uint64_t *from = keys, *to = keys + count;
  for (int shift = 32; shift < 64; shift += 8) {
    int64_t starts[257] = {0};
    for (int64_t i = 0; i < count; i++) starts[(from[i] >> shift & 255) + 1]++;
    for (int i = 0; i < 256; i++) starts[i + 1] += starts[i];
    for (int64_t i = 0; i < count; i++) to[starts[from[i] >> shift & 255]++] = from[i];
    uint64_t *other = from;
    from = to;
    to = other;
  }
}

/* Looks at about `looked_at` vectors and writes the rows of the `kept` best, nearest first, and their cosines; `rows` and `scores` are work
   space. Returns how many there are. */
EXPORTED int64_t cells_nearest(const struct cells *table, struct seen *seen, const float *query, int64_t looked_at, int64_t kept,
                               int64_t *rows, int32_t *scores, int64_t *nearest, float *found) {
  cells_look(table, seen, query, looked_at);
  int64_t count = cells_best(table, seen, kept < seen->total ? kept : seen->total, rows, scores);
  if (cosines(table, query, rows, count, seen->cosines)) return -1;
  for (int64_t i = 0; i < count; i++) {
    union {
      float number;
      uint32_t bits;
    } cosine = {.number = seen->cosines[i] + 0.0f}; /* one zero, not two */
    /* Larger numbers have larger bits, but for negative ones; the largest are to be first. */
    uint32_t ascending = cosine.bits ^ (cosine.bits >> 31 ? UINT32_MAX : 1u << 31);
    seen->keys[i] = (uint64_t)~ascending << 32 | (uint64_t)i;
  }
  sort(seen->keys, count);
  for (int64_t i = 0; i < count; i++) {
    int64_t which = (int64_t)(seen->keys[i] & UINT32_MAX);
    nearest[i] = rows[which];
    found[i] = seen->cosines[which];
  }
  return count;
}
