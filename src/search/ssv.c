#include "search/ssv.h"

#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/status.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

// The truth, row by row. cost < 0: a single hit.
static int plain(const ssv_profile *p, const char *letters, size_t n, int cost, int8_t *row) {
  int best = 0, entry = 0;
  uint8_t *score = (uint8_t *)row;
  memset(score, 0, (size_t)p->n_positions);
  for (size_t i = 0; i < n; i++) {
    const int8_t *s = p->scores + (size_t)(letters[i] & 31) * (size_t)p->n_positions;
    int before = 0, highest = 0;
    for (int k = 0; k < p->n_positions; k++) {
      int here = (before > entry ? before : entry) + s[k];
      before = score[k];
      score[k] = (uint8_t)(here < 0 ? 0 : here > SSV_MAX ? SSV_MAX : here);
      if (score[k] > highest) highest = score[k];
    }
    if (highest > best) best = highest;
    if (cost >= 0 && highest - cost > entry) entry = highest - cost;
  }
  return best;
}

#if defined(__x86_64__)
#define JOIN(a, b) a##b
#define CAT(a, b) JOIN(a, b)

static inline __attribute__((always_inline, target("avx2"))) __m256i shift256(__m256i v) {
  __m256i low_up = _mm256_permute2x128_si256(v, v, 0x08);  // the low half to the high one, zeros below
  return _mm256_or_si256(_mm256_alignr_epi8(v, low_up, 15),
                         _mm256_setr_epi32(0x80, 0, 0, 0, 0, 0, 0, 0));
}

static inline __attribute__((always_inline, target("avx2"))) int highest256(__m256i v) {
  int8_t lanes[32];
  int best = -128;
  _mm256_storeu_si256((__m256i *)lanes, v);
  for (int i = 0; i < 32; i++) best = lanes[i] > best ? lanes[i] : best;
  return best;
}

#define NAME avx2
#define TARGET target("avx2")
#define VECTOR __m256i
#define WIDTH 32
#define LOAD(p) _mm256_load_si256((const __m256i *)(p))
#define STORE(p, v) _mm256_store_si256((__m256i *)(p), v)
#define ADD _mm256_adds_epi8
#define MAX _mm256_max_epi8
#define ALL(x) _mm256_set1_epi8(x)
#define ANY_ABOVE(a, b) (_mm256_movemask_epi8(_mm256_cmpgt_epi8(a, b)) != 0)
#define SHIFT shift256
#define HIGHEST highest256
#include "search/ssv_kernel.inc"
#undef NAME
#undef TARGET
#undef VECTOR
#undef WIDTH
#undef LOAD
#undef STORE
#undef ADD
#undef MAX
#undef ALL
#undef ANY_ABOVE
#undef SHIFT
#undef HIGHEST

static inline __attribute__((always_inline, target("avx512f,avx512bw"))) __m512i shift512(__m512i v) {
  __m512i up = _mm512_maskz_shuffle_i64x2(0xfc, v, v, 0x90);  // each quarter one up, zeros below
  return _mm512_or_si512(_mm512_alignr_epi8(v, up, 15), _mm512_zextsi128_si512(_mm_cvtsi32_si128(0x80)));
}

static inline __attribute__((always_inline, target("avx512f,avx512bw"))) int highest512(__m512i v) {
  int8_t lanes[64];
  int best = -128;
  _mm512_storeu_si512(lanes, v);
  for (int i = 0; i < 64; i++) best = lanes[i] > best ? lanes[i] : best;
  return best;
}

#define NAME avx512
#define TARGET target("avx512f,avx512bw")
#define VECTOR __m512i
#define WIDTH 64
#define LOAD(p) _mm512_load_si512(p)
#define STORE(p, v) _mm512_store_si512(p, v)
#define ADD _mm512_adds_epi8
#define MAX _mm512_max_epi8
#define ALL(x) _mm512_set1_epi8(x)
#define ANY_ABOVE(a, b) (_mm512_cmpgt_epi8_mask(a, b) != 0)
#define SHIFT shift512
#define HIGHEST highest512
#include "search/ssv_kernel.inc"
#endif

ssv_kernel ssv_best_kernel(void) {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512bw")) return SSV_AVX512;
  if (__builtin_cpu_supports("avx2")) return SSV_AVX2;
#endif
  return SSV_PLAIN;
}

void ssv_create(ssv_kernel kernel, int n, const int8_t *scores, ssv_profile *p) {
  int width = kernel == SSV_AVX512 ? 64 : kernel == SSV_AVX2 ? 32 : 1;
  *p = (ssv_profile){.n_positions = n, .n_stripes = (n + width - 1) / width, .width = width};
  size_t row = (size_t)p->n_stripes * (size_t)width, bytes = (32 * row + 63) / 64 * 64;
  p->scores = aligned_alloc(64, bytes);
  NF_ASSERT(p->scores != NULL);
  memset(p->scores, -128, bytes);  // beyond the profile nothing scores
  for (int letter = 0; letter < 32; letter++) {
    for (int k = 0; k < n; k++) {
      int lane = k / p->n_stripes, stripe = k % p->n_stripes;
      p->scores[(size_t)letter * row + (size_t)stripe * (size_t)width + (size_t)lane] = scores[letter * n + k];
    }
  }
}

void ssv_free(ssv_profile *p) {
  free(p->scores);
  *p = (ssv_profile){0};
}

int ssv_score(ssv_kernel kernel, const ssv_profile *p, const char *letters, size_t n, int8_t *row) {
#if defined(__x86_64__)
  if (kernel == SSV_AVX512) return avx512(p, letters, n, row);
  if (kernel == SSV_AVX2) return avx2(p, letters, n, row);
#endif
  return plain(p, letters, n, -1, row);
}

int ssv_score_several(ssv_kernel kernel, const ssv_profile *p, const char *letters, size_t n, int cost, int8_t *row) {
#if defined(__x86_64__)
  if (kernel == SSV_AVX512) return avx512_several(p, letters, n, cost, row);
  if (kernel == SSV_AVX2) return avx2_several(p, letters, n, cost, row);
#endif
  return plain(p, letters, n, cost, row);
}
