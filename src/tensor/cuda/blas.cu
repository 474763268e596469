// cuBLASLt behind one function. Plans (descriptors and the algorithm chosen for a shape) are kept for the process.
#include <cublasLt.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/cuda/blas.cuh"

#define FUNCTIONS(F)                                                                                                  \
  F(cublasLtCreate) F(cublasLtMatmulDescCreate) F(cublasLtMatmulDescSetAttribute) F(cublasLtMatrixLayoutCreate)         \
  F(cublasLtMatrixLayoutSetAttribute) F(cublasLtMatmulPreferenceCreate) F(cublasLtMatmulPreferenceSetAttribute)          \
  F(cublasLtMatmulPreferenceDestroy) F(cublasLtMatmulAlgoGetHeuristic) F(cublasLtMatmul)
#define DECLARE(name) static decltype(&name) p_##name;
FUNCTIONS(DECLARE)
#undef DECLARE

static const size_t workspace_bytes = (size_t)32 << 20;
static void *workspace;
static cublasLtHandle_t handle;

static bool load_library(void) {
  const char *wish = getenv("NATIVEFOLD_CUBLASLT");
  if (wish && strcmp(wish, "0") == 0) return false;
  // The interface of these functions is the same from version 11 on; a struct of the algorithm is passed through.
  static const char *const names[] = {"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so",
                                      "/usr/local/cuda/lib64/libcublasLt.so"};
  void *library = NULL;
  for (size_t i = 0; i < sizeof names / sizeof *names && !library; i++) library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
  if (!library) return false;
#define FIND(name)                                       \
  p_##name = (decltype(&name))dlsym(library, #name);     \
  if (!p_##name) return false;
  FUNCTIONS(FIND)
#undef FIND
  if (p_cublasLtCreate(&handle) != CUBLAS_STATUS_SUCCESS) return false;
  if (cudaMalloc(&workspace, workspace_bytes) == cudaSuccess) return true;
  cudaGetLastError();
  return false;
}

bool blas_present(void) {
  static bool tried, loaded;
  if (!tried) loaded = load_library(), tried = true;
  return loaded;
}

// A shape's plan; the key is the product without its addresses.
typedef struct {
  blas_product key;
  bool usable;
  cublasLtMatmulDesc_t operation;
  cublasLtMatrixLayout_t a, b, c;
  cublasLtMatmulAlgo_t algorithm;
} plan;

static cublasLtMatrixLayout_t layout(bool bf16_values, int64_t rows, int64_t columns, int64_t ld, int64_t batches, int64_t stride) {
  cublasLtMatrixLayout_t l = NULL;
  if (p_cublasLtMatrixLayoutCreate(&l, bf16_values ? CUDA_R_16BF : CUDA_R_32F, (uint64_t)rows, (uint64_t)columns, ld) !=
      CUBLAS_STATUS_SUCCESS)
    return NULL;
  int32_t count = (int32_t)batches;
  p_cublasLtMatrixLayoutSetAttribute(l, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &count, sizeof count);
  p_cublasLtMatrixLayoutSetAttribute(l, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride, sizeof stride);
  return l;
}

// The library is column-major: what it sees are the transposes, so B comes first.
static bool make_layouts(const blas_product *p, plan *ret) {
  ret->b = p->b_transposed ? layout(p->bf16, p->k, p->n, p->ld_b, p->batches, p->batch_b)
                           : layout(p->bf16, p->n, p->k, p->ld_b, p->batches, p->batch_b);
  ret->a = p->a_transposed ? layout(p->bf16, p->m, p->k, p->ld_a, p->batches, p->batch_a)
                           : layout(p->bf16, p->k, p->m, p->ld_a, p->batches, p->batch_a);
  ret->c = layout(p->bf16, p->n, p->m, p->ld_c, p->batches, p->batch_c);
  return ret->a && ret->b && ret->c;
}

static bool make_plan(const blas_product *p, plan *ret) {
  cublasLtMatmulDesc_t operation;
  if (p_cublasLtMatmulDescCreate(&operation, p->bf16 || p->exact ? CUBLAS_COMPUTE_32F : CUBLAS_COMPUTE_32F_FAST_TF32, CUDA_R_32F) !=
      CUBLAS_STATUS_SUCCESS)
    return false;
  cublasOperation_t first = p->b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N, second = p->a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N;
  p_cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_TRANSA, &first, sizeof first);
  p_cublasLtMatmulDescSetAttribute(operation, CUBLASLT_MATMUL_DESC_TRANSB, &second, sizeof second);
  ret->operation = operation;
  cublasLtMatmulPreference_t preference;
  if (p_cublasLtMatmulPreferenceCreate(&preference) != CUBLAS_STATUS_SUCCESS) return false;
  p_cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &workspace_bytes,
                                         sizeof workspace_bytes);
  uint32_t no_parts = CUBLASLT_REDUCTION_SCHEME_NONE;  // k in one go: else the order of sums depends on the shape
  if (p->whole_m)
    p_cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &no_parts, sizeof no_parts);
  blas_product whole = *p;
  if (p->whole_m) {
    whole.m = p->whole_m, whole.n = p->whole_n, whole.batches = p->whole_batches;
    const int64_t row_a = p->a_transposed ? whole.m : whole.k, row_b = p->b_transposed ? whole.k : whole.n;
    whole.ld_a = whole.ld_a > row_a ? whole.ld_a : round_up(row_a, 16);
    whole.ld_b = whole.ld_b > row_b ? whole.ld_b : round_up(row_b, 16);
    whole.ld_c = whole.ld_c > whole.n ? whole.ld_c : round_up(whole.n, 16);
    whole.batch_a = (p->a_transposed ? whole.k : whole.m) * whole.ld_a;
    whole.batch_b = (p->b_transposed ? whole.n : whole.k) * whole.ld_b;
    whole.batch_c = whole.m * whole.ld_c;
  }
  cublasLtMatmulHeuristicResult_t result;
  int found = 0;
  cublasStatus_t status = CUBLAS_STATUS_NOT_SUPPORTED;
  if (make_layouts(&whole, ret))
    status = p_cublasLtMatmulAlgoGetHeuristic(handle, operation, ret->b, ret->a, ret->c, ret->c, preference, 1, &result, &found);
  p_cublasLtMatmulPreferenceDestroy(preference);
  if (status != CUBLAS_STATUS_SUCCESS || found == 0) return false;
  ret->algorithm = result.algo;
  return make_layouts(p, ret);
}

