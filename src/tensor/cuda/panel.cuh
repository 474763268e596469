// Kernels for wide, shallow products in bf16: a panel of rows is normalised into shared memory once, and weights pass
// by. Rows of 64 or 128 channels.
#ifndef NF_TENSOR_CUDA_PANEL_CUH
#define NF_TENSOR_CUDA_PANEL_CUH

#include "tensor/cuda/common.cuh"

bool panel_transition_fits(int64_t c, int64_t n);
void panel_transition(nf_context *context, const op_transition *a);

// Each thread of a quad gets 8 consecutive columns of a group of 32: the column that packed column p holds.
static __host__ __device__ __forceinline__ int panel_column(int p) {
  return p / 32 * 32 + p % 8 / 2 * 8 + p % 32 / 8 * 2 + p % 2;
}

// One warp: rows first .. first + n (a multiple of 4) of a panel, of which `valid` exist, normalised into h, whose rows
// are C + 8 apart.
template <int C>
static __device__ __forceinline__ void panel_norm(const float *x, int64_t valid, const float *scale, const float *offset,
                                                  bf16 *h, int first, int n) {
  enum { V = C / 32 };
  int lane = threadIdx.x % 32;
  float s[V], o[V];
#pragma unroll
  for (int v = 0; v < V; v++) {
    s[v] = scale ? scale[lane * V + v] : 1.0f;
    o[v] = offset ? offset[lane * V + v] : 0.0f;
  }
  for (int r = first; r < first + n; r += 4) {
    float value[4][V];
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const float *row = x + (int64_t)(r + i) * C + lane * V;
      if (r + i >= valid) {
#pragma unroll
        for (int v = 0; v < V; v++) value[i][v] = 0;
      } else if (V == 4) {
        float4 f = *(const float4 *)row;
        value[i][0] = f.x, value[i][1] = f.y, value[i][V - 2] = f.z, value[i][V - 1] = f.w;
      } else {
        float2 f = *(const float2 *)row;
        value[i][0] = f.x, value[i][1] = f.y;
      }
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
      float sum = 0, square = 0;
#pragma unroll
      for (int v = 0; v < V; v++) sum += value[i][v];
      float mean = warp_sum(sum) / C;
#pragma unroll
      for (int v = 0; v < V; v++) square += (value[i][v] - mean) * (value[i][v] - mean);
      float inverse = rsqrtf(warp_sum(square) / C + 1e-5f);
      uint32_t *to = (uint32_t *)(h + (r + i) * (C + 8) + lane * V);
#pragma unroll
      for (int v = 0; v < V; v += 2)
        to[v / 2] = pack_bf16((value[i][v] - mean) * inverse * s[v] + o[v],
                              (value[i][v + 1] - mean) * inverse * s[v + 1] + o[v + 1]);
    }
  }
}

// One warp: acc (32 rows x NT * 8 columns) += h (rows of C + 8) w (C rows of `stride`).
template <int C, int NT>
static __device__ __forceinline__ void panel_product(const bf16 *h, const bf16 *w, int stride, float acc[2][NT][4]) {
  int lane = threadIdx.x % 32, q = lane / 8, r8 = lane % 8;
#pragma unroll
  for (int l = 0; l < C; l += 16) {
    uint32_t fa[2][4];
#pragma unroll
    for (int i = 0; i < 2; i++) load_matrix(fa[i], h + (16 * i + q % 2 * 8 + r8) * (C + 8) + l + q / 2 * 8);
#pragma unroll
    for (int j = 0; j < NT; j += 2) {
      uint32_t fb[4];
      load_matrix_transposed(fb, w + (l + q % 2 * 8 + r8) * stride + 8 * j + q / 2 * 8);
#pragma unroll
      for (int i = 0; i < 2; i++) {
        mma_bf16(acc[i][j], fa[i], fb[0], fb[1]);
        mma_bf16(acc[i][j + 1], fa[i], fb[2], fb[3]);
      }
    }
  }
}

// Everybody: `rows` rows of `columns` values (a multiple of 8) into shared memory, in the background.
static __device__ __forceinline__ void panel_weights(const bf16 *from, int rows, int columns, bf16 *to, int stride) {
  int chunks = columns / 8;
  for (int i = threadIdx.x; i < rows * chunks; i += blockDim.x)
    copy_async(to + i / chunks * stride + i % chunks * 8, from + (int64_t)i * 8, true);
}

// Weights in the order in which a kernel wants them: to[i] = factor * w[at(i)], 0 where at(i) is negative.
template <class F>
struct pack_weights {
  F at;
  const float *w;
  float factor;
  bf16 *to;
  __device__ void operator()(int64_t i) const {
    int64_t from = at(i);
    to[i] = __float2bfloat16(from < 0 ? 0.0f : w[from] * factor);
  }
};
template <class F>
static void launch_pack(int64_t n, const F &at, const float *w, float factor, bf16 *to) {
  launch_each(n, pack_weights<F>{at, w, factor, to});
}
// (k, n) with columns for 8 consecutive ones a thread; w element (l, j) at l * k_stride + j * n_stride.
struct permuted_columns {
  int64_t n, k_stride, n_stride;
  __device__ int64_t operator()(int64_t i) const { return i / n * k_stride + panel_column((int)(i % n)) * n_stride; }
};

#endif
