/* What the kernels share: which instructions they may use, and what the library shows. Plain C, loaded with ctypes. */
#ifndef NPU_MEMORY_KERNELS_H
#define NPU_MEMORY_KERNELS_H

#include <stdint.h>

/* To be raised, here and in library.py, whenever a function or a struct that Python sees changes. */
#define KERNELS_ABI 3

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
#define FOR_DOTPROD __attribute__((target("arch=armv8.2-a+dotprod")))
  DOTPROD = 1,
#endif
};

extern int32_t kernels_level;

/* Defines a function NAME that calls BODY, an inline function of plain C, as the compiler makes it of the instructions in use. */
#if defined(__x86_64__)
#define FOR_EACH_LEVEL(type, name, body, parameters, arguments)  \
  FOR_AVX2 type name##_avx2 parameters { return body arguments; }     \
  FOR_AVX512 type name##_avx512 parameters { return body arguments; } \
  type name parameters {                                                     \
    if (kernels_level == AVX512) return name##_avx512 arguments;             \
    if (kernels_level == AVX2) return name##_avx2 arguments;                 \
    return body arguments;                                                   \
  }
#else
#define FOR_EACH_LEVEL(type, name, body, parameters, arguments) \
  type name parameters { return body arguments; }
#endif

#endif
