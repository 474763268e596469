// The inner loops for processors with AVX2 and FMA; elsewhere an empty table that is never chosen.
#if defined(__x86_64__)
#pragma GCC target("avx2,fma")
#include <immintrin.h>
#define VL 8
#define MR 6
#define NAME "avx2"
#define KERNELS cpu_kernels_avx2
#define FMA(a, b, c) ((vf)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
#define MAX(a, b) ((vf)_mm256_max_ps((__m256)(a), (__m256)(b)))
#define MIN(a, b) ((vf)_mm256_min_ps((__m256)(a), (__m256)(b)))
#define KEEP(x) __asm__("" : "+x"(x))
#define RECIPROCAL(x) (splat(1.0f) / (x))
#define SUM(x) sum256((__m256)(x))
static inline __attribute__((always_inline)) float sum256(__m256 x) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
#include "tensor/cpu/kernels.inc"
#else
#include "tensor/cpu/kernels.h"
const cpu_kernels cpu_kernels_avx2 = {.name = "avx2"};
#endif
