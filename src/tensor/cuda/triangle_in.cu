// Triangle attention's first part on Hopper: the norm of the pair tensor's rows, then q, k and v of all heads and the bias.
#include "tensor/cuda/hopper.cuh"
#include "tensor/cuda/panel.cuh"
#include "tensor/cuda/staging.cuh"
#include "tensor/cuda/triangle_rows.cuh"

namespace {

enum { QKV = 1, BIAS = 2 };
enum { GROUPS = 3, STAGES = 2, THREADS = GROUPS * 128 + 128, TOKENS = 64, TOGETHER = 16 };
static_assert(TRIANGLE_KEYS % TOKENS == 0, "the padding ends with a tile");

// Three warpgroups, each with tiles and panels of its own and a warp that fetches; the weights stay. A tile: 64 tokens of one
// row of the range. For the ending node those lie in 64 rows of x, a bulk copy each, and all the rest is as for the starting.
// w: operands of wq, wk, wv and (8 rows) of the heads' bias.
template <int C>
struct in_sizes {
  enum { HEADS = 8, BIAS_AT = 3 * C * C, WEIGHTS = BIAS_AT + HEADS * C };
  static const size_t shared = 1024 + (WEIGHTS + GROUPS * STAGES * row_panel<C>::VALUES) * sizeof(bf16) +
                               2 * C * sizeof(float) + (2 * GROUPS * STAGES + 1) * sizeof(uint64_t);
};

// Tiles in order: sixteen rows take turns, so that the sectors of the bias, of 2 queries and 8 keys, are whole before they leave
// the cache.
__host__ __device__ __forceinline__ int count_tiles(const row_range &range) {
  return (range.rows + TOGETHER - 1) / TOGETHER * TOGETHER * (range.tokens / TOKENS);
}
// The row of a tile, counted from the range's first, and the first token. A row past the last has no tile.
[[maybe_unused]] __host__ __device__ __forceinline__ bool place_tile(const row_range &range, int tile, int *row, int *token) {
  int across = range.tokens / TOKENS, at = tile % (TOGETHER * across);
  *row = tile / (TOGETHER * across) * TOGETHER + at % TOGETHER, *token = at / TOGETHER * TOKENS;
  return *row < range.rows;
}
// A token of a row of the range: pair (i, j). (What is maybe unused is so for devices whose kernel is empty.)
[[maybe_unused]] __host__ __device__ __forceinline__ int2 pair_of(const row_range &range, int row, int token) {
  return range.ending ? int2{token, range.first + row} : int2{range.first + row, token};
}
// A lane's first 16 bytes of a tile's q: token + place (of the warpgroup's 64 rows, place % 8 = lane / 4) and channels 8 t ..
// 8 t + 7. Eight tokens on are 8 D values, 32 channels on 32 / D heads, the next of q, k and v `size` values.
template <int D, int H>
__host__ __device__ __forceinline__ int64_t result_at(const row_range &range, int row, int token, int place, int t) {
  return ((int64_t)row * H + t / (D / 8)) * range.tokens * D + swizzled<D>(token + place, t % (D / 8));
}

// heads (64 x 8) = a (64 x 16) b (16 x 8), added to heads. See product.
[[maybe_unused]] __device__ __forceinline__ void add_heads(float (&heads)[1][4], const uint32_t (&a)[4], uint64_t b) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n8k16.f32.bf16.bf16 {%0, %1, %2, %3}, {%4, %5, %6, %7}, %8, 1, 1, 1, 0;"
      : HOPPER_4(heads, 0)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}

// Products of a warpgroup's rows with one of q's, k's and v's weights, and with those of the bias.
template <int C>
__device__ __forceinline__ void add_part(float (&sum)[C / 8][4], const uint32_t (&left)[C / 16][4], const bf16 *weights) {
  uint64_t right = operand_128(weights);
#pragma unroll
  for (int l = 0; l < C / 16; l++) product(sum, left[l], right + l / 4 * (C * 8) + l % 4 * 2, true);
}
template <int C>
__device__ __forceinline__ void add_bias(float (&heads)[1][4], const uint32_t (&left)[C / 16][4], const bf16 *weights) {
  uint64_t right = operand_128(weights + in_sizes<C>::BIAS_AT);
#pragma unroll
  for (int l = 0; l < C / 16; l++) add_heads(heads, left[l], right + l / 4 * (in_sizes<C>::HEADS * 8) + l % 4 * 2);
}
// A lane's share: 32 channels are `apart`.
template <int C, int D>
__device__ __forceinline__ void put_part(const float (&sum)[C / 8][4], bf16 *to, int64_t apart) {
#pragma unroll
  for (int q = 0; q < C / 32; q++)
#pragma unroll
    for (int s = 0; s < 2; s++) {
      float v[8];
#pragma unroll
      for (int e = 0; e < 8; e++) v[e] = sum[4 * q + e / 2][2 * s + e % 2];
      *(uint4 *)(to + q * apart + s * 8 * D) = pack_eight(v);
    }
}

