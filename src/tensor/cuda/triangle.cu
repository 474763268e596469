// Triangle attention, in place on the pair tensor. In bf16 for the sizes of the network, else by the general products.
#include "tensor/cuda/flash.cuh"
#include "tensor/cuda/gemm.cuh"
#include "tensor/cuda/hopper.cuh"
#include "tensor/cuda/panel.cuh"
#include "tensor/cuda/staging.cuh"
#include "tensor/cuda/triangle_rows.cuh"

enum { PANEL = 128 };  // rows of a tile

// ---- triangle attention, general ----

struct row_attention {
  const float *logits, *mask;  // (N N, H); (N)
  int64_t n, n_head;
  bool ending;
  __device__ int64_t query_row(int64_t batch, int i) const { return ending ? i * n + batch : batch * n + i; }
  __device__ int64_t key_row(int64_t batch, int i) const { return query_row(batch, i); }
  __device__ const float *bias(int64_t, int head, int i, int key) const { return logits + (i * n + key) * n_head + head; }
  __device__ float add(int64_t batch, int, int key) const { return mask[batch] * mask[key] == 0 ? -1e30f : 0.0f; }
};
struct put_sigmoid_product {
  float *o;
  int64_t stride;
  __device__ void operator()(int64_t, int64_t i, int j, float gate) const { o[i * stride + j] *= sigmoid(gate); }
};

static void general_attention(nf_context *context, const op_triangle_attention *asked) {
  op_triangle_attention wide = *asked, *a = &wide;
  a->x = widened(context, a->x);
  int64_t n = a->x.shape[0], c = a->x.shape[2], n_head = tensor_last(a->w_bias), hd = tensor_count(a->wq) / c, m = n * n;
  float2 *stats = scratch<float2>(context, m);
  float *q = scratch<float>(context, m * hd), *k = scratch<float>(context, m * hd), *v = scratch<float>(context, m * hd),
        *o = scratch<float>(context, m * hd), *logits = scratch<float>(context, m * n_head);
  if (context->dry) return;
  make_stats(a->x.data, m, c, stats);
  gemm_left h = left_norm(a->x.data, c, stats, &a->norm, NULL);
  const gemm_right wq = {a->wq.data, 1, c, 0, 0}, wk = {a->wk.data, 1, c, 0, 0}, wg = {a->wg.data, 1, c, 0, 0};
  gemm(m, hd, c, 1, h, wq, put{q, hd, 0});
  gemm(m, hd, c, 1, h, wk, put{k, hd, 0});
  gemm(m, hd, c, 1, h, right_rows(a->wv.data, hd), put{v, hd, 0});
  gemm(m, n_head, c, 1, h, right_rows(a->w_bias.data, n_head), put{logits, n_head, 0});
  flash_operands operands = {q, k, v, NULL, NULL, o, hd, hd, hd, (int)n, (int)n, (int)(hd / n_head), 1.0f / sqrtf((float)(hd / n_head))};
  flash(operands, n, n_head, row_attention{logits, a->mask.data, n, n_head, a->ending});
  gemm(m, hd, c, 1, h, wg, put_sigmoid_product{o, hd});
  gemm(m, c, hd, 1, left_rows(o, hd), right_rows(a->wo.data, c), add_to(a->x.data, c, NULL));
  if (asked->x.narrow) launch_narrow(a->x.data, asked->x, 0, m * c);
}

// ---- triangle attention in bf16 ----

struct fill_words {
  uint32_t *to, value;
  __device__ void operator()(int64_t i) const { to[i] = value; }
};

