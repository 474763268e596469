// Pair logits of the token transformer: rows that are kept for them, and the form in which its attention reads them.
#include "tensor/cuda/half.cuh"
#include "tensor/cuda/token.cuh"

// Logits in tiles of 64 queries by 64 keys, in base 2, each value where the thread that needs it reads it: (heads, query
// tiles, key tiles, 4, 128 threads, 8). Masks are in them: 0 of a masked key is least, but above a key that is none.
static const float log2_e = 1.44269504f, masked = -60000, absent = -65504;

int64_t tiled_logits(int64_t n) {
  int64_t n_tile = ceil_div(n, 64);
  return n_tile * n_tile * 64 * 64 * (int64_t)sizeof(half);
}

__global__ void __launch_bounds__(256) pack_logits_kernel(const float *logits, const float *mask, int n, uint4 *to) {
  __shared__ float tile[64][65];
  int q0 = blockIdx.x * 64, k0 = blockIdx.y * 64, head = blockIdx.z;
  for (int i = threadIdx.x; i < 64 * 64; i += 256) {
    int k = k0 + i / 64, q = q0 + i % 64;
    float v = absent;
    if (k < n) {
      v = 0;
      if (q < n) v = fminf(fmaxf((logits[((int64_t)head * n + k) * n + q] + 1e9f * (mask[k] - 1.0f)) * log2_e, masked), -masked);
    }
    tile[i / 64][i % 64] = v;
  }
  __syncthreads();
  uint4 *out = to + (((int64_t)head * gridDim.x + blockIdx.x) * gridDim.y + blockIdx.y) * 512;
  for (int i = threadIdx.x; i < 512; i += 256) {
    int chunk = i / 128, warp = i % 128 / 32, g = i % 32 / 4, t = i % 4;
    uint32_t v[4];
#pragma unroll
    for (int l = 0; l < 4; l++) {
      int q = 16 * warp + g + l % 2 * 8, k = 16 * chunk + l / 2 * 8 + 2 * t;
      v[l] = pack_half_small(tile[k][q], tile[k + 1][q]);
    }
    out[i] = uint4{v[0], v[1], v[2], v[3]};
  }
}
void pack_logits(const float *logits, const float *mask, int64_t n_head, int64_t n, void *to) {
  unsigned n_tile = (unsigned)ceil_div(n, 64);
  pack_logits_kernel<<<dim3(n_tile, n_tile, (unsigned)n_head), 256, 0, cuda_stream>>>(logits, mask, (int)n, (uint4 *)to);
  CUDA_CHECK(cudaGetLastError());
}
CUDA_OP(keep_logits) {
  if (!context->dry) pack_logits(a->logits.data, a->mask.data, a->logits.shape[0], a->mask.shape[0], a->out.data);
}

// ---- rows in fp16, normalised but for the scale, which is in the weights ----

enum { ROW = 128 };
int64_t cuda_kept_rows(int64_t c) { return !cuda_fp32 && c == ROW ? ROW * (int64_t)sizeof(half) / (int64_t)sizeof(float) : 0; }
CUDA_OP(keep_rows) {
  NF_ASSERT(!a->x.narrow && tensor_last(a->x) == ROW);
  if (!context->dry) half_norm(a->x.data, tensor_rows(a->x), ROW, NULL, NULL, (half *)a->out.data);
}

