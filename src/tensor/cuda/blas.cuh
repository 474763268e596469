// Plain products by cuBLASLt, which is loaded when it is first wanted: a machine without it uses gemm.cuh alone.
#ifndef NF_TENSOR_CUDA_BLAS_CUH
#define NF_TENSOR_CUDA_BLAS_CUH

#include "tensor/cuda/common.cuh"

// C (m, n) = A (m, k) B (k, n), row-major; += if add. Strides between rows and between batches, in elements.
struct blas_product {
  int64_t m, n, k, batches;
  const void *a, *b;
  void *c;
  int64_t ld_a, ld_b, ld_c, batch_a, batch_b, batch_c;
  bool a_transposed;  // A lies as (k, m)
  bool b_transposed;  // B lies as (n, k)
  bool bf16;          // operands and result; else fp32, multiplied in TF32
  bool add;
  // Where this is a piece of a product: that product's m, n and batches, so that all pieces are made by one algorithm and add
  // up in one order. 0: it is none.
  int64_t whole_m = 0, whole_n = 0, whole_batches = 0;
  bool exact = false;  // fp32, and multiplied so
};

// False if the library is absent or does not take this product: then nothing has been done.
bool blas(const blas_product *p);
// What it allocates for itself, once; nothing if the library is absent.
bool blas_present(void);

// fp32 rows times fp32 rows.
static inline bool blas_rows(int64_t m, int64_t n, int64_t k, const float *a, const float *b, float *c, bool add) {
  if (cuda_fp32 || m * n * k < (int64_t)1 << 22) return false;
  blas_product p = {m, n, k, 1, a, b, c, k, n, n, 0, 0, 0, false, false, false, add};
  return blas(&p);
}
// The same in fp32, for products of so few tiles that gemm.cuh's own kernel, whose blocks are slow at that, would leave most of
// the card idle.
static inline bool blas_exact_rows(int64_t m, int64_t n, int64_t k, const float *a, const float *b, float *c) {
  const int64_t few_tiles = 132;
  if (m * n * k < (int64_t)1 << 22 || ceil_div(m, 128) * ceil_div(n, 128) > few_tiles) return false;
  blas_product p = {m, n, k, 1, a, b, c, k, n, n, 0, 0, 0, false, false, false, false};
  p.exact = true;
  return blas(&p);
}

#endif
