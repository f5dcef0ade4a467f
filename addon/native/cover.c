#include "cover.h"

#include <string.h>

/* In pieces of 16 bits. Prepared: [REDUCED]. */

static void prepare_words(const int16_t *rounded, int16_t *prepared) { memcpy(prepared, rounded, REDUCED * sizeof *rounded); }

static inline __attribute__((always_inline)) void cover_words(const int16_t *prepared, int64_t tokens,
    const struct memory *memory, const struct memory *next, int32_t *best) {
  for (int64_t place = 0; place < memory->count; place++) {
    int16_t wide[REDUCED];
    for (int dimension = 0; dimension < REDUCED; dimension++)
      wide[dimension] = memory->tokens[place * REDUCED + dimension];
    fetch_ahead(next, place, 1);
    for (int64_t token = 0; token < tokens; token++) {
      const int16_t *question = prepared + token * REDUCED;
      int32_t product = 0;
      for (int dimension = 0; dimension < REDUCED; dimension++)
        product += (int32_t)question[dimension] * wide[dimension];
      best[token] = product > best[token] ? product : best[token];
    }
  }
  fetch_ahead(next, memory->count, next->count);
}

static void cover_plain(const int16_t *prepared, int64_t tokens, const struct memory *memory, const struct memory *next,
    int32_t *best) {
  cover_words(prepared, tokens, memory, next, best);
}

static const struct processor OF_ANY = {prepare_words, cover_plain};

#if defined(__x86_64__)

FOR_AVX2 static void cover_avx2(const int16_t *prepared, int64_t tokens, const struct memory *memory,
    const struct memory *next, int32_t *best) {
  cover_words(prepared, tokens, memory, next, best);
}

FOR_AVX512 static void cover_avx512(const int16_t *prepared, int64_t tokens, const struct memory *memory,
    const struct memory *next, int32_t *best) {
  cover_words(prepared, tokens, memory, next, best);
}

static const struct processor OF_AVX2 = {prepare_words, cover_avx2}, OF_AVX512 = {prepare_words, cover_avx512};

#elif defined(__aarch64__)

/* In two pieces of 8 bits, both signed. Prepared: high [REDUCED], low [REDUCED]. */

static void prepare_bytes(const int16_t *rounded, int16_t *prepared) {
  int8_t *high = (int8_t *)prepared, *low = high + REDUCED;
  for (int dimension = 0; dimension < REDUCED; dimension++) {
    int32_t rest = ((rounded[dimension] + 128) & 255) - 128;
    low[dimension] = (int8_t)rest;
    high[dimension] = (int8_t)((rounded[dimension] - rest) / 256);
  }
}

FOR_DOTPROD static void cover_dotprod(const int16_t *prepared, int64_t tokens, const struct memory *memory,
    const struct memory *next, int32_t *best) {
  for (int64_t place = 0; place < memory->count; place++) {
    const int8_t *vector = memory->tokens + place * REDUCED;
    fetch_ahead(next, place, 1);
    for (int64_t token = 0; token < tokens; token++) {
      const int8_t *high = (const int8_t *)(prepared + token * REDUCED), *low = high + REDUCED;
      int32_t above = 0, below = 0;
      for (int dimension = 0; dimension < REDUCED; dimension++) {
        above += high[dimension] * vector[dimension];
        below += low[dimension] * vector[dimension];
      }
      int32_t product = above * 256 + below;
      best[token] = product > best[token] ? product : best[token];
    }
  }
  fetch_ahead(next, memory->count, next->count);
}

static const struct processor OF_DOTPROD = {prepare_bytes, cover_dotprod};

#endif

const struct processor *processor(void) {
#if defined(__x86_64__)
  return kernels_level >= AVX512 ? &OF_AVX512 : kernels_level >= AVX2 ? &OF_AVX2 : &OF_ANY;
#elif defined(__aarch64__)
  return kernels_level >= DOTPROD ? &OF_DOTPROD : &OF_ANY;
#else
  return &OF_ANY;
#endif
}
