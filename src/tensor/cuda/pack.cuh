// Forms of weights that kernels want (bf16, other orders), made when a weight is first used and kept.
#ifndef NF_TENSOR_CUDA_PACK_CUH
#define NF_TENSOR_CUDA_PACK_CUH

#include <string.h>

#include "tensor/cuda/common.cuh"

// What tells one form of a weight from another: the kernel's order (a type and its few values) and a factor.
typedef struct {
  const float *weight;
  const void *order;  // one address a type
  int64_t n;
  float factor;
  unsigned char values[36];  // of the order, zeros behind
} pack_key;

// Is w part of what nf_ops.keep was told of? Such weights never change, so that their forms can be kept.
bool pack_kept(const float *w);
// Memory for n values of the key's form. *ret_fresh: it has just been made and is to be filled.
bf16 *pack_find(const pack_key *key, bool *ret_fresh);

// `memory` holds weights from now on, until it is forgotten.
void pack_keep(const void *memory, size_t bytes);
void pack_forget(const void *memory);

template <class F>
struct pack_values {
  F at;
  const float *w;
  float factor;
  bf16 *to;
  __device__ void operator()(int64_t i) const {
    int64_t from = at(i);
    to[i] = __float2bfloat16(from < 0 ? 0.0f : w[from] * factor);
  }
};

// to[i] = factor * w[at(i)], zeros where at(i) is negative; n values. A weight of the model's is packed once and kept;
// any other, into scratch of the context, at each call. In a dry context the scratch is counted and NULL returned.
template <class F>
static const bf16 *packed(nf_context *context, int64_t n, const F &at, const float *w, float factor = 1.0f) {
  static const char order = 0;
  static_assert(sizeof(F) <= sizeof(pack_key::values), "an order of few values");
  bool kept = pack_kept(w), fresh = true;
  bf16 *to = kept ? NULL : scratch<bf16>(context, n);
  if (context->dry) return NULL;
  if (kept) {
    pack_key key;
    memset(&key, 0, sizeof key);
    key.weight = w, key.order = &order, key.n = n, key.factor = factor;
    memcpy(key.values, &at, sizeof at);
    to = pack_find(&key, &fresh);
  }
  if (fresh) launch_each(n, pack_values<F>{at, w, factor, to});
  return to;
}

// (k, n) as it lies.
struct pack_as_is {
  int64_t unused;
  __device__ int64_t operator()(int64_t i) const { return i; }
};

#endif