// Tokens j0 .. j0 + 127 of row i of the pair tensor, in the range that x is the tile of: q, k, v (rows of the range, H, tokens, D;
// triangle_rows.cuh), or the bias of all heads. w: (3, C, C) with permuted columns, then (C, 16) for the heads' bias.
enum part { QKV = 1, BIAS = 2 };
template <int C, int D, int PARTS>
__global__ void __launch_bounds__(256, 2) attention_in_kernel(pair_tile x, row_range range, const float *mask, op_norm norm,
                                                              const bf16 *w, bf16 *qkv, bias_tiles bias) {
  extern __shared__ __align__(128) bf16 panel_memory[];
  enum { NT = C / 16, H = C / D };
  bf16 *h = panel_memory, *ws = h + PANEL * (C + 8), *wb = ws + C * (C + 8);
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, wm = warp / 2 * 32, wn = warp % 2;
  int n = range.n, i = blockIdx.x + (range.ending ? 0 : range.first), j0 = blockIdx.y * PANEL + (range.ending ? range.first : 0),
      end = range.ending ? range.first + range.rows : n;
  if (PARTS & QKV) panel_weights(w, C, C, ws, C + 8);
  if (PARTS & BIAS) panel_weights(w + 3 * C * C, C, 16, wb, 24);
  copy_commit();
  // Tokens beyond the last, up to the padding, get values that are finite, to be multiplied by zero.
  panel_norm<C>(x.data + (blockIdx.x * x.apart + blockIdx.y * PANEL) * C, i < n ? end - j0 : 0, norm.scale.data, norm.offset.data, h, warp * 16, 16);
  for (int s = 0; s < (PARTS & QKV ? 3 : 1); s++) {
    copy_wait<0>();
    __syncthreads();
    float acc[2][NT][4] = {};
    if (PARTS & QKV) panel_product<C, NT>(h + wm * (C + 8), ws + wn * (C / 2), C + 8, acc);
    if ((PARTS & BIAS) && s == 0 && wn == 0) {
      float heads[2][2][4] = {};
      panel_product<C, 2>(h + wm * (C + 8), wb, 24, heads);
#pragma unroll
      for (int r = 0; r < 2; r++)
#pragma unroll
        for (int e = 0; e < 4; e++) {
          int j = j0 + wm + 16 * r + g + e / 2 * 8, head = 2 * t + e % 2;
          if (i < n && j < n && head < H) bias.data[bias_at(bias, head, i, j)] = __float2bfloat16(mask[j] == 0 ? -1e4f : heads[r][0][e]);
        }
    }
    if (!(PARTS & QKV)) return;
    __syncthreads();
    if (s < 2) panel_weights(w + (int64_t)(s + 1) * C * C, C, C, ws, C + 8);
    copy_commit();
#pragma unroll
    for (int r = 0; r < 2; r++)
#pragma unroll
      for (int e = 0; e < 2; e++) {
        int j = j0 + wm + 16 * r + g + 8 * e;
        int row = (range.ending ? j : i) - range.first, token = range.ending ? i : j;
        if (row >= range.rows || token >= range.tokens) continue;
#pragma unroll
        for (int group = 0; group < NT / 4; group++) {
          int column = wn * (C / 2) + group * 32 + t * 8;
          uint4 v;
          v.x = pack_bf16(acc[r][4 * group][2 * e], acc[r][4 * group][2 * e + 1]);
          v.y = pack_bf16(acc[r][4 * group + 1][2 * e], acc[r][4 * group + 1][2 * e + 1]);
          v.z = pack_bf16(acc[r][4 * group + 2][2 * e], acc[r][4 * group + 2][2 * e + 1]);
          v.w = pack_bf16(acc[r][4 * group + 3][2 * e], acc[r][4 * group + 3][2 * e + 1]);
          *(uint4 *)(qkv + (((int64_t)s * range.rows + row) * H + column / D) * range.tokens * D +
                     swizzled<D>(token, column % D / 8)) = v;
        }
      }
  }
}

