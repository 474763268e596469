// Products of whole rows, with what goes before and after them in kernels of their own: for layers wide enough that
// cuBLASLt pays.
#ifndef NF_TENSOR_CUDA_ROWS_CUH
#define NF_TENSOR_CUDA_ROWS_CUH

#include "tensor/cuda/blas.cuh"
#include "tensor/cuda/gemm.cuh"

static __device__ __forceinline__ float value_of(float v) { return v; }
static __device__ __forceinline__ float value_of(bf16 v) { return __bfloat162float(v); }
static __device__ __forceinline__ void set_value(float *to, float v) { *to = v; }
static __device__ __forceinline__ void set_value(bf16 *to, float v) { *to = __float2bfloat16(v); }

// A warp a row, read once: up to 32 * ROW_VALUES channels. X and Y: float or bf16.
enum { ROW_VALUES = 24 };
template <class X, class Y>
struct norm_row {
  const X *x;
  int c;
  const float *scale, *offset;
  uint32_t p, first;
  bool relu;
  Y *y;
  __device__ void operator()(int64_t r, int lane) const {
    const X *row = x + r * c;
    const float *s = scale ? scale + (p > 1 ? (int64_t)(((uint32_t)r + first) % p) * c : 0) : NULL,
                *o = offset ? offset + (p > 1 ? (int64_t)(((uint32_t)r + first) % p) * c : 0) : NULL;
    float value[ROW_VALUES], sum = 0, square = 0;
    bool kept = c <= 32 * ROW_VALUES;
    if (kept) {
#pragma unroll
      for (int i = 0; i < ROW_VALUES; i++) {
        value[i] = lane + 32 * i < c ? value_of(row[lane + 32 * i]) : 0.0f;
        sum += value[i];
      }
    } else {
      for (int l = lane; l < c; l += 32) sum += value_of(row[l]);
    }
    float mean = warp_sum(sum) / (float)c;
    if (kept) {
#pragma unroll
      for (int i = 0; i < ROW_VALUES; i++)
        if (lane + 32 * i < c) square += (value[i] - mean) * (value[i] - mean);
    } else {
      for (int l = lane; l < c; l += 32) square += (value_of(row[l]) - mean) * (value_of(row[l]) - mean);
    }
    float inverse = rsqrtf(warp_sum(square) / (float)c + 1e-5f);
    if (kept) {
#pragma unroll
      for (int i = 0; i < ROW_VALUES; i++) {
        int l = lane + 32 * i;
        if (l < c) put(r, l, (value[i] - mean) * inverse * (s ? s[l] : 1.0f) + (o ? o[l] : 0.0f));
      }
    } else {
      for (int l = lane; l < c; l += 32)
        put(r, l, (value_of(row[l]) - mean) * inverse * (s ? s[l] : 1.0f) + (o ? o[l] : 0.0f));
    }
  }
  __device__ void put(int64_t r, int l, float v) const { set_value(y + r * c + l, relu ? fmaxf(v, 0.0f) : v); }
};
// y may be x. Conditions count rows from `first` on.
template <class X, class Y>
static void norm_rows(const X *x, int64_t m, int64_t c, const op_norm *norm, const op_condition *condition, Y *y,
                      bool relu = false, int64_t first = 0) {
  typedef norm_row<X, Y> row;
  if (condition && tensor_given(condition->scale))
    launch_warps(m, row{x, (int)c, condition->scale.data, condition->shift.data, (uint32_t)tensor_rows(condition->scale),
                        (uint32_t)first, relu, y});
  else launch_warps(m, row{x, (int)c, norm->scale.data, norm->offset.data, 1, 0, relu, y});
}

// y (m, n) = x (m, k) w (k, n)
static inline void rows_product(int64_t m, int64_t n, int64_t k, const float *x, const float *w, float *y) {
  if (!blas_rows(m, n, k, x, w, y, false)) gemm(m, n, k, 1, left_rows(x, k), right_rows(w, n), put{y, n, 0});
}

struct gated_row {
  float *x;
  const float *y, *gate;
  uint32_t p, first;
  int64_t c;
  __device__ void operator()(int64_t i) const {
    uint32_t r = (uint32_t)(i / c), l = (uint32_t)(i % c);
    x[i] += gate ? gate[(int64_t)((r + first) % p) * c + l] * y[i] : y[i];
  }
};
// x += gate * y, rows from `first` on of what the condition counts.
static inline void add_rows_gated(float *x, int64_t m, int64_t c, const op_condition *condition, const float *y, int64_t first = 0) {
  bool gated = condition && tensor_given(condition->gate);
  launch_each(m * c, gated_row{x, y, gated ? condition->gate.data : NULL, gated ? (uint32_t)tensor_rows(condition->gate) : 1u,
                               (uint32_t)first, c});
}

#endif
