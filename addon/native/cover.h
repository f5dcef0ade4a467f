/* The best product of each token of a question with those of a memory: what each kind of processor does in its own way. */
#ifndef NPU_MEMORY_COVER_H
#define NPU_MEMORY_COVER_H

#include "kernels.h"

/* Bytes of a token vector of a memory. */
enum { REDUCED = 128 };

/* Its token vectors, [count][REDUCED]. */
struct memory {
  int64_t row;
  const int8_t *tokens;
  int64_t count;
};

/* `prepare` lays a token of a question out, [REDUCED] whole numbers of at most 127 * 256, as `cover` needs it. `cover` raises the
   best product of each token, [tokens], to the best with those of a memory, and fetches what comes next. */
struct processor {
  void (*prepare)(const int16_t *rounded, int16_t *prepared);
  void (*cover)(const int16_t *prepared, int64_t tokens, const struct memory *memory, const struct memory *next, int32_t *best);
};

/* Returns what the instructions that may be used can do best. */
const struct processor *processor(void);

static inline void fetch_ahead(const struct memory *next, int64_t first, int64_t tokens) {
  for (int64_t token = first; token < first + tokens && token < next->count; token++) {
    __builtin_prefetch(next->tokens + token * REDUCED);
    __builtin_prefetch(next->tokens + token * REDUCED + 64);
  }
}

#endif
