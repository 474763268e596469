// The vector kernels against the plain one.
#include "search/ssv.h"
#include "tests/test.h"

static unsigned int state = 1;
static int draw(int n) {
  state = state * 1664525u + 1013904223u;
  return (int)((state >> 8) % (unsigned int)n);
}

static const int sizes[] = {1, 2, 31, 32, 33, 63, 64, 65, 127, 179, 256, 257, 500, 512, 513, 700, 2000};

static void check_kernel(ssv_kernel kernel) {
  int highest = 0, middle = 0, several = 0;
  for (size_t m = 0; m < sizeof sizes / sizeof *sizes; m++) {
    int n = sizes[m];
    int8_t *scores = malloc(32 * (size_t)n);
    for (int i = 0; i < 32 * n; i++) scores[i] = (int8_t)(draw(8) ? -draw(12) : draw(25) - 2);
    for (int k = 0; k < n; k++) scores[SSV_OTHER * n + k] = -128;
    ssv_profile plain, fast;
    ssv_create(SSV_PLAIN, n, scores, &plain);
    ssv_create(kernel, n, scores, &fast);
    int8_t *row = aligned_alloc(64, 4096);
    for (int t = 0; t < 60; t++) {
      char letters[900];
      int length = t < 5 ? t : 1 + draw(899);
      for (int i = 0; i < length; i++) letters[i] = (char)((draw(2) ? 'A' : 'a') + draw(26));
      // A stretch that follows the profile scores high.
      if (t % 3 == 0 && n > 20 && length > 100) {
        int from = draw(n > 100 ? n - 100 : 1), span = t % 2 ? 15 : 60;
        for (int i = 0; i < span && from + i < n; i++) {
          int best = 1;
          for (int x = 2; x <= 26; x++) best = scores[x * n + from + i] > scores[best * n + from + i] ? x : best;
          letters[20 + i] = (char)('A' + best - 1);
        }
        if (t % 2) letters[27] = '[';
      }
      int a = ssv_score(SSV_PLAIN, &plain, letters, (size_t)length, row);
      CHECK_INT(ssv_score(kernel, &fast, letters, (size_t)length, row), a);
      int cost = draw(4) ? 10 + draw(40) : draw(300);
      int b = ssv_score_several(SSV_PLAIN, &plain, letters, (size_t)length, cost, row);
      CHECK_INT(ssv_score_several(kernel, &fast, letters, (size_t)length, cost, row), b);
      CHECK(b >= a);
      several += b > a;
      highest += a == SSV_MAX;
      middle += a > 40 && a < SSV_MAX;
    }
    ssv_free(&plain);
    ssv_free(&fast);
    free(row);
    free(scores);
  }
  CHECK(highest > 5 && middle > 50 && several > 50);
}

TEST(avx2_is_the_plain_one) {
  if (ssv_best_kernel() < SSV_AVX2) SKIP("no AVX2");
  check_kernel(SSV_AVX2);
}

TEST(avx512_is_the_plain_one) {
  if (ssv_best_kernel() < SSV_AVX512) SKIP("no AVX-512");
  check_kernel(SSV_AVX512);
}
