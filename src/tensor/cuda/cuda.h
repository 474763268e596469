// The CUDA device as the rest of the tensor room sees it: present in builds with cuda=1.
#ifndef NF_TENSOR_CUDA_CUDA_H
#define NF_TENSOR_CUDA_CUDA_H

#include "tensor/device.h"

#ifdef __cplusplus
extern "C" {
#endif

// The ops, or NULL if this machine has no GPU that they run on: cuda_problem says why in a sentence.
const nf_ops *cuda_ops(void);
const char *cuda_problem(void);
// Before the first of the above: the named card is taken to be there, for dry contexts alone. False: no such card is known.
bool cuda_assume(const char *name);
// Likewise: which of the visible GPUs, and the most bytes to take of its memory (0: all).
void cuda_choose(int device, int64_t most_bytes);

#ifdef __cplusplus
}
#endif

#endif
