// Hopper's own instructions: products by a warpgroup (four warps, beginning at a multiple of four) with operands in shared
// memory, copies in bulk, and barriers in shared memory that both complete on. The body of a kernel that uses them stands
// within #ifdef HOPPER_CODE: it is compiled for sm_90a alone, and launched where hopper() says so.
#ifndef NF_TENSOR_CUDA_HOPPER_CUH
#define NF_TENSOR_CUDA_HOPPER_CUH

#include "tensor/cuda/common.cuh"

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
#define HOPPER_CODE
#endif

// Does this device run such kernels? NATIVEFOLD_CUDA_HOPPER=0 says no, to try the kernels for others.
bool hopper(void);
// Multiprocessors of the device: blocks of a kernel that stays resident.
int hopper_blocks(void);

// ---- barriers in shared memory ----

static __device__ __forceinline__ void barrier_init(uint64_t *barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals) : "memory");
}
// Makes barriers known to the copy engine: after the last barrier_init, before __syncthreads.
static __device__ __forceinline__ void barrier_publish() { asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory"); }
static __device__ __forceinline__ void barrier_arrive(uint64_t *barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
}
// One arrival, and `bytes` are to come.
static __device__ __forceinline__ void barrier_expect(uint64_t *barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes) : "memory");
}
// Until the phase of that parity is over.
static __device__ __forceinline__ void barrier_wait(uint64_t *barrier, int parity) {
  asm volatile(
      "{\n.reg .pred done;\nagain:\nmbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n@done bra over;\nbra again;\n"
      "over:\n}\n" ::"r"(shared_address(barrier)),
      "r"(parity)
      : "memory");
}
// `bytes` (a multiple of 16) from global to shared memory, both 16-byte aligned.
static __device__ __forceinline__ void copy_bulk(void *to, const void *from, int bytes, uint64_t *barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                   shared_address(to)),
               "l"(from), "r"(bytes), "r"(shared_address(barrier))
               : "memory");
}
// Bytes that will be wanted later, on their way to the second-level cache by then.
static __device__ __forceinline__ void prefetch_bulk(const void *from, int bytes) {
  asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;" ::"l"(from), "r"(bytes) : "memory");
}
// Shared memory written by ordinary stores is about to be read by the matrix units or the copy engine.
static __device__ __forceinline__ void publish_shared() { asm volatile("fence.proxy.async.shared::cta;" ::: "memory"); }
// Among `threads` of the block.
static __device__ __forceinline__ void group_sync(int barrier, int threads) {
  asm volatile("bar.sync %0, %1;" ::"r"(barrier), "r"(threads) : "memory");
}
template <int N>
static __device__ __forceinline__ void registers_more() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(N));
}
template <int N>
static __device__ __forceinline__ void registers_fewer() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(N));
}

// ---- products ----

// An operand in shared memory, in rows of 128 bytes, eight of them together: the 16 bytes at c of row r lie at c ^ r % 8.
// Rows hold 64 values along k; or 64 along the operand's other side ("transposed"), and its next 64 lie `other` bytes on.
// Eight rows follow eight rows. A step of 16 along k is + 2 (32 bytes), or + 128 transposed (16 rows).
static __device__ __forceinline__ uint64_t operand_128(const void *p, int other = 16) {
  return (uint64_t)((shared_address(p) & 0x3ffff) >> 4) | (uint64_t)(other >> 4) << 16 | (uint64_t)(1024 >> 4) << 32 | 1ull << 62;
}
// In rows of 64 bytes: 32 values along k, the 16 bytes at c of row r at c ^ r / 2 % 4.
static __device__ __forceinline__ uint64_t operand_64(const void *p) {
  return (uint64_t)((shared_address(p) & 0x3ffff) >> 4) | 1ull << 16 | (uint64_t)(512 >> 4) << 32 | 2ull << 62;
}

