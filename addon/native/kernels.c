/* Which version of the library this is, and which instructions of the processor its kernels use. */
#include "kernels.h"

#if defined(__aarch64__)
#include <sys/auxv.h>
#endif

int32_t kernels_level = PLAIN;

EXPORTED int32_t kernels_abi(void) { return KERNELS_ABI; }

static int32_t supported(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return PLAIN;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512vnni"))
    return AVX512;
  return AVX2;
#elif defined(__aarch64__)
  return getauxval(AT_HWCAP) & HWCAP_ASIMDDP ? DOTPROD : PLAIN;
#else
  return PLAIN;
#endif
}

/* Has the kernels use the best instructions that the processor has, up to level `most`; returns the level. To be called before any
   of them, and not beside one. */
EXPORTED int32_t kernels_use(int32_t most) {
  int32_t level = supported();
  kernels_level = most < level ? most : level;
  if (kernels_level < PLAIN) kernels_level = PLAIN;
  return kernels_level;
}

/* Returns the name of the instructions in use. */
EXPORTED const char *kernels_instructions(void) {
#if defined(__x86_64__)
  return kernels_level == AVX512 ? "AVX-512 VNNI" : kernels_level == AVX2 ? "AVX2" : "SSE2";
#elif defined(__aarch64__)
  return kernels_level == DOTPROD ? "NEON with dot product" : "NEON";
#else
  return "plain C";
#endif
}
