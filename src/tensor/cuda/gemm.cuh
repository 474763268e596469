// Matrix products. gemm: fp32 operands of any strides, products in TF32 or fp32, a norm in front and any function
// behind. gemm_bf16: bf16 operands, copied in the background.
#ifndef NF_TENSOR_CUDA_GEMM_CUH
#define NF_TENSOR_CUDA_GEMM_CUH

#include "tensor/cuda/common.cuh"

// A (m, k): element (i, l) at x[i * m_stride + l * k_stride]; normalised on the way if stats are given: with mean and
// 1 / deviation of each row, then scale and offset of row i % p (NULL: 1 and 0); max(., 0) if relu.
typedef struct {
  const float *x;
  int64_t m_stride, k_stride, batch_stride;
  const float2 *stats;
  const float *scale, *offset;
  int64_t p, scale_stride;
  bool relu;
} gemm_left;
static inline gemm_left left_rows(const float *x, int64_t k) { return gemm_left{x, k, 1, 0, NULL, NULL, NULL, 1, 0, false}; }

// B (k, n): element (l, j) at w[l * k_stride + j * n_stride]. A dual product makes a second one with the columns that
// lie `second` further, and hands both results to the epilogue together.
typedef struct {
  const float *w;
  int64_t k_stride, n_stride, batch_stride, second;
} gemm_right;
static inline gemm_right right_rows(const float *w, int64_t n) { return gemm_right{w, n, 1, 0, 0}; }

enum { GEMM_M = 128, GEMM_N = 128, GEMM_K = 32, GEMM_LDA = GEMM_K + 4, GEMM_LDB = GEMM_N + 8 };
static const size_t gemm_shared = 2 * (GEMM_M * GEMM_LDA + GEMM_K * GEMM_LDB) * sizeof(float);

