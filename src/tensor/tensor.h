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
  bool narrow;  // the values at data are bf16, two bytes each, not float
  bool away;    // data lies in the host's page-locked memory, which the device reaches over its bus
  int64_t shape[TENSOR_MAX_DIMS];
} nf_tensor;  // without gaps of a pointer's size: tests look for pointers in arguments, word by word

static inline nf_tensor tensor_of(const float *data, int n_dims, int64_t a, int64_t b, int64_t c, int64_t d) {
  return (nf_tensor){(float *)data, n_dims, false, false, {a, b, c, d}};
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
static inline int64_t tensor_value_bytes(nf_tensor t) { return t.narrow ? 2 : (int64_t)sizeof(float); }
static inline int64_t tensor_bytes(nf_tensor t) { return tensor_count(t) * tensor_value_bytes(t); }
// Where value i lies; NULL in a dry context.
static inline float *tensor_at(nf_tensor t, int64_t i) {
  return t.data ? (float *)((char *)t.data + i * tensor_value_bytes(t)) : NULL;
}
// The same values in another shape.
static inline nf_tensor tensor_shaped(nf_tensor t, int n_dims, int64_t a, int64_t b, int64_t c, int64_t d) {
  nf_tensor s = tensor_of(t.data, n_dims, a, b, c, d);
  s.narrow = t.narrow;
  s.away = t.away;
  return s;
}
static inline nf_tensor tensor_as_2(nf_tensor t, int64_t a, int64_t b) { return tensor_shaped(t, 2, a, b, 1, 1); }
static inline nf_tensor tensor_as_3(nf_tensor t, int64_t a, int64_t b, int64_t c) { return tensor_shaped(t, 3, a, b, c, 1); }
// Slice i of the first axis; of no tensor, no tensor.
static inline nf_tensor tensor_slice(nf_tensor t, int64_t i) {
  if (t.n_dims == 0) return t;
  nf_tensor s = {NULL, t.n_dims - 1, t.narrow, t.away, {1, 1, 1, 1}};
  for (int k = 1; k < t.n_dims; k++) s.shape[k - 1] = t.shape[k];
  s.data = tensor_at(t, i * tensor_count(s));
  return s;
}
// `count` rows from row `first` on, as (count, C).
static inline nf_tensor tensor_some_rows(nf_tensor t, int64_t first, int64_t count) {
  nf_tensor s = tensor_as_2(t, count, tensor_last(t));
  s.data = tensor_at(t, first * tensor_last(t));
  return s;
}

#endif