template <int C, int D, int PARTS>
__global__ void __launch_bounds__(THREADS, 1)
    in_kernel(pair_tile x, row_range range, const float *mask, const float *scale, const float *offset, const bf16 *w,
              bf16 *qkv, bias_tiles bias) {
#ifdef HOPPER_CODE
  typedef in_sizes<C> sizes;
  enum { H = C / D, ROW = row_panel<C>::ROW };
  extern __shared__ char hopper_memory[];
  bf16 *weights = (bf16 *)(hopper_memory + (-shared_address(hopper_memory) & 1023)), *panels = weights + sizes::WEIGHTS;
  float *norm_scale = (float *)(panels + GROUPS * STAGES * row_panel<C>::VALUES), *norm_offset = norm_scale + C;
  uint64_t *full = (uint64_t *)(norm_offset + C), *empty = full + GROUPS * STAGES, *ready = empty + GROUPS * STAGES;
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, group = warp < GROUPS * 4 ? warp / 4 : warp - GROUPS * 4;
  int tiles = count_tiles(range);
  keep_norm<C>(scale, offset, norm_scale, norm_offset);
  if (threadIdx.x == 0) {
    for (int s = 0; s < GROUPS * STAGES; s++) barrier_init(full + s, 1), barrier_init(empty + s, 4);
    barrier_init(ready, 1);
    barrier_publish();
    const int first = PARTS & QKV ? 0 : sizes::BIAS_AT, bytes = (sizes::WEIGHTS - first) * (int)sizeof(bf16);
    barrier_expect(ready, bytes);
    copy_bulk(weights + first, w + first, bytes, ready);
  }
  __syncthreads();
  full += group * STAGES, empty += group * STAGES, panels += group * STAGES * row_panel<C>::VALUES;
  int turn = 0, row, token;
  if (warp >= GROUPS * 4) {  // three warps that fetch; their warpgroup lends the others its registers
    registers_fewer<56>();
    for (int tile = blockIdx.x * GROUPS + group; group < GROUPS && tile < tiles; tile += GROUPS * gridDim.x) {
      if (!place_tile(range, tile, &row, &token)) continue;
      int stage = turn % STAGES, rows = range.n - token < TOKENS ? range.n - token : TOKENS;
      int64_t of_row = range.ending ? C : x.apart * C, apart = range.ending ? x.apart * C : C;
      const bf16 *from = x.data + row * of_row + token * apart;
      bf16 *panel = panels + stage * row_panel<C>::VALUES;
      barrier_wait(empty + stage, turn / STAGES % 2 ^ 1);
      if (lane == 0) barrier_expect(full + stage, rows * C * (int)sizeof(bf16));
      __syncwarp();
      for (int r = lane; r < rows; r += 32) copy_bulk(panel + r * ROW, from + r * apart, C * (int)sizeof(bf16), full + stage);
      turn++;
    }
  } else {
    registers_more<152>();
    int g = lane / 4, t = lane % 4, place = warp % 4 * 16 + g;
    int64_t size = (int64_t)range.rows * range.tokens * C;
    barrier_wait(ready, 0);
    for (int tile = blockIdx.x * GROUPS + group; tile < tiles; tile += GROUPS * gridDim.x) {
      if (!place_tile(range, tile, &row, &token)) continue;
      bool valid[2], masked[2];
#pragma unroll
      for (int s = 0; s < 2; s++) {
        valid[s] = token + place + 8 * s < range.n;
        masked[s] = (PARTS & BIAS) && valid[s] && mask[pair_of(range, row, token + place + 8 * s).y] == 0;
      }
      uint32_t left[C / 16][4];
      int stage = turn % STAGES;
      barrier_wait(full + stage, turn / STAGES % 2);
      norm_operand<C>(panels + stage * row_panel<C>::VALUES, norm_scale, norm_offset, left);
      // A warp has read no rows but those it has.
      __syncwarp();
      if (lane == 0) barrier_arrive(empty + stage);
      turn++;
      if (token + TOKENS > range.n) {
        // Rows past the last one may hold anything: they give zeros, which the products of attention may meet.
#pragma unroll
        for (int l = 0; l < C / 16; l++)
#pragma unroll
          for (int s = 0; s < 4; s++) left[l][s] = valid[s % 2] ? left[l][s] : 0;
      }
      float heads[1][4] = {};
      if (PARTS == BIAS) {
        products_settle(left);
        products_begin();
        add_bias<C>(heads, left, weights);
        products_commit();
        products_wait<0>();
        products_settle(heads);
      }
      if (PARTS & QKV) {
        bf16 *to = qkv + result_at<D, H>(range, row, token, place, t);
        int64_t apart = (int64_t)(32 / D) * range.tokens * D;
        {
          float sum[C / 8][4] = {};
          products_settle(left);
          if (PARTS & BIAS) products_settle(heads);  // zeros by now, not in the middle of products
          products_begin();
          add_part<C>(sum, left, weights);
          if (PARTS & BIAS) add_bias<C>(heads, left, weights);
          products_commit();
          products_wait<0>();
          products_settle(sum);
          if (PARTS & BIAS) products_settle(heads);
          put_part<C, D>(sum, to, apart);
        }
#pragma unroll 1
        for (int part = 1; part < 3; part++) {
          float sum[C / 8][4] = {};
          products_settle(left);
          products_begin();
          add_part<C>(sum, left, weights + part * C * C);
          products_commit();
          products_wait<0>();
          products_settle(sum);
          put_part<C, D>(sum, to + part * size, apart);
        }
      }
      if ((PARTS & BIAS) && 2 * t < H) {
#pragma unroll
        for (int s = 0; s < 2; s++) {
          if (!valid[s]) continue;
          int2 pair = pair_of(range, row, token + place + 8 * s);
#pragma unroll
          for (int e = 0; e < 2; e++)
            bias.data[bias_at(bias, 2 * t + e, pair.x, pair.y)] = __float2bfloat16(masked[s] ? -1e4f : heads[0][2 * s + e]);
        }
      }
    }
  }
#endif
}