// Attention of 128 queries in two rows at once: four warps of 32 queries for each row, which share the bias. Scores are
// in units of log2. The sum of the weights comes from a product with ones, so it is that of the rounded weights.
template <int D>
__global__ void __launch_bounds__(256, 2) attention_rows_kernel(row_range range, int n_head, const bf16 *q, const bf16 *k,
                                                                const bf16 *v, bias_tiles bias, bf16 *o) {
  extern __shared__ __align__(128) bf16 panel_memory[];
  enum { TILE = 64 * D, BIAS = 128 * 64, STAGE = 4 * TILE + BIAS, STAGES = 3, CHUNKS = D / 8, KD = D / 16, ND = D / 8 };
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, mq = lane / 8, r8 = lane % 8;
  int n = range.n, rows = range.rows, tokens = range.tokens, query_tiles = (n + 127) / 128, row_pairs = (rows + 1) / 2;
  int tile = blockIdx.x % query_tiles, pair = blockIdx.x / query_tiles % row_pairs, head = blockIdx.x / query_tiles / row_pairs;
  int r0 = pair * 2, mine = warp / 4, row = r0 + mine < rows ? r0 + mine : rows - 1, q0 = tile * 128 + warp % 4 * 32;

  auto load = [&](int k0, int stage) {
    bf16 *to = panel_memory + stage * STAGE;
#pragma unroll
    for (int s = 0; s < 4 * TILE / 8 / 256; s++) {
      int at = threadIdx.x + 256 * s, which = at * 8 / TILE;  // k, v of each row
      int from = r0 + which / 2 < rows ? r0 + which / 2 : rows - 1;
      const bf16 *base = (which % 2 ? v : k) + (((int64_t)from * n_head + head) * tokens + k0) * D;
      copy_async(to + at * 8, base + at * 8 % TILE, true);
    }
#pragma unroll
    for (int s = 0; s < BIAS / 8 / 256; s++) {
      int at = threadIdx.x + 256 * s, queries = at / 128;  // 16 queries, 64 keys: 2 KiB that lie together
      copy_async(to + 4 * TILE + at * 8,
                 bias.data + (((int64_t)head * bias.query_tiles + tile * 8 + queries) * bias.key_tiles + k0 / 32) * 512 + at % 128 * 8,
                 true);
    }
  };

  // The warp's queries, read again for every 32 keys: registers are what this kernel lacks.
  bf16 *queries = panel_memory + STAGES * STAGE + warp * 32 * D;
#pragma unroll
  for (int s = 0; s < CHUNKS; s++) {
    int at = lane + 32 * s;
    bool valid = q0 + at / CHUNKS < tokens;
    copy_async(queries + at * 8, q + (((int64_t)row * n_head + head) * tokens + (valid ? q0 : 0)) * D + at * 8, valid);
  }
  // Scores come out less the maximum so far, negated here as the product's start: rows g and g + 8 of each 16 queries.
  float out[2][ND][4] = {}, sums[2][4] = {}, start[2][4] = {};
  const uint32_t ones = 0x3f803f80u, eye = (2 * t == g ? 0x3f80u : 0u) | (2 * t + 1 == g ? 0x3f800000u : 0u);
  int chunks = (n + 63) / 64;
#pragma unroll
  for (int s = 0; s < STAGES - 1; s++) {
    if (s < chunks) load(s * 64, s);
    copy_commit();
  }
  for (int chunk = 0; chunk < chunks; chunk++) {
    copy_wait<STAGES - 2>();
    __syncthreads();
    if (chunk + STAGES - 1 < chunks) load((chunk + STAGES - 1) * 64, (chunk + STAGES - 1) % STAGES);
    copy_commit();
    const bf16 *ks = panel_memory + chunk % STAGES * STAGE + mine * 2 * TILE, *vs = ks + TILE,
               *bs = panel_memory + chunk % STAGES * STAGE + 4 * TILE + warp % 4 * 2048 + lane * 8;
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float score[2][4][4];
#pragma unroll
      for (int i = 0; i < 2; i++)
#pragma unroll
        for (int j = 0; j < 4; j += 2) {
          uint4 b = *(const uint4 *)(bs + ((i * 2 + half) * 2 + j / 2) * 256);
          const uint32_t fb[4] = {b.x, b.y, b.z, b.w};
          mma_bf16_from(score[i][j], start[i], fb, eye, 0);
          mma_bf16_from(score[i][j + 1], start[i], fb, 0, eye);
        }
#pragma unroll
      for (int l = 0; l < KD; l++) {
        uint32_t fq[2][4];
#pragma unroll
        for (int i = 0; i < 2; i++) load_matrix(fq[i], queries + swizzled<D>(16 * i + mq % 2 * 8 + r8, 2 * l + mq / 2));
#pragma unroll
        for (int j = 0; j < 4; j += 2) {
          uint32_t fb[4];
          load_matrix(fb, ks + swizzled<D>(half * 32 + 8 * j + mq / 2 * 8 + r8, 2 * l + mq % 2));
#pragma unroll
          for (int i = 0; i < 2; i++) {
            mma_bf16(score[i][j], fq[i], fb[0], fb[1]);
            mma_bf16(score[i][j + 1], fq[i], fb[2], fb[3]);
          }
        }
      }
      float high[2][2];
      bool rise = chunk + half == 0;
#pragma unroll
      for (int i = 0; i < 2; i++)
#pragma unroll
        for (int s = 0; s < 2; s++) {
          float x = fmaxf(score[i][0][2 * s], score[i][0][2 * s + 1]);
#pragma unroll
          for (int j = 1; j < 4; j++) x = fmaxf(x, fmaxf(score[i][j][2 * s], score[i][j][2 * s + 1]));
          high[i][s] = x;
          // Weights may grow to 2^8 before the sums are brought down to a new maximum.
          rise = rise || x > 8.0f;
        }
      if (__any_sync(0xffffffffu, rise)) {
#pragma unroll
        for (int i = 0; i < 2; i++)
#pragma unroll
          for (int s = 0; s < 2; s++) {
            float x = high[i][s];
            x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
            x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
            if (chunk + half > 0) x = fmaxf(x, 0.0f);
            float factor = chunk + half > 0 ? exp2_fast(-x) : 0.0f;
            start[i][2 * s] = start[i][2 * s + 1] = start[i][2 * s] - x;
            sums[i][2 * s] *= factor, sums[i][2 * s + 1] *= factor;
#pragma unroll
            for (int j = 0; j < ND; j++) out[i][j][2 * s] *= factor, out[i][j][2 * s + 1] *= factor;
#pragma unroll
            for (int j = 0; j < 4; j++) score[i][j][2 * s] -= x, score[i][j][2 * s + 1] -= x;
          }
      }
      uint32_t weights[2][2][4];
#pragma unroll
      for (int i = 0; i < 2; i++)
#pragma unroll
        for (int j = 0; j < 4; j++)
#pragma unroll
          for (int s = 0; s < 2; s++)
            weights[i][j / 2][j % 2 * 2 + s] = pack_bf16(exp2_fast(score[i][j][2 * s]), exp2_fast(score[i][j][2 * s + 1]));
#pragma unroll
      for (int l = 0; l < 2; l++) {
#pragma unroll
        for (int i = 0; i < 2; i++) mma_bf16(sums[i], weights[i][l], ones, ones);
#pragma unroll
        for (int j = 0; j < ND; j += 2) {
          uint32_t fb[4];
          load_matrix_transposed(fb, vs + swizzled<D>(half * 32 + 16 * l + mq % 2 * 8 + r8, j + mq / 2));
#pragma unroll
          for (int i = 0; i < 2; i++) {
            mma_bf16(out[i][j], weights[i][l], fb[0], fb[1]);
            mma_bf16(out[i][j + 1], weights[i][l], fb[2], fb[3]);
          }
        }
      }
    }
  }
  if (r0 + mine >= rows) return;
