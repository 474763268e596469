// Products of fp16 operands with fp32 sums, on Hopper's matrix units. fp16 has as many digits as TF32, at twice its rate
// and half its bytes; its range suffices for what a layer norm has made, for weights and attention; where it might not,
// values are scaled or held at the largest.
#ifndef NF_TENSOR_CUDA_HALF_CUH
#define NF_TENSOR_CUDA_HALF_CUH

#include "tensor/cuda/tiles.cuh"

// May a product be made in fp16 here?
static inline bool half_possible(void) { return !cuda_fp32 && hopper(); }

static __device__ __forceinline__ uint32_t pack_half(float low, float high) {
  const float most = 65504;
  half2 v = __floats2half2_rn(fminf(fmaxf(low, -most), most), fminf(fmaxf(high, -most), most));
  return *(uint32_t *)&v;
}
// For values that are known to fit.
static __device__ __forceinline__ uint32_t pack_half_small(float low, float high) {
  half2 v = __floats2half2_rn(low, high);
  return *(uint32_t *)&v;
}
static __device__ __forceinline__ float2 unpack_half(uint32_t v) { return __half22float2(*(half2 *)&v); }
// As mma_bf16.
static __device__ __forceinline__ void mma_half(float c[4], const uint32_t a[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
// Two units' work where sigmoid takes a division.
static __device__ __forceinline__ float sigmoid_fast(float x) { return __fdividef(1.0f, 1.0f + __expf(-x)); }
static __device__ __forceinline__ uint4 pack_half_eight(const float v[8]) {
  return uint4{pack_half(v[0], v[1]), pack_half(v[2], v[3]), pack_half(v[4], v[5]), pack_half(v[6], v[7])};
}

// y (m, c) in fp16 = x normalised; its scale and shift are the condition's (row r of P reads r % P), else the norm's.
// c is a multiple of 128, at most 1024. as_it_is, if given: x without all that.
bool half_norm_fits(int64_t c);
void half_norm(const float *x, int64_t m, int64_t c, const op_norm *norm, const op_condition *condition, half *y, half *as_it_is = NULL);
// Rows of 128 channels under two conditions, one result after the other.
void half_norm_two(const float *x, int64_t m, const op_condition *first, const op_condition *second, half *y);

// Weights packed for half_gemm: (n, k) with k contiguous and rows in the order that gives each thread 8 consecutive
// columns. Several layers of one input side by side, of `columns` outputs each.
enum { HALF_LAYERS = 8 };
typedef struct {
  int64_t k, columns;
  int n_layers;
  const float *w[HALF_LAYERS];          // (k, columns)
  const float *row_scale[HALF_LAYERS];  // (k), or NULL: 1
  float factor[HALF_LAYERS];
  bool pairs;  // one layer: column j of its first half next to column j of its second
} half_weights;
// The model's weights are packed once and kept; others into scratch of the context, at each call. Dry: NULL, counted.
const half *half_pack(nf_context *context, const half_weights *weights);

// ---- C (m, n) = A (m, k) B^T, both in fp16 with k contiguous, B packed; k a multiple of 8, n of 8 ----
// e(row, column, v): eight columns of C from `column` on and eight from column + 32 on; with E::pairs the same eight columns
// of the first half and of the second. With E::sectors, threads trade fours of floats before, so that what they store at a
// time lies in whole sectors of 32 bytes: of each eight, the first four are then those from sector_first(column) on, the
// others those from sector_second(column) on.
static __device__ __forceinline__ int sector_first(int column) { return column / 8 % 2 ? column - 4 : column; }
static __device__ __forceinline__ int sector_second(int column) { return column / 8 % 2 ? column + 4 : column + 8; }
static __device__ __forceinline__ void trade_fours(float (&v)[8]) {
  bool odd = threadIdx.x % 2;
#pragma unroll
  for (int l = 0; l < 4; l++) {
    float got = __shfl_xor_sync(0xffffffffu, odd ? v[l] : v[4 + l], 1);
    (odd ? v[l] : v[4 + l]) = got;
  }
}

// B, or several with as many columns each, one after another.
template <int PARTS>
struct half_right {
  CUtensorMap part[PARTS];
  int columns;  // of a part
};

enum { HALF_TILE = 128, HALF_K = 64, HALF_STAGES = 3, HALF_STAGE_BYTES = 2 * HALF_TILE * HALF_K * 2 };
static const size_t half_shared = 1024 + HALF_STAGES * HALF_STAGE_BYTES + 2 * HALF_STAGES * sizeof(uint64_t);

// Two warpgroups of 64 rows by 128 columns, and a warp that fetches. Two blocks share a multiprocessor: one multiplies while
// the other begins or ends. (Blocks in clusters that fetch for one another were slower: they wait for each other.) Columns
// of a part from `split` on read rows of A that lie `split_rows` further.
template <class E, int PARTS>
__global__ void __launch_bounds__(288, 2)
    half_gemm_kernel(const __grid_constant__ CUtensorMap a, const __grid_constant__ half_right<PARTS> b, int m, int k_steps,
                     int split, int split_rows, E e) {
#ifdef HOPPER_CODE
  extern __shared__ char half_memory[];
  char *tiles = (char *)(((uintptr_t)half_memory + 1023) & ~(uintptr_t)1023);
  uint64_t *full = (uint64_t *)(tiles + HALF_STAGES * HALF_STAGE_BYTES), *empty = full + HALF_STAGES;
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, m0 = blockIdx.x * HALF_TILE, n0 = blockIdx.y * HALF_TILE;
  if (threadIdx.x == 0) {
    for (int s = 0; s < HALF_STAGES; s++) {
      barrier_init(full + s, 1);
      barrier_init(empty + s, 8);
    }
    barrier_publish();
  }
  __syncthreads();
  if (warp == 8) {
    if (lane == 0) {
      int part = PARTS > 1 ? n0 / b.columns : 0, of_part = n0 - part * b.columns, row = m0 + (of_part >= split ? split_rows : 0);
      for (int i = 0; i < k_steps; i++) {
        int s = i % HALF_STAGES, turn = i / HALF_STAGES;
        if (turn > 0) barrier_wait(empty + s, (turn - 1) & 1);
        char *to = tiles + s * HALF_STAGE_BYTES;
        barrier_expect(full + s, HALF_STAGE_BYTES);
        copy_tile(to, &a, full + s, i * HALF_K, row);
        copy_tile(to + HALF_STAGE_BYTES / 2, &b.part[part], full + s, i * HALF_K, of_part);
      }
    }
  } else {
    float acc[16][4];
    for (int i = 0; i < k_steps; i++) {
      int s = i % HALF_STAGES;
      barrier_wait(full + s, i / HALF_STAGES & 1);
      const char *tile = tiles + s * HALF_STAGE_BYTES;
      uint64_t da = operand_128(tile + warp / 4 * 64 * 128), db = operand_128(tile + HALF_STAGE_BYTES / 2);
      products_begin();
#pragma unroll
      for (int l = 0; l < HALF_K / 16; l++) product_half(acc, da + 2 * l, db + 2 * l, i + l > 0);
      products_commit();
      if (i > 0) {
        products_wait<1>();
        if (lane == 0) barrier_arrive(empty + (i - 1) % HALF_STAGES);
      }
    }
    products_wait<0>();
    products_settle(acc);
#pragma unroll
    for (int s = 0; s < 2; s++) {
      int row = m0 + warp * 16 + lane / 4 + 8 * s;
#pragma unroll
      for (int group = 0; group < 4; group += 2) {
        float v[2][8];
#pragma unroll
        for (int l = 0; l < 16; l++) v[l / 8][l % 8] = acc[4 * group + l / 2][2 * s + l % 2];
        if (E::sectors) trade_fours(v[0]), trade_fours(v[1]);
        if (row < m) e(row, (E::pairs ? n0 / 2 + group / 2 * 32 : n0 + group * 32) + lane % 4 * 8, v);
      }
    }
  }
#endif
}
// a has `a_rows` rows of k. b: n_parts of n columns each; if there are several, n is a multiple of HALF_TILE.
template <int PARTS, class E>
static void half_gemm_parts(int64_t m, int64_t n, int64_t k, const half *a, int64_t a_rows, int n_parts, const half *const *b,
                            const E &e, int64_t split, int64_t split_rows) {
  static bool allowed;
  if (!allowed) allow_shared(half_gemm_kernel<E, PARTS>, half_shared), allowed = true;
  tile_source left = {a, 2, {k, a_rows}, {1, k}, 1, HALF_TILE};
  half_right<PARTS> right = {};
  right.columns = (int)n;
  for (int i = 0; i < n_parts; i++) {
    tile_source part = {b[i], 2, {k, round_up(n, HALF_TILE)}, {1, k}, 1, HALF_TILE};
    right.part[i] = tile_map(&part);
  }
  dim3 grid((unsigned)ceil_div(m, HALF_TILE), (unsigned)(n_parts * ceil_div(n, HALF_TILE)));
  half_gemm_kernel<E, PARTS><<<grid, 288, half_shared, cuda_stream>>>(tile_map(&left), right, (int)m, (int)ceil_div(k, HALF_K),
                                                                      (int)split, (int)split_rows, e);
  CUDA_CHECK(cudaGetLastError());
}
template <class E>
static void half_gemm(int64_t m, int64_t n, int64_t k, const half *a, int64_t a_rows, const half *b, const E &e,
                      int64_t split = INT32_MAX, int64_t split_rows = 0) {
  half_gemm_parts<1>(m, n, k, a, a_rows, 1, &b, e, split, split_rows);
}

// x += gate * factor * C, the gate's row being the row modulo P
struct half_add_gated {
  static const bool pairs = false, sectors = true;
  float *x;
  const float *gate;  // or NULL: 1
  int64_t c;  // a multiple of 32
  uint32_t p;
  float factor;
  __device__ void operator()(int row, int column, const float (&v)[2][8]) const {
    bool there[2] = {column < c, column + 32 < c};
    int at[2] = {sector_first(column), sector_second(column)};
    float *to = x + row * c;
    const float *factors = gate ? gate + (int64_t)((uint32_t)row % p) * c : NULL;
    float4 g[4];
#pragma unroll
    for (int i = 0; i < 4; i++)
      g[i] = factors && there[i / 2] ? __ldg((const float4 *)(factors + at[i % 2] + i / 2 * 32)) : float4{1, 1, 1, 1};
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const float *w = v[i / 2] + i % 2 * 4;
      // Where the memory is: nothing waits for what x was. One thread alone adds to a value.
      if (there[i / 2])
        add_at(to + at[i % 2] + i / 2 * 32,
               float4{g[i].x * factor * w[0], g[i].y * factor * w[1], g[i].z * factor * w[2], g[i].w * factor * w[3]});
    }
  }
};
static inline half_add_gated half_add(float *x, int64_t c, const op_condition *condition, float factor) {
  bool gated = tensor_given(condition->gate);
  return half_add_gated{x, gated ? condition->gate.data : NULL, c, gated ? (uint32_t)tensor_rows(condition->gate) : 1u, factor};
}

#endif
