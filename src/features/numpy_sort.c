// Quicksort with median of three, insertion sort of up to 16 elements, and heapsort when it recurses too deep.
#include "features/numpy_sort.h"

#include <stdbool.h>

enum { SMALL = 15, MAX_STACK = 64 };  // the smaller part is sorted first: at most 31 parts wait

static bool less(double a, double b) { return a < b || (b != b && a == a); }

static void swap(int32_t *a, int32_t *b) {
  int32_t kept = *a;
  *a = *b;
  *b = kept;
}

// Lets `element` sink from place i of the heap a[1 .. n].
static void sink(const double *keys, int32_t *a, int64_t n, int64_t i, int32_t element) {
  for (int64_t j = 2 * i; j <= n; j = 2 * i) {
    if (j < n && less(keys[a[j]], keys[a[j + 1]])) j++;
    if (!less(keys[element], keys[a[j]])) break;
    a[i] = a[j];
    i = j;
  }
  a[i] = element;
}

static void heapsort_part(const double *keys, int32_t *part, int64_t n) {
  int32_t *a = part - 1;
  for (int64_t i = n / 2; i > 0; i--) sink(keys, a, n, i, a[i]);
  while (n > 1) {
    int32_t last = a[n];
    a[n] = a[1];
    n--;
    sink(keys, a, n, 1, last);
  }
}

// Splits [left, right] around the median of its ends and middle; returns where the pivot came to lie.
static int32_t *partition(const double *keys, int32_t *left, int32_t *right) {
  int32_t *middle = left + ((right - left) >> 1);
  if (less(keys[*middle], keys[*left])) swap(middle, left);
  if (less(keys[*right], keys[*middle])) swap(right, middle);
  if (less(keys[*middle], keys[*left])) swap(middle, left);
  double pivot = keys[*middle];
  int32_t *i = left, *j = right - 1;
  swap(middle, j);
  for (;;) {
    do i++;
    while (less(keys[*i], pivot));
    do j--;
    while (less(pivot, keys[*j]));
    if (i >= j) break;
    swap(i, j);
  }
  swap(i, right - 1);
  return i;
}

static void insertion_sort(const double *keys, int32_t *left, int32_t *right) {
  for (int32_t *i = left + 1; i <= right; i++) {
    int32_t element = *i, *j = i;
    for (; j > left && less(keys[element], keys[j[-1]]); j--) *j = j[-1];
    *j = element;
  }
}

void numpy_argsort(const double *keys, int32_t n, int32_t *order) {
  for (int32_t i = 0; i < n; i++) order[i] = i;
  if (n < 2) return;
  struct {
    int32_t *left, *right;
    int depth;
  } stack[MAX_STACK];
  int waiting = 0, depth = 2 * (31 - __builtin_clz((uint32_t)n));
  int32_t *left = order, *right = order + n - 1;
  for (;;) {
    // numpy asks for the depth only when it takes up a waiting part, whatever that part's size.
    if (depth < 0) {
      heapsort_part(keys, left, right - left + 1);
    } else {
      while (right - left > SMALL) {
        int32_t *middle = partition(keys, left, right);
        depth--;
        if (middle - left < right - middle) {  // the larger part waits
          stack[waiting].left = middle + 1;
          stack[waiting].right = right;
          right = middle - 1;
        } else {
          stack[waiting].left = left;
          stack[waiting].right = middle - 1;
          left = middle + 1;
        }
        stack[waiting++].depth = depth;
      }
      insertion_sort(keys, left, right);
    }
    if (waiting == 0) break;
    waiting--;
    left = stack[waiting].left;
    right = stack[waiting].right;
    depth = stack[waiting].depth;
  }
}