#pragma unroll
  for (int i = 0; i < 2; i++)
#pragma unroll
    for (int s = 0; s < 2; s++) {
      int at = q0 + 16 * i + g + 8 * s;
      if (at >= n) continue;
      float inverse = 1.0f / sums[i][2 * s];
      bf16 *to = o + (range.ending ? (int64_t)at * rows + row : (int64_t)row * n + at) * n_head * D + head * D + 2 * t;
#pragma unroll
      for (int j = 0; j < ND; j++)
        *(uint32_t *)(to + 8 * j) = pack_bf16(out[i][j][2 * s] * inverse, out[i][j][2 * s + 1] * inverse);
    }
}

// A masked row sees all keys alike, as the reference has it: the mean of v. A block a row, a thread a channel.
template <int D>
__global__ void average_masked_kernel(row_range range, const bf16 *v, const float *mask, bf16 *o) {
  int n = range.n, row = range.first + blockIdx.x, c = blockDim.x, l = threadIdx.x;
  if (mask[row] != 0) return;
  const bf16 *values = v + ((int64_t)blockIdx.x * (c / D) + l / D) * range.tokens * D + l % 8;
  float sum = 0;
  for (int k = 0; k < n; k++) sum += __bfloat162float(values[swizzled<D>(k, l % D / 8)]);
  bf16 mean = __float2bfloat16(sum / (float)n);
  for (int q = 0; q < n; q++)
    o[(range.ending ? (int64_t)q * range.rows + blockIdx.x : (int64_t)blockIdx.x * n + q) * c + l] = mean;
}

