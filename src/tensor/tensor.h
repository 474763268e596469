// Tensors: a shape and a place. Contiguous, row-major, up to four axes, passed by value.
#ifndef NF_TENSOR_TENSOR_H
#define NF_TENSOR_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TENSOR_MAX_DIMS = 4 };

typedef struct {
  float *data;  // on the context's device; NULL in a dry context
  int n_dims;   // 0: no tensor
  int64_t shape[TENSOR_MAX_DIMS];
} nf_tensor;

static inline nf_tensor tensor_of(const float *data, int n_dims, int64_t a, int64_t b, int64_t c, int64_t d) {
  return (nf_tensor){(float *)data, n_dims, {a, b, c, d}};
}
static inline nf_tensor tensor_1(const float *data, int64_t a) { return tensor_of(data, 1, a, 1, 1, 1); }
static inline nf_tensor tensor_2(const float *data, int64_t a, int64_t b) { return tensor_of(data, 2, a, b, 1, 1); }
static inline nf_tensor tensor_3(const float *data, int64_t a, int64_t b, int64_t c) {
  return tensor_of(data, 3, a, b, c, 1);
}
static inline nf_tensor tensor_4(const float *data, int64_t a, int64_t b, int64_t c, int64_t d) {
  return tensor_of(data, 4, a, b, c, d);
}
static inline bool tensor_given(nf_tensor t) { return t.n_dims > 0; }
static inline int64_t tensor_count(nf_tensor t) {
  int64_t n = 1;
  for (int i = 0; i < t.n_dims; i++) n *= t.shape[i];
  return n;
}
static inline int64_t tensor_last(nf_tensor t) { return t.shape[t.n_dims - 1]; }            // size of the last axis
static inline int64_t tensor_rows(nf_tensor t) { return tensor_count(t) / tensor_last(t); }  // all axes but the last
// Slice i of the first axis; of no tensor, no tensor.
static inline nf_tensor tensor_slice(nf_tensor t, int64_t i) {
  if (t.n_dims == 0) return t;
  nf_tensor s = {NULL, t.n_dims - 1, {1, 1, 1, 1}};
  for (int k = 1; k < t.n_dims; k++) s.shape[k - 1] = t.shape[k];
  if (t.data) s.data = t.data + i * tensor_count(s);
  return s;
}

#endif
