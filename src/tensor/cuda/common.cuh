// What the files of this folder share: the stream, launches, and the pieces kernels are made of.
#ifndef NF_TENSOR_CUDA_COMMON_CUH
#define NF_TENSOR_CUDA_COMMON_CUH

#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <stdint.h>

#ifndef _Noreturn
#define _Noreturn __attribute__((noreturn))
#endif
extern "C" {
#include "base/memory.h"
#include "base/status.h"
#include "tensor/ops.h"
}

typedef __nv_bfloat16 bf16;

// Everything runs in order on one stream.
extern cudaStream_t cuda_stream;
// True where every product is to be made in fp32 (NATIVEFOLD_CUDA_FP32=1): to tell a wrong kernel from rounding.
extern bool cuda_fp32;

// Ends the program with one sentence if a call failed: a device that fails in the middle of a job does not come back.
void cuda_check(cudaError_t error, const char *file, int line);
#define CUDA_CHECK(call) cuda_check((call), __FILE__, __LINE__)

// All device memory comes from here: NULL if the card has none left, or the ceiling would be passed.
void *cuda_allocate(size_t bytes);
void cuda_release(void *memory);  // NULL is fine

// Of the card that is taken to be there, for dry contexts; 0: none is.
int cuda_assumed_major(void);

// May products be made in bf16? Else in TF32 (or fp32).
static inline bool cuda_bf16(const nf_context *context) { return context->reduced && !cuda_fp32; }

#define CUDA_OP(op) extern "C" void cuda_##op(nf_context *context, const op_##op *a)
CUDA_OP(layer_norm);
CUDA_OP(linear);
CUDA_OP(linears);
CUDA_OP(transition);
CUDA_OP(triangle_multiply);
CUDA_OP(triangle_attention);
CUDA_OP(pair_logits);
CUDA_OP(attention);
CUDA_OP(keep_logits);
extern "C" int64_t cuda_kept_logits(int64_t n, int64_t c, int64_t d);
CUDA_OP(keep_rows);
extern "C" int64_t cuda_kept_rows(int64_t c);
CUDA_OP(atom_attention);
CUDA_OP(outer_product_mean);
CUDA_OP(pair_average);
CUDA_OP(gather);
CUDA_OP(copy_columns);
CUDA_OP(scale);
CUDA_OP(outer_sum);
CUDA_OP(relative_embed);
CUDA_OP(relative_concat);
CUDA_OP(add_rows);
CUDA_OP(msa_embed);
CUDA_OP(distance_embed);
CUDA_OP(template_embed);
CUDA_OP(atom_embed);
CUDA_OP(atom_pair);
CUDA_OP(atoms_to_tokens);
CUDA_OP(expectation);
CUDA_OP(augment);
CUDA_OP(add_normals);

static inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }

template <class T>
static inline T *scratch(nf_context *context, int64_t n) {
  return (T *)context_alloc(context, (size_t)n * sizeof(T));
}

// One thread for each of n items: f(i). F is a struct with a __device__ operator()(int64_t) const.
template <class F>
__global__ void each_kernel(int64_t n, F f) {
  for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (int64_t)gridDim.x * blockDim.x) f(i);
}
template <class F>
static void launch_each(int64_t n, const F &f) {
  if (n <= 0) return;
  int64_t blocks = ceil_div(n, 256);
  if (blocks > 1 << 20) blocks = 1 << 20;
  each_kernel<<<(unsigned)blocks, 256, 0, cuda_stream>>>(n, f);
  CUDA_CHECK(cudaGetLastError());
}

// One warp for each of n items: f(i, lane).
template <class F>
__global__ void warps_kernel(int64_t n, F f) {
  int64_t stride = (int64_t)gridDim.x * (blockDim.x / 32);
  for (int64_t i = (int64_t)blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32; i < n; i += stride)
    f(i, (int)(threadIdx.x % 32));
}
template <class F>
static void launch_warps(int64_t n, const F &f) {
  if (n <= 0) return;
  int64_t blocks = ceil_div(n, 8);
  if (blocks > 1 << 20) blocks = 1 << 20;
  warps_kernel<<<(unsigned)blocks, 256, 0, cuda_stream>>>(n, f);
  CUDA_CHECK(cudaGetLastError());
}

// A kernel with more shared memory than 48 KiB has to be told once.
template <class K>
static void allow_shared(K kernel, size_t bytes) {
  CUDA_CHECK(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes));
}