// Attention within `count` rows at a time.
template <int C, int D>
static void launch_attention(const op_triangle_attention *a, pair_passes *x, int64_t count, const bf16 *w, const bf16 *wg,
                             const bf16 *wo, bf16 *qkv, bias_tiles bias, bf16 *o) {
  size_t in = (PANEL * (C + 8) + C * (C + 8) + C * 24) * sizeof(bf16), rows = (3 * (4 * 64 * D + 128 * 64) + 8 * 32 * D) * sizeof(bf16);
  static bool allowed;
  if (!allowed) {
    allow_shared(attention_in_kernel<C, D, QKV | BIAS>, in);
    allow_shared(attention_in_kernel<C, D, QKV>, in);
    allow_shared(attention_in_kernel<C, D, BIAS>, in);
    allow_shared(attention_rows_kernel<D>, rows);
    allowed = true;
  }
  int n = (int)a->x.shape[0], tokens = (int)round_up(n, TRIANGLE_KEYS);
  pair_tile tile;
  passes_open(x);
  if (count < n) {  // every row needs the whole bias; it is made by rows for the ending node, too
    for (passes_begin(x, false, a->x.away ? count : n); passes_next(x, &tile);) {
      row_range range = {tile.first, tile.count, n, tokens, false};
      if (hopper()) {
        triangle_in_hopper(a, &tile, range, w, NULL, &bias);
      } else {
        dim3 grid((unsigned)tile.count, (unsigned)ceil_div(n, PANEL));
        attention_in_kernel<C, D, BIAS><<<grid, 256, in, cuda_stream>>>(tile, range, a->mask.data, a->norm, w, qkv, bias);
        CUDA_CHECK(cudaGetLastError());
      }
      passes_release(x);
    }
  }
  for (passes_begin(x, a->ending, count); passes_next(x, &tile);) {
    row_range range = {tile.first, tile.count, n, tokens, a->ending};
    dim3 grid((unsigned)(a->ending ? tokens : range.rows), (unsigned)ceil_div(a->ending ? range.rows : n, PANEL));
    if (hopper())
      triangle_in_hopper(a, &tile, range, w, qkv, count < n ? NULL : &bias);
    else if (count < n)
      attention_in_kernel<C, D, QKV><<<grid, 256, in, cuda_stream>>>(tile, range, a->mask.data, a->norm, w, qkv, bias);
    else
      attention_in_kernel<C, D, QKV | BIAS><<<grid, 256, in, cuda_stream>>>(tile, range, a->mask.data, a->norm, w, qkv, bias);
    CUDA_CHECK(cudaGetLastError());
    int64_t size = (int64_t)range.rows * tokens * C;
    const bf16 *q = qkv, *k = qkv + size, *v = qkv + 2 * size;
    if (hopper()) {
      triangle_rows_hopper(n, range.rows, C / D, D, q, k, v, bias, a->ending, o);
    } else {
      attention_rows_kernel<D><<<(unsigned)(C / D * ceil_div(range.rows, 2) * ceil_div(n, 128)), 256, rows, cuda_stream>>>(
          range, C / D, q, k, v, bias, o);
      CUDA_CHECK(cudaGetLastError());
    }
    average_masked_kernel<D><<<(unsigned)range.rows, C, 0, cuda_stream>>>(range, v, a->mask.data, o);
    CUDA_CHECK(cudaGetLastError());
    // Nothing of what other rows (columns) read changes here.
    int64_t lines = a->ending ? n : range.rows, pairs = a->ending ? range.rows : n;
    panel_gated_out(tile.data, C, lines, pairs, tile.apart, &a->norm, o, wg, wo);
    passes_put_back(x);
  }
  passes_close(x);
}