// Eight warps, each 32 x 64 of the tile. Epilogue: e(batch, i, j, value), or e(batch, i, j, first, second) if dual.
template <bool FP32, bool DUAL, bool VEC_A, bool VEC_B, class E>
__global__ void __launch_bounds__(256) gemm_kernel(int64_t m, int n, int k, gemm_left a, gemm_right b, int n_tiles, E e) {
  extern __shared__ float gemm_memory[];
  float *as = gemm_memory, *bs = gemm_memory + 2 * GEMM_M * GEMM_LDA;
  enum { WIDTH = DUAL ? GEMM_N / 2 : GEMM_N };
  int64_t m0 = (int64_t)(blockIdx.x / n_tiles) * GEMM_M, batch = blockIdx.z;
  int n0 = (int)(blockIdx.x % n_tiles) * WIDTH;
  int thread = threadIdx.x, warp = thread / 32, lane = thread % 32, g = lane / 4, t = lane % 4;
  int wm = warp / 2 * 32, wn = warp % 2 * 64;
  const float *x = a.x + batch * a.batch_stride, *w = b.w + batch * b.batch_stride;
  float ra[16], rb[16];

  // The column of B that column s of the tile holds; past the end: at least n.
  auto column = [&](int s, int64_t *offset) {
    if (!DUAL) {
      *offset = 0;
      return n0 + s;
    }
    *offset = s % 64 < 32 ? 0 : b.second;
    return n0 + s / 64 * 32 + s % 32;
  };
  auto adjust = [&](float v, int64_t row, int l, float2 stats) {
    if (a.stats) {
      int64_t at = a.p == 1 ? l : (uint32_t)row % (uint32_t)a.p * a.scale_stride + l;
      v = (v - stats.x) * stats.y;
      if (a.scale) v *= a.scale[at];
      if (a.offset) v += a.offset[at];
    }
    return a.relu ? fmaxf(v, 0.0f) : v;
  };
  auto load = [&](int k0) {
    if (VEC_A) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        int64_t row = m0 + thread / 8 + 32 * i;
        int l = k0 + thread % 8 * 4;
        float4 v = {0, 0, 0, 0};
        if (row < m && l < k) {
          v = *(const float4 *)(x + row * a.m_stride + l);
          if (a.stats || a.relu) {
            float2 stats = a.stats ? a.stats[row] : float2{0, 1};
            v.x = adjust(v.x, row, l, stats);
            v.y = adjust(v.y, row, l + 1, stats);
            v.z = adjust(v.z, row, l + 2, stats);
            v.w = adjust(v.w, row, l + 3, stats);
          }
        }
        ra[4 * i] = v.x, ra[4 * i + 1] = v.y, ra[4 * i + 2] = v.z, ra[4 * i + 3] = v.w;
      }
    } else {
#pragma unroll
      for (int i = 0; i < 16; i++) {
        int at = thread + 256 * i, l = k0 + (a.k_stride == 1 ? at % GEMM_K : at / GEMM_M);
        int64_t row = m0 + (a.k_stride == 1 ? at / GEMM_K : at % GEMM_M);
        ra[i] = 0;
        if (row < m && l < k)
          ra[i] = adjust(x[row * a.m_stride + l * a.k_stride], row, l, a.stats ? a.stats[row] : float2{0, 1});
      }
    }
    if (VEC_B) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        int l = k0 + thread / 32 + 8 * i;
        int64_t offset;
        int j = column(thread % 32 * 4, &offset);
        float4 v = {0, 0, 0, 0};
        if (l < k && j < n) v = *(const float4 *)(w + l * b.k_stride + j + offset);
        rb[4 * i] = v.x, rb[4 * i + 1] = v.y, rb[4 * i + 2] = v.z, rb[4 * i + 3] = v.w;
      }
    } else {
#pragma unroll
      for (int i = 0; i < 16; i++) {
        int at = thread + 256 * i, l = k0 + (b.n_stride == 1 ? at / GEMM_N : at % GEMM_K);
        int64_t offset;
        int j = column(b.n_stride == 1 ? at % GEMM_N : at / GEMM_K, &offset);
        rb[i] = l < k && j < n ? w[l * b.k_stride + (j + offset) * b.n_stride] : 0.0f;
      }
    }
    if (!FP32) {
#pragma unroll
      for (int i = 0; i < 16; i++) {
        ra[i] = __uint_as_float(to_tf32(ra[i]));
        rb[i] = __uint_as_float(to_tf32(rb[i]));
      }
    }
  };
  auto store = [&](int buffer) {
    float *ta = as + buffer * GEMM_M * GEMM_LDA, *tb = bs + buffer * GEMM_K * GEMM_LDB;
    if (VEC_A) {
#pragma unroll
      for (int i = 0; i < 4; i++)
        *(float4 *)(ta + (thread / 8 + 32 * i) * GEMM_LDA + thread % 8 * 4) =
            float4{ra[4 * i], ra[4 * i + 1], ra[4 * i + 2], ra[4 * i + 3]};
    } else {
#pragma unroll
      for (int i = 0; i < 16; i++) {
        int at = thread + 256 * i;
        ta[a.k_stride == 1 ? at / GEMM_K * GEMM_LDA + at % GEMM_K : at % GEMM_M * GEMM_LDA + at / GEMM_M] = ra[i];
      }
    }
    if (VEC_B) {
#pragma unroll
      for (int i = 0; i < 4; i++)
        *(float4 *)(tb + (thread / 32 + 8 * i) * GEMM_LDB + thread % 32 * 4) =
            float4{rb[4 * i], rb[4 * i + 1], rb[4 * i + 2], rb[4 * i + 3]};
    } else {
#pragma unroll
      for (int i = 0; i < 16; i++) {
        int at = thread + 256 * i;
        tb[b.n_stride == 1 ? at / GEMM_N * GEMM_LDB + at % GEMM_N : at % GEMM_K * GEMM_LDB + at / GEMM_K] = rb[i];
      }
    }
  };

  float acc[2][8][4] = {};
  load(0);
  store(0);
  __syncthreads();
  int steps = (k + GEMM_K - 1) / GEMM_K;
  for (int step = 0; step < steps; step++) {
    if (step + 1 < steps) load((step + 1) * GEMM_K);
    const float *ta = as + step % 2 * GEMM_M * GEMM_LDA, *tb = bs + step % 2 * GEMM_K * GEMM_LDB;
#pragma unroll
    for (int l = 0; l < GEMM_K; l += 8) {
      float fa[2][4], fb[8][2];
#pragma unroll
      for (int i = 0; i < 2; i++)
#pragma unroll
        for (int s = 0; s < 4; s++) fa[i][s] = ta[(wm + 16 * i + g + s % 2 * 8) * GEMM_LDA + l + t + s / 2 * 4];
#pragma unroll
      for (int j = 0; j < 8; j++)
#pragma unroll
        for (int s = 0; s < 2; s++) fb[j][s] = tb[(l + t + 4 * s) * GEMM_LDB + wn + 8 * j + g];
#pragma unroll
      for (int i = 0; i < 2; i++)
#pragma unroll
        for (int j = 0; j < 8; j++) {
          if (FP32) mma_float<true>(acc[i][j], fa[i], fb[j]);
          else mma_tf32(acc[i][j], (const uint32_t *)fa[i], (const uint32_t *)fb[j]);
        }
    }
    if (step + 1 < steps) store((step + 1) % 2);
    __syncthreads();
  }
