/* What the kernels share: which instructions they may use, and what the library shows. Plain C, loaded with ctypes. */
#ifndef NPU_MEMORY_KERNELS_H
#define NPU_MEMORY_KERNELS_H

#include <stdint.h>

/* To be raised, here and in library.py, whenever a function or a struct that Python sees changes. */
#define KERNELS_ABI 1

#define EXPORTED __attribute__((visibility("default")))

/* Each processor has its own: a function for LEVEL may be called only if kernels_level is at least that. */
enum {
  PLAIN = 0,
#if defined(__x86_64__)
#define FOR_AVX2 __attribute__((target("avx2,fma")))
#define FOR_AVX512 __attribute__((target("avx2,fma,avx512f,avx512bw,avx512vl,avx512vnni")))
  AVX2 = 1,
  AVX512 = 2,
#elif defined(__aarch64__)
#define FOR_DOTPROD __attribute__((target("+dotprod")))
  DOTPROD = 1,
#endif
};

extern int32_t kernels_level;

#endif