static __device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + __expf(-x)); }
static __device__ __forceinline__ float warp_sum(float x) {
#pragma unroll
  for (int s = 16; s > 0; s /= 2) x += __shfl_xor_sync(0xffffffffu, x, s);
  return x;
}
static __device__ __forceinline__ float warp_max(float x) {
#pragma unroll
  for (int s = 16; s > 0; s /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, s));
  return x;
}
static __device__ __forceinline__ uint32_t pack_bf16(float low, float high) {
  __nv_bfloat162 v = __floats2bfloat162_rn(low, high);
  return *(uint32_t *)&v;
}
static __device__ __forceinline__ float bf16_low(uint32_t v) { return __uint_as_float(v << 16); }
static __device__ __forceinline__ float bf16_high(uint32_t v) { return __uint_as_float(v & 0xffff0000u); }
// Eight consecutive values in one load or store.
static __device__ __forceinline__ void unpack_eight(uint4 words, float v[8]) {
  const uint32_t w[4] = {words.x, words.y, words.z, words.w};
#pragma unroll
  for (int e = 0; e < 4; e++) v[2 * e] = bf16_low(w[e]), v[2 * e + 1] = bf16_high(w[e]);
}
static __device__ __forceinline__ uint4 pack_eight(const float v[8]) {
  return uint4{pack_bf16(v[0], v[1]), pack_bf16(v[2], v[3]), pack_bf16(v[4], v[5]), pack_bf16(v[6], v[7])};
}
static __device__ __forceinline__ void add_eight(bf16 *to, const float v[8]) {
  float sum[8];
  unpack_eight(*(const uint4 *)to, sum);
#pragma unroll
  for (int e = 0; e < 8; e++) sum[e] += v[e];
  *(uint4 *)to = pack_eight(sum);
}
static __device__ __forceinline__ float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// Places of channels in packed operands: each thread of a quad has 8 consecutive channels of a group of 32, so that a row's
// values come and go 16 bytes at a time. The channel that packed place p holds, and the place of a channel.
static __host__ __device__ __forceinline__ int panel_column(int p) {
  return p / 32 * 32 + p % 8 / 2 * 8 + p % 32 / 8 * 2 + p % 2;
}
static __host__ __device__ __forceinline__ int panel_place(int channel) {
  return channel / 32 * 32 + channel % 8 / 2 * 8 + channel % 32 / 8 * 2 + channel % 2;
}

static __device__ __forceinline__ uint32_t shared_address(const void *p) { return (uint32_t)__cvta_generic_to_shared(p); }
// 16 bytes from global to shared memory in the background; zeros if not `valid`.
static __device__ __forceinline__ void copy_async(void *to, const void *from, bool valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(valid ? 16 : 0)
               : "memory");
}
static __device__ __forceinline__ void copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int PENDING>
static __device__ __forceinline__ void copy_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

// Four 8 x 8 matrices of 16-bit values: lane l gives the row address of row l % 8 of matrix l / 8.
static __device__ __forceinline__ void load_matrix(uint32_t r[4], const void *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row)) : "memory");
}
static __device__ __forceinline__ void load_matrix_transposed(uint32_t r[4], const void *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(shared_address(row)) : "memory");
}

// c (16 x 8) += a (16 x 16) b (16 x 8), bf16. With g = lane / 4, t = lane % 4: c0, c1 at (g, 2t), (g, 2t + 1), c2, c3 at
// row g + 8; a0, a1 at columns 2t, 2t + 1 of rows g, g + 8, a2, a3 at columns + 8; b0, b1 at rows 2t, 2t + 1 and + 8 of
// column g.
static __device__ __forceinline__ void mma_bf16(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
// d = c + a b with a c of its own.
static __device__ __forceinline__ void mma_bf16_from(float d[4], const float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%10, %11, %12, %13};"
      : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "f"(c[0]), "f"(c[1]), "f"(c[2]), "f"(c[3]));
}
// c (16 x 8) += a (16 x 8) b (8 x 8), TF32. a0, a1 at column t of rows g, g + 8, a2, a3 at column t + 4; b0, b1 at rows
// t, t + 4 of column g.
static __device__ __forceinline__ void mma_tf32(float c[4], const uint32_t a[4], const uint32_t b[2]) {
  asm volatile(
      "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
static __device__ __forceinline__ uint32_t to_tf32(float x) {
  uint32_t y;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(y) : "f"(x));
  return y;
}
// The same with operands in fp32: each is split in two TF32 parts, and the product of the small parts left out. The sum
// so far is added by itself, because the matrix units cut off where fp32 rounds.
template <bool FP32>
static __device__ __forceinline__ void mma_float(float c[4], const float a[4], const float b[2]) {
  uint32_t ah[4], bh[2];
#pragma unroll
  for (int i = 0; i < 4; i++) ah[i] = to_tf32(a[i]);
#pragma unroll
  for (int i = 0; i < 2; i++) bh[i] = to_tf32(b[i]);
  if (FP32) {
    uint32_t al[4], bl[2];
#pragma unroll
    for (int i = 0; i < 4; i++) al[i] = to_tf32(a[i] - __uint_as_float(ah[i]));
#pragma unroll
    for (int i = 0; i < 2; i++) bl[i] = to_tf32(b[i] - __uint_as_float(bh[i]));
    float part[4] = {0, 0, 0, 0};
    mma_tf32(part, al, bh);
    mma_tf32(part, ah, bl);
    mma_tf32(part, ah, bh);
#pragma unroll
    for (int i = 0; i < 4; i++) c[i] += part[i];
  } else {
    mma_tf32(c, ah, bh);
  }
}

#endif