// Before products that read registers written since, after the last of a set, and until at most PENDING sets are under way.
static __device__ __forceinline__ void products_begin() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
static __device__ __forceinline__ void products_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int PENDING>
static __device__ __forceinline__ void products_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(PENDING) : "memory");
}
// Keeps the compiler from moving uses of results across a wait.
template <int N>
static __device__ __forceinline__ void products_settle(float (&d)[N][4]) {
#pragma unroll
  for (int i = 0; i < N; i++) asm volatile("" : "+f"(d[i][0]), "+f"(d[i][1]), "+f"(d[i][2]), "+f"(d[i][3])::"memory");
}
template <int N>
static __device__ __forceinline__ void products_settle(uint32_t (&a)[N][4]) {
#pragma unroll
  for (int i = 0; i < N; i++) asm volatile("" : "+r"(a[i][0]), "+r"(a[i][1]), "+r"(a[i][2]), "+r"(a[i][3])::"memory");
}

#define HOPPER_4(d, j) "+f"(d[j][0]), "+f"(d[j][1]), "+f"(d[j][2]), "+f"(d[j][3])
#define HOPPER_16(d, j) HOPPER_4(d, j), HOPPER_4(d, j + 1), HOPPER_4(d, j + 2), HOPPER_4(d, j + 3)
#define HOPPER_32(d, j) HOPPER_16(d, j), HOPPER_16(d, j + 4)
#define HOPPER_64(d, j) HOPPER_32(d, j), HOPPER_32(d, j + 8)
#define HOPPER_TEXT_32                                                                                             \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, " \
  "%24, %25, %26, %27, %28, %29, %30, %31"
#define HOPPER_TEXT_64                                                                                              \
  HOPPER_TEXT_32 ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, " \
                 "%51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define HOPPER_TEXT_128                                                                                               \
  HOPPER_TEXT_64 ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81, %82, "   \
                 "%83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, %96, %97, %98, %99, %100, %101, "   \
                 "%102, %103, %104, %105, %106, %107, %108, %109, %110, %111, %112, %113, %114, %115, %116, %117, "    \
                 "%118, %119, %120, %121, %122, %123, %124, %125, %126, %127"