// Products of 32 rows with up to 64 heads: rows come straight from memory into the registers of the matrix units, channels
// in the order that gives each thread 16 bytes at a time; of two heads a thread then has what it is to store.
// A block makes 64 queries by 64 keys. TILES: of the form above, a warp's 32 rows being queries q, q + 8 by 16 keys; else
// (heads, keys, queries) in floats, the rows being 32 queries of a key.
enum { HEADS = 64, STEPS = ROW / 16 };
template <bool TILES>
__global__ void __launch_bounds__(128, 4) kept_logits_kernel(const half *rows, int n_q, int n_k, const half *w, int first_head,
                                                             int n_head, const float *mask, void *out) {
  __shared__ uint4 weights[HEADS / 16 * STEPS * 32];
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  int q0 = blockIdx.y * 64, k0 = blockIdx.x * 64, head0 = blockIdx.z * HEADS;
  int groups = (min(n_head - head0, (int)HEADS) + 15) / 16;  // of heads
  for (int i = threadIdx.x; i < groups * STEPS * 32; i += 128) {
    int group = i / 32 / STEPS, step = i / 32 % STEPS;
    uint32_t v[4];
#pragma unroll
    for (int r = 0; r < 4; r++) {
      int head = head0 + 16 * group + g + r % 2 * 8, channel = step / 2 * 32 + 8 * t + step % 2 * 4 + r / 2 * 2;
      v[r] = head < n_head ? __ldg((const uint32_t *)(w + panel_place(first_head + head) * ROW + channel)) : 0;
    }
    weights[i] = uint4{v[0], v[1], v[2], v[3]};
  }
  __syncthreads();
  for (int unit = 0; unit < 32; unit++) {
    int chunk = unit / 8, key = k0 + unit / 2 * 4 + warp;             // TILES: of the keys; else the one
    int q_first = q0 + (TILES ? 16 * warp + unit % 8 : unit % 2 * 32);  // of the unit's queries
    if (!TILES && (key >= n_k || q_first >= n_q)) continue;
    uint4 x[4][ROW / 32];
#pragma unroll
    for (int j = 0; j < 4; j++) {
      int q = TILES ? q_first + j % 2 * 8 : q_first + 8 * j + g, k = TILES ? k0 + 16 * chunk + j / 2 * 8 + g : key;
      const uint4 *row = (const uint4 *)(rows + ((int64_t)q * n_k + k) * ROW) + t;
      bool there = q < n_q && k < n_k;
#pragma unroll
      for (int i = 0; i < ROW / 32; i++) x[j][i] = there ? __ldcs(row + 4 * i) : uint4{0, 0, 0, 0};
    }
    float add[4], least[4];  // TILES: of keys 2 t and 2 t + 1, and of those 8 further
    if (TILES) {
#pragma unroll
      for (int e = 0; e < 4; e++) {
        int k = k0 + 16 * chunk + e / 2 * 8 + 2 * t + e % 2;
        add[e] = k < n_k ? 1e9f * (__ldg(mask + k) - 1.0f) : -INFINITY;
        least[e] = k < n_k ? masked : absent;
      }
    }
#pragma unroll 1
    for (int group = 0; group < groups; group++) {
      float acc[4][4] = {};
#pragma unroll
      for (int step = 0; step < STEPS; step++) {
        uint4 v = weights[(group * STEPS + step) * 32 + lane];
        const uint32_t a[4] = {v.x, v.y, v.z, v.w};
#pragma unroll
        for (int j = 0; j < 4; j++) {
          uint4 b = x[j][step / 2];
          if (step % 2 == 0) mma_half(acc[j], a, b.x, b.y);
          else mma_half(acc[j], a, b.z, b.w);
        }
      }
#pragma unroll
      for (int s = 0; s < 2; s++) {
        int head = head0 + 16 * group + g + 8 * s;
        if (head >= n_head) continue;
        if (TILES) {
          uint32_t v[4];
#pragma unroll
          for (int j = 0; j < 4; j++) {
            float e[2];
#pragma unroll
            for (int l = 0; l < 2; l++) {
              int at = j / 2 * 2 + l;
              e[l] = fminf(fmaxf((acc[j][2 * s + l] + add[at]) * log2_e, least[at]), -masked);
            }
            v[j] = pack_half_small(e[0], e[1]);
          }
          uint4 *to = (uint4 *)out + (((int64_t)head * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x) * 512;
          to[chunk * 128 + warp * 32 + unit % 8 * 4 + t] = uint4{v[0], v[1], v[2], v[3]};
        } else {
          float *to = (float *)out + ((int64_t)head * n_k + key) * n_q;
#pragma unroll
          for (int j = 0; j < 4; j++) {
            int q = q_first + 8 * j + 2 * t;
            if (q + 1 < n_q && n_q % 2 == 0) {
              *(float2 *)(to + q) = float2{acc[j][2 * s], acc[j][2 * s + 1]};
            } else {
              if (q < n_q) to[q] = acc[j][2 * s];
              if (q + 1 < n_q) to[q + 1] = acc[j][2 * s + 1];
            }
          }
        }
      }
    }
  }
}

bool half_pair_logits(nf_context *context, const op_pair_logits *a) {
  if (!a->kept_rows) return false;
  int64_t n_q = a->x.shape[1], n_k = a->x.shape[2], n_head = pair_logits_heads(a);
  NF_ASSERT(a->x.shape[0] == 1 && a->w.shape[0] == ROW && !tensor_given(a->norm.offset));
  context->flops += flops_pair_logits(a);
  size_t mark = context_here(context);
  half_weights weights = {ROW, tensor_count(a->w) / ROW, 1, {a->w.data}, {a->norm.scale.data}, {1}, false};
  const half *w = half_pack(context, &weights);
  if (!context->dry) {
    dim3 grid((unsigned)ceil_div(n_k, 64), (unsigned)ceil_div(n_q, 64), (unsigned)ceil_div(n_head, HEADS));
    auto kernel = tensor_given(a->mask) ? kept_logits_kernel<true> : kept_logits_kernel<false>;
    kernel<<<grid, 128, 0, cuda_stream>>>((const half *)a->x.data, (int)n_q, (int)n_k, w, a->first_head, (int)n_head,
                                          a->mask.data, a->out.data);
    CUDA_CHECK(cudaGetLastError());
  }
  context_reset(context, mark);
  return true;
}
