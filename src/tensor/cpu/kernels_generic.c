// The inner loops for any processor, and the choice among the sets.
#define VL 4
#define MR 6
#define NAME "generic"
#define KERNELS cpu_kernels_generic
#define FMA(a, b, c) ((a) * (b) + (c))
#define MAX(a, b) choose((a) > (b), a, b)
#define MIN(a, b) choose((a) < (b), a, b)
#define CHOOSE
#define KEEP(x) (void)(x)
#define RECIPROCAL(x) (splat(1.0f) / (x))
#define SUM(x) ((x)[0] + (x)[1] + (x)[2] + (x)[3])
#include "tensor/cpu/kernels.inc"

#include <stdlib.h>

const cpu_kernels *cpu_kernels_choose(void) {
#if defined(__x86_64__)
  const char *wish = getenv("NATIVEFOLD_CPU");
  bool below_avx512 = wish && strcmp(wish, "avx512") != 0, below_avx2 = below_avx512 && strcmp(wish, "avx2") != 0;
  __builtin_cpu_init();
  if (!below_avx512 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw"))
    return &cpu_kernels_avx512;
  if (!below_avx2 && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &cpu_kernels_avx2;
#endif
  return &cpu_kernels_generic;
}
