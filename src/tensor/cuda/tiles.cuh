// Beside hopper.cuh: tiles that the copy engine cuts out of tensors, and products of fp16 operands.
#ifndef NF_TENSOR_CUDA_TILES_CUH
#define NF_TENSOR_CUDA_TILES_CUH

#include <cuda.h>
#include <cuda_fp16.h>

#include "tensor/cuda/hopper.cuh"

// A tensor of fp16 values as the copy engine sees it, cut in boxes of 64 values by `rows`: an operand of rows of 128 bytes.
// Axis 0 is contiguous with n[0] values; the others have strides in values, multiples of 8. What lies outside is zeros.
typedef struct {
  const half *data;
  int n_dims;
  int64_t n[4], stride[4];  // stride[0] is not read
  int rows_axis, rows;      // the box: 64 along axis 0, `rows` along this one, 1 along others
} tile_source;
CUtensorMap tile_map(const tile_source *source);

static __device__ __forceinline__ void copy_tile(void *to, const CUtensorMap *map, uint64_t *barrier, int c0, int c1) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];" ::"r"(
                   shared_address(to)), "l"(map), "r"(shared_address(barrier)), "r"(c0), "r"(c1)
               : "memory");
}
static __device__ __forceinline__ void copy_tile(void *to, const CUtensorMap *map, uint64_t *barrier, int c0, int c1, int c2, int c3) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5, %6}], [%2];" ::"r"(
          shared_address(to)), "l"(map), "r"(shared_address(barrier)), "r"(c0), "r"(c1), "r"(c2), "r"(c3)
      : "memory");
}

// *to += v, by the second-level cache; `to` is 16-byte aligned.
static __device__ __forceinline__ void add_at(float *to, float4 v) {
  asm volatile("red.relaxed.gpu.global.add.v4.f32 [%0], {%1, %2, %3, %4};" ::"l"(to), "f"(v.x), "f"(v.y), "f"(v.z), "f"(v.w)
               : "memory");
}

#ifdef HOPPER_CODE
// As `product` of hopper.cuh, in fp16. b: 128 columns, a in shared memory; 64 columns; 48 or 24 columns that lie
// contiguous, with rows along k.
static __device__ __forceinline__ void product_half(float (&d)[16][4], uint64_t a, uint64_t b, bool add) {
  asm volatile(
      "{\n.reg .pred add;\nsetp.ne.b32 add, %66, 0;\nwgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {" HOPPER_TEXT_64
      "}, %64, %65, add, 1, 1, 0, 0;\n}\n"
      : HOPPER_64(d, 0)
      : "l"(a), "l"(b), "r"((int)add));
}
static __device__ __forceinline__ void product_half(float (&d)[8][4], const uint32_t (&a)[4], uint64_t b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16 {" HOPPER_TEXT_32 "}, {%32, %33, %34, %35}, %36, 1, 1, 1, 0;\n"
               : HOPPER_32(d, 0)
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}
static __device__ __forceinline__ void product_half_transposed(float (&d)[6][4], const uint32_t (&a)[4], uint64_t b) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n48k16.f32.f16.f16 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23}, {%24, %25, %26, %27}, %28, 1, 1, 1, 1;\n"
      : HOPPER_16(d, 0), HOPPER_4(d, 4), HOPPER_4(d, 5)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}
static __device__ __forceinline__ void product_half_transposed(float (&d)[3][4], const uint32_t (&a)[4], uint64_t b) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n24k16.f32.f16.f16 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11}, {%12, %13, %14, %15}, "
      "%16, 1, 1, 1, 1;\n"
      : HOPPER_4(d, 0), HOPPER_4(d, 1), HOPPER_4(d, 2)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}
#endif

#endif