#pragma unroll
  for (int i = 0; i < 2; i++)
#pragma unroll
    for (int j = 0; j < (DUAL ? 4 : 8); j++)
#pragma unroll
      for (int s = 0; s < 4; s++) {
        int64_t row = m0 + wm + 16 * i + g + s / 2 * 8;
        int col = n0 + (DUAL ? wn / 2 : wn) + 8 * j + 2 * t + s % 2;
        if (row >= m || col >= n) continue;
        if constexpr (DUAL) e(batch, row, col, acc[i][j][s], acc[i][j + 4][s]);
        else e(batch, row, col, acc[i][j][s]);
      }
}

template <bool FP32, bool DUAL, bool VEC_A, bool VEC_B, class E>
static void gemm_launch(int64_t m, int64_t n, int64_t k, int64_t batches, const gemm_left &a, const gemm_right &b, const E &e) {
  auto kernel = gemm_kernel<FP32, DUAL, VEC_A, VEC_B, E>;
  static bool allowed;
  if (!allowed) allow_shared(kernel, gemm_shared), allowed = true;
  int n_tiles = (int)ceil_div(n, DUAL ? GEMM_N / 2 : GEMM_N);
  dim3 grid((unsigned)(ceil_div(m, GEMM_M) * n_tiles), 1, (unsigned)batches);
  kernel<<<grid, 256, gemm_shared, cuda_stream>>>(m, (int)n, (int)k, a, b, n_tiles, e);
  CUDA_CHECK(cudaGetLastError());
}

template <bool DUAL, class E>
static void gemm_choose(int64_t m, int64_t n, int64_t k, int64_t batches, const gemm_left &a, const gemm_right &b, const E &e) {
  if (m <= 0 || n <= 0 || batches <= 0) return;
  auto fits = [](const void *p) { return ((uintptr_t)p & 15) == 0; };
  bool vec_a = a.k_stride == 1 && a.m_stride % 4 == 0 && a.batch_stride % 4 == 0 && k % 4 == 0 && fits(a.x);
  bool vec_b = b.n_stride == 1 && b.k_stride % 4 == 0 && b.batch_stride % 4 == 0 && n % 4 == 0 && b.second % 4 == 0 &&
               fits(b.w);
  if (cuda_fp32) gemm_launch<true, DUAL, false, false>(m, n, k, batches, a, b, e);
  else if (vec_a && vec_b) gemm_launch<false, DUAL, true, true>(m, n, k, batches, a, b, e);
  else gemm_launch<false, DUAL, false, false>(m, n, k, batches, a, b, e);
}
template <class E>
static void gemm(int64_t m, int64_t n, int64_t k, int64_t batches, const gemm_left &a, const gemm_right &b, const E &e) {
  gemm_choose<false>(m, n, k, batches, a, b, e);
}
template <class E>
static void gemm_dual(int64_t m, int64_t n, int64_t k, const gemm_left &a, const gemm_right &b, const E &e) {
  gemm_choose<true>(m, n, k, 1, a, b, e);
}

// Mean and 1 / sqrt(variance + 1e-5) of rows (m, c).
struct row_stats {
  const float *x;
  int64_t c;
  float2 *stats;
  __device__ void operator()(int64_t r, int lane) const {
    const float *row = x + r * c;
    float sum = 0, square = 0;
    for (int64_t l = lane; l < c; l += 32) sum += row[l];
    float mean = warp_sum(sum) / (float)c;
    for (int64_t l = lane; l < c; l += 32) square += (row[l] - mean) * (row[l] - mean);
    float variance = warp_sum(square) / (float)c;
    if (lane == 0) stats[r] = float2{mean, rsqrtf(variance + 1e-5f)};
  }
};
static inline void make_stats(const float *x, int64_t m, int64_t c, float2 *stats) {
  launch_warps(m, row_stats{x, c, stats});
}
// A's rows through a norm, adaptive if the condition has a scale.
static inline gemm_left left_norm(const float *x, int64_t c, const float2 *stats, const op_norm *norm,
                                  const op_condition *condition) {
  gemm_left a = left_rows(x, c);
  a.stats = stats;
  if (condition && tensor_given(condition->scale)) {
    a.scale = condition->scale.data;
    a.offset = condition->shift.data;
    a.p = tensor_rows(condition->scale);
    a.scale_stride = c;
  } else {
    a.scale = norm->scale.data;
    a.offset = norm->offset.data;
  }
  return a;
}

