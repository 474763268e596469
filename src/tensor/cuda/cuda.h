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

#ifdef __cplusplus
}
#endif

#endif