bool blas(const blas_product *p) {
  enum { MOST_PLANS = 1024 };
  static plan *plans;
  static int n_plans;
  if (!blas_present()) return false;
  int64_t align = p->bf16 ? 8 : 4;
  if (p->ld_a % align || p->ld_b % align || p->ld_c % align || ((uintptr_t)p->a | (uintptr_t)p->b | (uintptr_t)p->c) & 15)
    return false;
  int i = 0;
  while (i < n_plans) {
    const blas_product *k = &plans[i].key;
    if (k->m == p->m && k->n == p->n && k->k == p->k && k->batches == p->batches && k->ld_a == p->ld_a && k->ld_b == p->ld_b &&
        k->ld_c == p->ld_c && k->batch_a == p->batch_a && k->batch_b == p->batch_b && k->batch_c == p->batch_c &&
        k->a_transposed == p->a_transposed && k->b_transposed == p->b_transposed && k->bf16 == p->bf16 && k->add == p->add &&
        k->whole_m == p->whole_m && k->whole_n == p->whole_n && k->whole_batches == p->whole_batches && k->exact == p->exact)
      break;
    i++;
  }
  if (i == n_plans) {
    if (n_plans == MOST_PLANS) return false;
    if (!plans) plans = (plan *)calloc(MOST_PLANS, sizeof *plans);
    if (!plans) return false;
    plans[i].key = *p;
    plans[i].usable = make_plan(p, &plans[i]);
    n_plans++;
  }
  const plan *found = &plans[i];
  if (!found->usable) return false;
  float one = 1, beta = p->add ? 1.0f : 0.0f;
  return p_cublasLtMatmul(handle, found->operation, &one, p->b, found->b, p->a, found->a, &beta, p->c, found->c, p->c, found->c,
                          &found->algorithm, workspace, workspace_bytes, cuda_stream) == CUBLAS_STATUS_SUCCESS;
}
