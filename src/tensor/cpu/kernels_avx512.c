// The inner loops for processors with AVX-512; elsewhere an empty table that is never chosen.
#if defined(__x86_64__)
#pragma GCC target("avx512f,avx512vl,avx512dq,avx512bw,fma,avx2,prefer-vector-width=512")
#include <immintrin.h>
#define VL 16
#define MR 14
#define NAME "avx512"
#define KERNELS cpu_kernels_avx512
#define FMA(a, b, c) ((vf)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#define MAX(a, b) ((vf)_mm512_max_ps((__m512)(a), (__m512)(b)))
#define MIN(a, b) ((vf)_mm512_min_ps((__m512)(a), (__m512)(b)))
#define KEEP(x) __asm__("" : "+v"(x))
#define RECIPROCAL(x) ((vf)reciprocal((__m512)(x)))
#define SUM(x) _mm512_reduce_add_ps((__m512)(x))
// 14 bits of the instruction, doubled by a step of Newton's.
static inline __attribute__((always_inline)) __m512 reciprocal(__m512 x) {
  __m512 r = _mm512_rcp14_ps(x);
  return _mm512_mul_ps(r, _mm512_fnmadd_ps(x, r, _mm512_set1_ps(2.0f)));
}
#include "tensor/cpu/kernels.inc"
#else
#include "tensor/cpu/kernels.h"
const cpu_kernels cpu_kernels_avx512 = {.name = "avx512"};
#endif
