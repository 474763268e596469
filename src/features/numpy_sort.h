// numpy's argsort, ties included.
#ifndef NF_FEATURES_NUMPY_SORT_H
#define NF_FEATURES_NUMPY_SORT_H

#include <stdint.h>

// order[i] = index of the i-th smallest key, as np.argsort(keys) of its default kind gives it. That sort is not stable:
// equal keys come in an order of its own, which decides which of a species' sequences are paired. (On processors with
// AVX2 or AVX-512 numpy sorts numbers in yet another way; this is its portable one, which it also uses for objects.)
// NaN is larger than every number.
void numpy_argsort(const double *keys, int32_t n, int32_t *order);

#endif