// (3, C, C): wq, wk, wv with permuted columns, then (C, 16) for the heads' bias. Scores come out in units of log2.
struct pack_attention {
  int64_t c, d, n_head;
  const float *wq, *wk, *wv, *w_bias;
  bf16 *to;
  __device__ void operator()(int64_t i) const {
    const float log2_e = 1.44269504f;
    int64_t which = i / (c * c), at = i % (c * c);
    float v;
    if (which < 2) v = (which ? wk : wq)[permuted_columns{c, 1, c}(at)] * (which ? 1.0f : log2_e * rsqrtf((float)d));
    else if (which == 2) v = wv[permuted_columns{c, c, 1}(at)];
    else v = at % 16 < n_head ? w_bias[at / 16 * n_head + at % 16] * log2_e : 0.0f;
    to[i] = __float2bfloat16(v);
  }
};

CUDA_OP(triangle_attention) {
  context->flops += flops_triangle_attention(a);
  int64_t n = a->x.shape[0], c = a->x.shape[2], n_head = tensor_last(a->w_bias), hd = tensor_count(a->wq) / c, d = hd / n_head;
  size_t mark = context_here(context);
  if (!cuda_bf16(context) || !a->x.narrow || hd != c || !((c == 64 && d == 16) || (c == 128 && d == 32))) {
    general_attention(context, a);
  } else {
    const bf16 *w = hopper() ? triangle_in_packed(context, a)
                             : packed_by(context, 3 * c * c + 16 * c, 3 * c * c + 16 * c, a->wq.data,
                                         pack_attention{c, d, n_head, a->wq.data, a->wk.data, a->wv.data, a->w_bias.data, NULL}),
               *wg = packed(context, c * c, permuted_columns{c, 1, c}, a->wg.data),
               *wo = packed(context, c * c, permuted_columns{c, c, 1}, a->wo.data);
    int64_t count = rows_at_once(context, a->x);
    pair_passes x = passes_of(context, a->x, count);
    bf16 *qkv = scratch<bf16>(context, 3 * count * round_up(n, TRIANGLE_KEYS) * c), *o = scratch<bf16>(context, count * n * c);
    bias_tiles bias = {NULL, (int)(round_up(n, TRIANGLE_QUERIES) / 16), (int)(round_up(n, TRIANGLE_KEYS) / 32)};
    int64_t bias_count = n_head * bias.query_tiles * bias.key_tiles * 512;
    bias.data = scratch<bf16>(context, bias_count);
    if (!context->dry) {
      launch_each(bias_count / 2, fill_words{(uint32_t *)bias.data, 0xff7fff7fu});
      if (c == 64) launch_attention<64, 16>(a, &x, count, w, wg, wo, qkv, bias, o);
      else launch_attention<128, 32>(a, &x, count, w, wg, wo, qkv, bias, o);
    }
  }
  context_reset(context, mark);
}
