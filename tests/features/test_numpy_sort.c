// numpy's order of equal keys. The expected orders were printed by numpy 2.4.1 for arrays of objects.
#include "../test.h"
#include "features/numpy_sort.h"

TEST(argsort_small_arrays_keep_ties_in_order) {
  double keys[] = {3, 1, 2, 1, 3, 1, 0, 2};
  int32_t order[8], expected[] = {6, 1, 3, 5, 2, 7, 0, 4};
  numpy_argsort(keys, 8, order);
  for (int i = 0; i < 8; i++) CHECK_INT(order[i], expected[i]);
  numpy_argsort(keys, 1, order);
  CHECK_INT(order[0], 0);
  numpy_argsort(keys, 0, order);
}

TEST(argsort_puts_nan_last) {
  double keys[] = {NAN, 2, INFINITY, 1};
  int32_t order[4], expected[] = {3, 1, 2, 0};
  numpy_argsort(keys, 4, order);
  for (int i = 0; i < 4; i++) CHECK_INT(order[i], expected[i]);
}

// np.array(['%05d' % (i * 7 % 5) for i in range(40)], dtype=object).argsort()
TEST(argsort_breaks_ties_as_numpy_does) {
  double keys[40];
  int32_t order[40];
  static const int32_t expected[40] = {0,  20, 15, 30, 10, 25, 35, 5,  23, 8, 33, 28, 13, 3,  38, 18, 6,  21, 1, 36,
                                       16, 26, 11, 31, 34, 29, 19, 14, 9,  4, 24, 39, 27, 22, 17, 12, 32, 7,  2, 37};
  for (int i = 0; i < 40; i++) keys[i] = i * 7 % 5;
  numpy_argsort(keys, 40, order);
  for (int i = 0; i < 40; i++) CHECK_INT(order[i], expected[i]);
}

// A permutation that makes each median of three the worst pivot (McIlroy's adversary, played against numpy), halved for
// ties: it drives the quicksort past its depth limit and into its heapsort.
TEST(argsort_falls_back_to_heapsort_as_numpy_does) {
  static const double keys[100] = {0,  37, 1,  37, 2,  36, 3,  36, 4,  35, 5,  35, 6,  34, 7,  34, 8,  33, 9,  33,
                                   10, 32, 11, 32, 12, 13, 50, 48, 49, 48, 47, 47, 46, 46, 45, 45, 44, 44, 43, 43,
                                   42, 42, 41, 41, 40, 40, 39, 39, 38, 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                                   11, 12, 31, 31, 30, 30, 29, 29, 28, 28, 27, 27, 26, 26, 25, 25, 24, 24, 23, 23,
                                   22, 22, 21, 21, 20, 20, 19, 19, 18, 18, 17, 17, 16, 16, 15, 15, 14, 14, 38, 13};
  static const int32_t expected[100] = {0,  49, 2,  50, 4,  51, 6,  52, 8,  53, 10, 54, 12, 55, 14, 56, 16, 57, 18, 58,
                                        20, 59, 22, 60, 24, 61, 99, 25, 96, 97, 95, 94, 92, 93, 90, 91, 88, 89, 86, 87,
                                        85, 84, 83, 82, 81, 80, 79, 78, 77, 76, 75, 74, 72, 73, 71, 70, 69, 68, 67, 66,
                                        65, 64, 63, 62, 23, 21, 19, 17, 13, 15, 11, 9,  7,  5,  3,  1,  98, 48, 47, 46,
                                        45, 44, 43, 42, 40, 41, 39, 38, 37, 36, 35, 34, 32, 33, 31, 30, 29, 27, 28, 26};
  int32_t order[100];
  numpy_argsort(keys, 100, order);
  for (int i = 0; i < 100; i++) CHECK_INT(order[i], expected[i]);
}

// Whatever the input, the order sorts it and holds every index once.
TEST(argsort_sorts_whatever_comes) {
  enum { N = 5000 };
  static double keys[N];
  static int32_t order[N];
  static char seen[N];
  for (int shape = 0; shape < 6; shape++) {
    for (int i = 0; i < N; i++) {
      switch (shape) {
        case 0:
          keys[i] = i;
          break;
        case 1:
          keys[i] = N - i;
          break;
        case 2:
          keys[i] = 7;
          break;
        case 3:
          keys[i] = i < N / 2 ? i : N - i;
          break;
        case 4:
          keys[i] = i * 2654435761u % 977;
          break;
        default:
          keys[i] = i % 2 ? i : N / 2 - i;
          break;
      }
    }
    numpy_argsort(keys, N, order);
    memset(seen, 0, sizeof seen);
    for (int i = 0; i < N; i++) {
      CHECK(order[i] >= 0 && order[i] < N && !seen[order[i]]++);
      CHECK(i == 0 || keys[order[i - 1]] <= keys[order[i]]);
    }
  }
}