// y = value
struct put {
  float *y;
  int64_t stride, batch_stride;
  __device__ void operator()(int64_t b, int64_t i, int j, float v) const { y[b * batch_stride + i * stride + j] = v; }
};
// x += gate[i % p] * value
struct add_gated {
  float *x;
  int64_t c;
  const float *gate;
  int64_t p;
  __device__ void operator()(int64_t, int64_t i, int j, float v) const {
    x[i * c + j] += gate ? gate[(uint32_t)i % (uint32_t)p * c + j] * v : v;
  }
};
static inline add_gated add_to(float *x, int64_t c, const op_condition *condition) {
  if (condition && tensor_given(condition->gate)) return add_gated{x, c, condition->gate.data, tensor_rows(condition->gate)};
  return add_gated{x, c, NULL, 1};
}

// Where 8 consecutive values of a bf16 operand begin: at(outer, inner).
struct bf16_rows {
  const bf16 *x;
  int64_t stride, batch_stride;
  __device__ const bf16 *at(int64_t batch, int64_t outer, int64_t inner) const {
    return x + batch * batch_stride + outer * stride + inner;
  }
};

// Products of bf16 operands: tiles of 128 x 128 x 64 by four warps of 64 x 64, three tiles in flight.
// BY_ROWS: the operand is (m, k) or (n, k) with k contiguous and padded with zeros to a multiple of 8; else it is
// (k, m) or (k, n), rows readable to a multiple of 8. Rows begin at multiples of 16 bytes.
// Epilogue: e(batch, i, j, value of j, value of j + 1), j even and below n.
enum { BF_M = 128, BF_N = 128, BF_K = 64, BF_STAGES = 3, BF_TILE = BF_M * BF_K };
static const size_t gemm_bf16_shared = BF_STAGES * 2 * BF_TILE * sizeof(bf16);

