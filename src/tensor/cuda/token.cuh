// The token transformer's ops on Hopper, in fp16 with fp32 sums; each says false where it does not take the sizes, and
// then has done nothing.
#ifndef NF_TENSOR_CUDA_TOKEN_CUH
#define NF_TENSOR_CUDA_TOKEN_CUH

#include "tensor/cuda/common.cuh"

bool half_attention(nf_context *context, const op_attention *a);
bool half_atom_attention(nf_context *context, const op_atom_attention *a);
bool half_linears(nf_context *context, const op_linears *a);
bool half_pair_logits(nf_context *context, const op_pair_logits *a);
bool half_transition(nf_context *context, const op_transition *a);

// Logits and mask (heads, n, n) in the form that keep_logits writes, and the bytes of a head.
int64_t tiled_logits(int64_t n);
void pack_logits(const float *logits, const float *mask, int64_t n_head, int64_t n, void *to);

#endif
