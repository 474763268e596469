// Attention without a score matrix in memory, for any sizes: operands in fp32, products in TF32 or fp32.
#ifndef NF_TENSOR_CUDA_FLASH_CUH
#define NF_TENSOR_CUDA_FLASH_CUH

#include "tensor/cuda/common.cuh"

// Rows of q, k, v and o are `ld...` apart and hold the heads one after the other. F says where things are:
//   int64_t query_row(batch, query), key_row(batch, key): -1 for a key of zeros
//   const float *bias(batch, head, query, key)
//   float add(batch, query, key): what masks add to the score
typedef struct {
  const float *q, *k, *v;
  const float *gate;   // as q, or NULL: what comes out is multiplied by its sigmoid
  const float *q_bias;  // (heads, d), or NULL
  float *o;
  int64_t ld_q, ld_kv, ld_o;
  int n_query, n_key, d;
  float scale;
} flash_operands;

enum { FLASH_KEYS = 64 };

// A warp takes 16 queries. DP: channels of a head, padded with zeros to a multiple of 8.
template <int DP, bool FP32, class F>
__global__ void __launch_bounds__(128) flash_kernel(flash_operands a, int query_tiles, F f) {
  enum { LD = DP + 4, KN = FLASH_KEYS / 8, DN = DP / 8 };
  __shared__ float ks[FLASH_KEYS * LD], vs[FLASH_KEYS * LD];
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  int64_t batch = blockIdx.x / query_tiles;
  int head = blockIdx.y, first = (int)(blockIdx.x % query_tiles) * (int)(blockDim.x / 2) + warp * 16;
  int query[2] = {first + g, first + g + 8};
  bool full = a.d == DP && a.ld_kv % 4 == 0;

  float fq[DN][4];
#pragma unroll
  for (int s = 0; s < 2; s++) {
    const float *row = query[s] < a.n_query ? a.q + f.query_row(batch, query[s]) * a.ld_q + head * a.d : NULL;
#pragma unroll
    for (int i = 0; i < DN; i++)
#pragma unroll
      for (int r = 0; r < 2; r++) {
        int l = 8 * i + t + 4 * r;
        float v = row && l < a.d ? (row[l] + (a.q_bias ? a.q_bias[head * a.d + l] : 0.0f)) * a.scale : 0.0f;
        fq[i][s + 2 * r] = FP32 ? v : __uint_as_float(to_tf32(v));
      }
  }
  float out[DN][4] = {}, most[2] = {-INFINITY, -INFINITY}, total[2] = {0, 0};
  const float log2_e = 1.44269504f;

  for (int k0 = 0; k0 < a.n_key; k0 += FLASH_KEYS) {
    __syncthreads();
    if (full) {
      for (int i = threadIdx.x; i < FLASH_KEYS * (DP / 4); i += blockDim.x) {
        int key = i / (DP / 4), l = i % (DP / 4) * 4;
        int64_t row = k0 + key < a.n_key ? f.key_row(batch, k0 + key) : -1;
        float4 k = {0, 0, 0, 0}, v = k;
        if (row >= 0) {
          k = *(const float4 *)(a.k + row * a.ld_kv + head * DP + l);
          v = *(const float4 *)(a.v + row * a.ld_kv + head * DP + l);
          if (!FP32) {
            k = float4{__uint_as_float(to_tf32(k.x)), __uint_as_float(to_tf32(k.y)), __uint_as_float(to_tf32(k.z)),
                       __uint_as_float(to_tf32(k.w))};
            v = float4{__uint_as_float(to_tf32(v.x)), __uint_as_float(to_tf32(v.y)), __uint_as_float(to_tf32(v.z)),
                       __uint_as_float(to_tf32(v.w))};
          }
        }
        *(float4 *)(ks + key * LD + l) = k;
        *(float4 *)(vs + key * LD + l) = v;
      }
    } else {
      for (int i = threadIdx.x; i < FLASH_KEYS * DP; i += blockDim.x) {
        int key = i / DP, l = i % DP;
        int64_t row = k0 + key < a.n_key && l < a.d ? f.key_row(batch, k0 + key) : -1;
        float k = row < 0 ? 0.0f : a.k[row * a.ld_kv + head * a.d + l], v = row < 0 ? 0.0f : a.v[row * a.ld_kv + head * a.d + l];
        ks[key * LD + l] = FP32 ? k : __uint_as_float(to_tf32(k));
        vs[key * LD + l] = FP32 ? v : __uint_as_float(to_tf32(v));
      }
    }
    __syncthreads();
    float score[KN][4];
#pragma unroll
    for (int j = 0; j < KN; j++)
#pragma unroll
      for (int s = 0; s < 4; s++) {
        int key = k0 + 8 * j + 2 * t + s % 2, i = query[s / 2];
        bool there = key < a.n_key && i < a.n_query;
        score[j][s] = !there ? (key < a.n_key ? 0.0f : -INFINITY) : *f.bias(batch, head, i, key) + f.add(batch, i, key);
      }
#pragma unroll
    for (int j = 0; j < KN; j++)
#pragma unroll
      for (int i = 0; i < DN; i++) {
        float fb[2];
#pragma unroll
        for (int s = 0; s < 2; s++) fb[s] = ks[(8 * j + g) * LD + 8 * i + t + 4 * s];
        if (FP32) mma_float<true>(score[j], fq[i], fb);
        else mma_tf32(score[j], (const uint32_t *)fq[i], (const uint32_t *)fb);
      }
#pragma unroll
    for (int s = 0; s < 2; s++) {
      float high = most[s];
#pragma unroll
      for (int j = 0; j < KN; j++) high = fmaxf(high, fmaxf(score[j][2 * s], score[j][2 * s + 1]));
      high = fmaxf(high, __shfl_xor_sync(0xffffffffu, high, 1));
      high = fmaxf(high, __shfl_xor_sync(0xffffffffu, high, 2));
      float factor = exp2_fast((most[s] - high) * log2_e), sum = 0;
      most[s] = high;
#pragma unroll
      for (int j = 0; j < KN; j++)
#pragma unroll
        for (int e = 0; e < 2; e++) {
          float p = exp2_fast((score[j][2 * s + e] - high) * log2_e);
          sum += p;
          score[j][2 * s + e] = FP32 ? p : __uint_as_float(to_tf32(p));
        }
      total[s] = total[s] * factor + sum;
#pragma unroll
      for (int i = 0; i < DN; i++) out[i][2 * s] *= factor, out[i][2 * s + 1] *= factor;
    }
    // The sum over keys takes them in the order in which the scores lie: 2 t first, then 2 t + 1.
#pragma unroll
    for (int j = 0; j < KN; j++) {
      float fa[4] = {score[j][0], score[j][2], score[j][1], score[j][3]};
#pragma unroll
      for (int i = 0; i < DN; i++) {
        float fb[2];
#pragma unroll
        for (int s = 0; s < 2; s++) fb[s] = vs[(8 * j + 2 * t + s) * LD + 8 * i + g];
        if (FP32) mma_float<true>(out[i], fa, fb);
        else mma_tf32(out[i], (const uint32_t *)fa, (const uint32_t *)fb);
      }
    }
  }
#pragma unroll
  for (int s = 0; s < 2; s++) {
    float sum = total[s];
    sum += __shfl_xor_sync(0xffffffffu, sum, 1);
    sum += __shfl_xor_sync(0xffffffffu, sum, 2);
    if (query[s] >= a.n_query) continue;
    float *row = a.o + f.query_row(batch, query[s]) * a.ld_o + head * a.d, inverse = 1.0f / sum;
    const float *gate = a.gate ? a.gate + f.query_row(batch, query[s]) * a.ld_q + head * a.d : NULL;
#pragma unroll
    for (int i = 0; i < DN; i++)
#pragma unroll
      for (int e = 0; e < 2; e++)
        if (8 * i + 2 * t + e < a.d)
          row[8 * i + 2 * t + e] = out[i][2 * s + e] * inverse * (gate ? sigmoid(gate[8 * i + 2 * t + e]) : 1.0f);
  }
}

template <int DP, class F>
static void flash_launch(const flash_operands &a, int64_t batches, int64_t heads, const F &f) {
  int threads = a.n_query <= 32 ? 64 : 128, tiles = (int)ceil_div(a.n_query, threads / 2);
  dim3 grid((unsigned)(batches * tiles), (unsigned)heads);
  if (cuda_fp32) flash_kernel<DP, true><<<grid, threads, 0, cuda_stream>>>(a, tiles, f);
  else flash_kernel<DP, false><<<grid, threads, 0, cuda_stream>>>(a, tiles, f);
  CUDA_CHECK(cudaGetLastError());
}
template <class F>
static void flash(const flash_operands &a, int64_t batches, int64_t heads, const F &f) {
  if (a.d <= 8) flash_launch<8>(a, batches, heads, f);
  else if (a.d <= 16) flash_launch<16>(a, batches, heads, f);
  else if (a.d <= 24) flash_launch<24>(a, batches, heads, f);
  else if (a.d <= 32) flash_launch<32>(a, batches, heads, f);
  else if (a.d <= 48) flash_launch<48>(a, batches, heads, f);
  else {
    NF_ASSERT(a.d <= 64);  // no published head is wider
    flash_launch<64>(a, batches, heads, f);
  }
}

#endif
