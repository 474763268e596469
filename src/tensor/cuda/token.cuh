// The token transformer's ops on Hopper, in fp16 with fp32 sums; each says false where it does not take the sizes, and
// then has done nothing.
#ifndef NF_TENSOR_CUDA_TOKEN_CUH
#define NF_TENSOR_CUDA_TOKEN_CUH

#include "tensor/cuda/common.cuh"

bool half_attention(nf_context *context, const op_attention *a);
bool half_atom_attention(nf_context *context, const op_atom_attention *a);
bool half_linears(nf_context *context, const op_linears *a);
bool half_transition(nf_context *context, const op_transition *a);

#endif