// Scores come out in units of log2.
struct pack_in {
  int c, d, n_head;
  const float *wq, *wk, *wv, *w_bias;
  bf16 *to;
  __host__ __device__ void operator()(int64_t i) const {
    const float log2_e = 1.44269504f;
    int part = (int)(i / (c * c)), row, k;
    operand_element(i % (c * c), part < 3 ? c : 8, &row, &k);
    int64_t from = panel_column(k), column = panel_column(row);
    float v;
    if (part < 2) v = (part ? wk : wq)[column * c + from] * (part ? 1.0f : log2_e / sqrtf((float)d));
    else if (part == 2) v = wv[from * c + column];
    else v = row < n_head ? w_bias[from * n_head + row] * log2_e : 0.0f;
    to[i] = __float2bfloat16(v);
  }
};

template <int C, int D, int PARTS>
void launch(const op_triangle_attention *a, const pair_tile &x, row_range range, const bf16 *w, bf16 *qkv, bias_tiles bias) {
  static bool allowed;
  if (!allowed) allow_shared(in_kernel<C, D, PARTS>, in_sizes<C>::shared), allowed = true;
  int64_t blocks = ceil_div(count_tiles(range), GROUPS), most = hopper_blocks();
  in_kernel<C, D, PARTS><<<(unsigned)(blocks < most ? blocks : most), THREADS, in_sizes<C>::shared, cuda_stream>>>(
      x, range, a->mask.data, a->norm.scale.data, a->norm.offset.data, w, qkv, bias);
  CUDA_CHECK(cudaGetLastError());
}
template <int C, int D>
void launch_parts(const op_triangle_attention *a, const pair_tile &x, row_range range, const bf16 *w, bf16 *qkv, const bias_tiles *bias) {
  bias_tiles none = {};
  if (qkv && bias) launch<C, D, QKV | BIAS>(a, x, range, w, qkv, *bias);
  else if (qkv) launch<C, D, QKV>(a, x, range, w, qkv, none);
  else launch<C, D, BIAS>(a, x, range, w, NULL, *bias);
}

}  // namespace

const bf16 *triangle_in_packed(nf_context *context, const op_triangle_attention *a) {
  int64_t c = tensor_last(a->x), n_head = tensor_last(a->w_bias);
  return packed_by(context, 3 * c * c + 8 * c, 3 * c * c + 8 * c, a->wq.data,
                   pack_in{(int)c, (int)(c / n_head), (int)n_head, a->wq.data, a->wk.data, a->wv.data, a->w_bias.data, NULL});
}
void triangle_in_hopper(const op_triangle_attention *a, const pair_tile *x, row_range range, const bf16 *w, bf16 *qkv,
                        const bias_tiles *bias) {
  if (tensor_last(a->x) == 64) launch_parts<64, 16>(a, *x, range, w, qkv, bias);
  else launch_parts<128, 32>(a, *x, range, w, qkv, bias);
}
