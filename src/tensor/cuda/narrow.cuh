// Tensors that are float or bf16 (nf_tensor.narrow), value by value, and as floats for ops that know no other.
#ifndef NF_TENSOR_CUDA_NARROW_CUH
#define NF_TENSOR_CUDA_NARROW_CUH

#include "tensor/cuda/common.cuh"

// The values of a tensor of either form, for kernels that are not worth two of them.
struct cells {
  void *data;
  bool narrow;
  __device__ __forceinline__ float get(int64_t i) const {
    return narrow ? __bfloat162float(((const bf16 *)data)[i]) : ((const float *)data)[i];
  }
  __device__ __forceinline__ void put(int64_t i, float v) const {
    if (narrow) ((bf16 *)data)[i] = __float2bfloat16(v);
    else ((float *)data)[i] = v;
  }
};
static inline cells cells_of(nf_tensor t) { return cells{t.data, t.narrow}; }
static inline bf16 *narrow_data(nf_tensor t) {
  NF_ASSERT(t.narrow || !t.data);
  return (bf16 *)t.data;
}

struct copy_cells {
  cells from, to;
  __device__ void operator()(int64_t i) const { to.put(i, from.get(i)); }
};
// `count` values from value `first` on, to floats and back.
static inline void launch_widen(nf_tensor t, int64_t first, int64_t count, float *to) {
  launch_each(count, copy_cells{cells{tensor_at(t, first), t.narrow}, cells{to, false}});
}
static inline void launch_narrow(const float *from, nf_tensor t, int64_t first, int64_t count) {
  launch_each(count, copy_cells{cells{(void *)from, false}, cells{tensor_at(t, first), t.narrow}});
}
// A float copy of t in scratch of the context, or t itself if it is float. Not filled in a dry context.
static inline nf_tensor widened(nf_context *context, nf_tensor t) {
  if (!t.narrow) return t;
  nf_tensor wide = t;
  wide.narrow = false;
  wide.data = scratch<float>(context, tensor_count(t));
  if (!context->dry) launch_widen(t, 0, tensor_count(t), wide.data);
  return wide;
}

#endif
