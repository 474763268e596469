// Small pieces of the plain ops.
#ifndef NF_TENSOR_CPU_PLAIN_H
#define NF_TENSOR_CPU_PLAIN_H

#include <math.h>

#include "tensor/cpu/cpu.h"

static inline float plain_sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

static inline double plain_dot(int64_t n, const float *x, const float *y, int64_t y_step) {
  double s = 0;
  for (int64_t i = 0; i < n; i++) s += (double)x[i] * y[i * y_step];
  return s;
}

static inline void plain_norm_row(const op_norm *norm, int64_t c, const float *x, float *y) {
  double mean = 0, variance = 0;
  for (int64_t l = 0; l < c; l++) mean += x[l];
  mean /= (double)c;
  for (int64_t l = 0; l < c; l++) variance += (x[l] - mean) * (x[l] - mean);
  variance /= (double)c;
  for (int64_t l = 0; l < c; l++) {
    double scale = norm->scale.data ? norm->scale.data[l] : 1, offset = norm->offset.data ? norm->offset.data[l] : 0;
    y[l] = (float)((x[l] - mean) / sqrt(variance + 1e-5) * scale + offset);
  }
}

// Row r of x (., c) normalised, adaptively if the condition says so.
static inline void plain_condition_row(const op_norm *norm, const op_condition *condition, int64_t c, int64_t r,
                                       const float *x, float *y) {
  if (!tensor_given(condition->scale)) {
    plain_norm_row(norm, c, x + r * c, y);
    return;
  }
  int64_t row = r % tensor_rows(condition->scale) * c;
  plain_norm_row(&(op_norm){0}, c, x + r * c, y);
  for (int64_t l = 0; l < c; l++) y[l] = condition->scale.data[row + l] * y[l] + condition->shift.data[row + l];
}

static inline float plain_gate(const op_condition *condition, int64_t c, int64_t r, int64_t l) {
  return tensor_given(condition->gate) ? condition->gate.data[r % tensor_rows(condition->gate) * c + l] : 1.0f;
}

static inline float *plain_alloc(nf_context *context, int64_t n) {
  return context_alloc(context, (size_t)n * sizeof(float));
}

#endif