// d (64 x 8 N) = a (64 x 16) b (16 x 8 N), added to d where `add`. Of each warp's 16 rows, a lane has in d[j] what mma_bf16
// gives it for columns 8 j .. 8 j + 7, and in a what mma_bf16 takes.
static __device__ __forceinline__ void product(float (&d)[8][4], const uint32_t (&a)[4], uint64_t b, bool add) {
  asm volatile(
      "{\n.reg .pred add;\nsetp.ne.b32 add, %37, 0;\nwgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" HOPPER_TEXT_32
      "}, {%32, %33, %34, %35}, %36, add, 1, 1, 0;\n}\n"
      : HOPPER_32(d, 0)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"((int)add));
}
static __device__ __forceinline__ void product(float (&d)[16][4], const uint32_t (&a)[4], uint64_t b, bool add) {
  asm volatile(
      "{\n.reg .pred add;\nsetp.ne.b32 add, %69, 0;\nwgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" HOPPER_TEXT_64
      "}, {%64, %65, %66, %67}, %68, add, 1, 1, 0;\n}\n"
      : HOPPER_64(d, 0)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"((int)add));
}
// The same with a in shared memory, transposed or not.
template <bool TRANSPOSED>
static __device__ __forceinline__ void product(float (&d)[8][4], uint64_t a, uint64_t b, bool add) {
  asm volatile(
      "{\n.reg .pred add;\nsetp.ne.b32 add, %34, 0;\nwgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {" HOPPER_TEXT_32
      "}, %32, %33, add, 1, 1, %35, 0;\n}\n"
      : HOPPER_32(d, 0)
      : "l"(a), "l"(b), "r"((int)add), "n"(TRANSPOSED ? 1 : 0));
}
template <bool TRANSPOSED>
static __device__ __forceinline__ void product(float (&d)[16][4], uint64_t a, uint64_t b, bool add) {
  asm volatile(
      "{\n.reg .pred add;\nsetp.ne.b32 add, %66, 0;\nwgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {" HOPPER_TEXT_64
      "}, %64, %65, add, 1, 1, %67, 0;\n}\n"
      : HOPPER_64(d, 0)
      : "l"(a), "l"(b), "r"((int)add), "n"(TRANSPOSED ? 1 : 0));
}

// Four 8 x 8 matrices of 16-bit values, each transposed, from registers as mma_bf16 gives them: lane l gives the address of
// row l % 8 of matrix l / 8.
static __device__ __forceinline__ void store_matrix_transposed(void *row, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(shared_address(row)), "r"(a),
               "r"(b), "r"(c), "r"(d)
               : "memory");
}
static __device__ __forceinline__ float tanh_fast(float x) {
  float y;
  asm("tanh.approx.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// ---- panels of 64 rows, one for a warpgroup ----

// A row of C values takes ROW in shared memory, so that a quad's 16-byte reads of two rows meet no bank twice.
template <int C>
struct row_panel {
  enum { ROW = C + 32, VALUES = 64 * ROW };
};
// Where element (n, k) of an operand with rows of k lies, in panels of `rows` rows and 64 k: the place in values.
static __host__ __device__ __forceinline__ int64_t operand_place(int n, int k, int rows) {
  return (int64_t)(k / 64) * rows * 64 + n * 64 + ((k % 64 / 8) ^ (n & 7)) * 8 + k % 8;
}
// The reverse, for packing: place -> n and k.
static __host__ __device__ __forceinline__ void operand_element(int64_t place, int rows, int *n, int *k) {
  int panel = (int)(place / (rows * 64)), at = (int)(place % (rows * 64));
  *n = at / 64;
  *k = panel * 64 + ((at % 64 / 8) ^ (*n & 7)) * 8 + at % 8;
}

// One warp: `rows` rows of `c` values each, the one after the other in global memory, `stride` values apart in shared memory.
static __device__ __forceinline__ void copy_rows(bf16 *to, int stride, const bf16 *from, int c, int rows, uint64_t *barrier) {
  int lane = threadIdx.x % 32;
  if (lane == 0) barrier_expect(barrier, rows * c * (int)sizeof(bf16));
  __syncwarp();
  for (int r = lane; r < rows; r += 32) copy_bulk(to + r * stride, from + (int64_t)r * c, c * (int)sizeof(bf16), barrier);
}

// A warpgroup: the norm of its 64 rows as a left operand, k in the order of panel_column. scale, offset: in shared memory.
template <int C>
static __device__ __forceinline__ void norm_operand(const bf16 *panel, const float *scale, const float *offset,
                                                    uint32_t (&a)[C / 16][4]) {
  int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, row = threadIdx.x / 32 % 4 * 16 + g;
#pragma unroll
  for (int r = 0; r < 2; r++) {
    float v[C / 32][8], sum = 0, square = 0;
#pragma unroll
    for (int q = 0; q < C / 32; q++) {
      unpack_eight(*(const uint4 *)(panel + (row + 8 * r) * row_panel<C>::ROW + 32 * q + 8 * t), v[q]);
#pragma unroll
      for (int e = 0; e < 8; e++) sum += v[q][e];
    }
    sum += __shfl_xor_sync(0xffffffffu, sum, 1);
    sum += __shfl_xor_sync(0xffffffffu, sum, 2);
    float mean = sum / C;
#pragma unroll
    for (int q = 0; q < C / 32; q++)
#pragma unroll
      for (int e = 0; e < 8; e++) v[q][e] -= mean, square += v[q][e] * v[q][e];
    square += __shfl_xor_sync(0xffffffffu, square, 1);
    square += __shfl_xor_sync(0xffffffffu, square, 2);
    float inverse = rsqrtf(square / C + 1e-5f);
#pragma unroll
    for (int q = 0; q < C / 32; q++) {
      float s[8], o[8];
#pragma unroll
      for (int e = 0; e < 8; e += 4) {
        *(float4 *)(s + e) = *(const float4 *)(scale + 32 * q + 8 * t + e);
        *(float4 *)(o + e) = *(const float4 *)(offset + 32 * q + 8 * t + e);
      }
#pragma unroll
      for (int j = 0; j < 4; j++)
        a[2 * q + j / 2][r + j % 2 * 2] = pack_bf16(v[q][2 * j] * inverse * s[2 * j] + o[2 * j],
                                                    v[q][2 * j + 1] * inverse * s[2 * j + 1] + o[2 * j + 1]);
    }
  }
}
// Everybody: a norm's scale and offset into shared memory.
template <int C>
static __device__ __forceinline__ void keep_norm(const float *scale, const float *offset, float *to_scale, float *to_offset) {
  for (int i = threadIdx.x; i < C; i += blockDim.x) {
    to_scale[i] = scale ? scale[i] : 1.0f;
    to_offset[i] = offset ? offset[i] : 0.0f;
  }
}

#endif