template <bool A_BY_ROWS, bool B_BY_ROWS, class A, class B, class E>
__global__ void __launch_bounds__(128, 2) gemm_bf16_kernel(int64_t m, int64_t n, int64_t k, A a, B b, int n_tiles, E e) {
  extern __shared__ __align__(128) bf16 bf16_memory[];
  bf16 *as = bf16_memory, *bs = bf16_memory + BF_STAGES * BF_TILE;
  int thread = threadIdx.x, warp = thread / 32, lane = thread % 32, g = lane / 4, t = lane % 4;
  // Eight rows of tiles pass together, so that their operands stay in the second-level cache.
  int64_t batch = blockIdx.z, m_tiles = (m + BF_M - 1) / BF_M, band = (int64_t)blockIdx.x / (8 * n_tiles),
          band_rows = m_tiles - band * 8 < 8 ? m_tiles - band * 8 : 8, within = (int64_t)blockIdx.x - band * 8 * n_tiles;
  int64_t m0 = (band * 8 + within % band_rows) * BF_M, n0 = within / band_rows * BF_N;
  int wm = warp / 2 * 64, wn = warp % 2 * 64;

  auto load = [&](int64_t k0, int stage) {
    bf16 *ta = as + stage * BF_TILE, *tb = bs + stage * BF_TILE;
#pragma unroll
    for (int i = 0; i < 8; i++) {
      int at = thread + 128 * i;
      if (A_BY_ROWS) {
        int row = at / 8, c = at % 8;
        bool valid = m0 + row < m && k0 + c * 8 < k;
        copy_async(ta + row * 64 + ((c ^ (row & 7)) * 8), valid ? a.at(batch, m0 + row, k0 + c * 8) : a.x, valid);
      } else {
        int row = at / 16, c = at % 16;
        bool valid = k0 + row < k && m0 + c * 8 < m;
        copy_async(ta + row * 128 + ((c ^ (row & 7)) * 8), valid ? a.at(batch, k0 + row, m0 + c * 8) : a.x, valid);
      }
      if (B_BY_ROWS) {
        int row = at / 8, c = at % 8;
        bool valid = n0 + row < n && k0 + c * 8 < k;
        copy_async(tb + row * 64 + ((c ^ (row & 7)) * 8), valid ? b.at(batch, n0 + row, k0 + c * 8) : b.x, valid);
      } else {
        int row = at / 16, c = at % 16;
        bool valid = k0 + row < k && n0 + c * 8 < n;
        copy_async(tb + row * 128 + ((c ^ (row & 7)) * 8), valid ? b.at(batch, k0 + row, n0 + c * 8) : b.x, valid);
      }
    }
  };

  float acc[4][8][4] = {};
  int64_t steps = (k + BF_K - 1) / BF_K;
#pragma unroll
  for (int s = 0; s < BF_STAGES - 1; s++) {
    if (s < steps) load((int64_t)s * BF_K, s);
    copy_commit();
  }
  int q = lane / 8, r8 = lane % 8;
  for (int64_t step = 0; step < steps; step++) {
    copy_wait<BF_STAGES - 2>();
    __syncthreads();
    if (step + BF_STAGES - 1 < steps) load((step + BF_STAGES - 1) * BF_K, (int)((step + BF_STAGES - 1) % BF_STAGES));
    copy_commit();
    const bf16 *ta = as + step % BF_STAGES * BF_TILE, *tb = bs + step % BF_STAGES * BF_TILE;
#pragma unroll
    for (int l = 0; l < BF_K; l += 16) {
      uint32_t fa[4][4], fb[4][4];
#pragma unroll
      for (int i = 0; i < 4; i++) {
        if (A_BY_ROWS) {
          int row = wm + 16 * i + q % 2 * 8 + r8, c = l / 8 + q / 2;
          load_matrix(fa[i], ta + row * 64 + ((c ^ (row & 7)) * 8));
        } else {
          int row = l + q / 2 * 8 + r8, c = (wm + 16 * i) / 8 + q % 2;
          load_matrix_transposed(fa[i], ta + row * 128 + ((c ^ (row & 7)) * 8));
        }
      }
#pragma unroll
      for (int j = 0; j < 4; j++) {
        if (B_BY_ROWS) {
          int row = wn + 16 * j + q / 2 * 8 + r8, c = l / 8 + q % 2;
          load_matrix(fb[j], tb + row * 64 + ((c ^ (row & 7)) * 8));
        } else {
          int row = l + q % 2 * 8 + r8, c = (wn + 16 * j) / 8 + q / 2;
          load_matrix_transposed(fb[j], tb + row * 128 + ((c ^ (row & 7)) * 8));
        }
      }
#pragma unroll
      for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) {
          mma_bf16(acc[i][2 * j], fa[i], fb[j][0], fb[j][1]);
          mma_bf16(acc[i][2 * j + 1], fa[i], fb[j][2], fb[j][3]);
        }
    }
  }
#pragma unroll
  for (int i = 0; i < 4; i++)
#pragma unroll
    for (int j = 0; j < 8; j++)
#pragma unroll
      for (int s = 0; s < 2; s++) {
        int64_t row = m0 + wm + 16 * i + g + 8 * s, col = n0 + wn + 8 * j + 2 * t;
        if (row < m && col < n) e(batch, row, col, acc[i][j][2 * s], acc[i][j][2 * s + 1]);
      }
}

template <bool A_BY_ROWS, bool B_BY_ROWS, class A, class B, class E>
static void gemm_bf16(int64_t m, int64_t n, int64_t k, int64_t batches, const A &a, const B &b, const E &e) {
  if (m <= 0 || n <= 0 || batches <= 0) return;
  auto kernel = gemm_bf16_kernel<A_BY_ROWS, B_BY_ROWS, A, B, E>;
  static bool allowed;
  if (!allowed) allow_shared(kernel, gemm_bf16_shared), allowed = true;
  int n_tiles = (int)ceil_div(n, BF_N);
  dim3 grid((unsigned)(ceil_div(m, BF_M) * n_tiles), 1, (unsigned)batches);
  kernel<<<grid, 128, gemm_bf16_shared, cuda_stream>>>(m, n, k, a, b, n_tiles, e);
  CUDA_CHECK(cudaGetLastError());
}

#endif
