// The token transformer: self-attention and transition of rows wide enough for Hopper's matrix units.
#include "tensor/cuda/half.cuh"
#include "tensor/cuda/token.cuh"

// ---- attention ----

// q, k, v and gate side by side: (M, 4 heads d). q has its bias, the gate its sigmoid.
struct put_projections {
  static const bool pairs = false, sectors = false;
  half *y;
  const float *bias;
  float factor;  // of the bias; that of q is in its weights
  int hd;
  __device__ void operator()(int row, int column, const float (&v)[2][8]) const {
#pragma unroll
    for (int i = 0; i < 2; i++) {
      int at = column + 32 * i;
      if (at >= 4 * hd) break;
      float w[8];
#pragma unroll
      for (int l = 0; l < 8; l++) w[l] = v[i][l];
      if (at < hd && bias) {
        const float4 *b = (const float4 *)(bias + at);
        float4 low = __ldg(b), high = __ldg(b + 1);
        w[0] += low.x * factor, w[1] += low.y * factor, w[2] += low.z * factor, w[3] += low.w * factor;
        w[4] += high.x * factor, w[5] += high.y * factor, w[6] += high.z * factor, w[7] += high.w * factor;
      }
      if (at >= 3 * hd) {
#pragma unroll
        for (int l = 0; l < 8; l++) w[l] = sigmoid_fast(w[l]);
      }
      *(uint4 *)(y + (int64_t)row * 4 * hd + at) = pack_half_eight(w);
    }
  }
};

enum { ATTENTION_STAGES = 4, ATTENTION_STAGE_BYTES = 2 * 64 * 128 };
static const size_t attention_shared = 1024 + ATTENTION_STAGES * (ATTENTION_STAGE_BYTES + 2 * sizeof(uint64_t));

// Two warp groups of 64 queries each, of one head and sample; a third fetches tiles of 64 keys.
template <int D>
__global__ void __launch_bounds__(384, 2)
    token_attention_kernel(const __grid_constant__ CUtensorMap map, const half *qkvg, int n, int n_head, const uint4 *logits, half *o) {
#ifdef HOPPER_CODE
  enum { STEPS = (D + 15) / 16 };
  extern __shared__ char attention_memory[];
  char *tiles = (char *)(((uintptr_t)attention_memory + 1023) & ~(uintptr_t)1023);
  uint64_t *full = (uint64_t *)(tiles + ATTENTION_STAGES * ATTENTION_STAGE_BYTES), *empty = full + ATTENTION_STAGES;
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, sample = blockIdx.x, head = blockIdx.z, n_tile = (n + 63) / 64;
  if (threadIdx.x == 0) {
    for (int s = 0; s < ATTENTION_STAGES; s++) {
      barrier_init(full + s, 1);
      barrier_init(empty + s, 8);
    }
    barrier_publish();
  }
  __syncthreads();
  if (warp >= 8) {
    registers_fewer<24>();
    if (threadIdx.x == 256)
      for (int i = 0; i < n_tile; i++) {
        int s = i % ATTENTION_STAGES, turn = i / ATTENTION_STAGES;
        if (turn > 0) barrier_wait(empty + s, (turn - 1) & 1);
        char *to = tiles + s * ATTENTION_STAGE_BYTES;
        barrier_expect(full + s, ATTENTION_STAGE_BYTES);
        copy_tile(to, &map, full + s, 0, n_head + head, i * 64, sample);
        copy_tile(to + ATTENTION_STAGE_BYTES / 2, &map, full + s, 0, 2 * n_head + head, i * 64, sample);
      }
  } else {
    registers_more<104>();
    int g = lane / 4, t = lane % 4, q0 = blockIdx.y * 128 + warp / 4 * 64, row0 = q0 + warp % 4 * 16 + g;
    int64_t width = (int64_t)4 * n_head * D;
    const half *rows[2];
#pragma unroll
    for (int s = 0; s < 2; s++)
      rows[s] = row0 + 8 * s < n ? qkvg + ((int64_t)sample * n + row0 + 8 * s) * width + head * D + 2 * t : NULL;
    uint32_t fq[STEPS][4];
#pragma unroll
    for (int l = 0; l < STEPS; l++)
#pragma unroll
      for (int r = 0; r < 4; r++) {
        int at = 16 * l + r / 2 * 8;
        fq[l][r] = rows[r % 2] && at < D ? *(const uint32_t *)(rows[r % 2] + at) : 0;
      }
    int q_tile = q0 / 64 < n_tile ? q0 / 64 : n_tile - 1;
    const uint4 *bias = logits + ((int64_t)head * n_tile + q_tile) * n_tile * 512 + threadIdx.x % 128;
    uint4 next[4];
#pragma unroll
    for (int c = 0; c < 4; c++) next[c] = __ldg(bias + c * 128);
    float out[D / 8][4] = {}, most[2] = {-INFINITY, -INFINITY}, total[2] = {0, 0};
    for (int i = 0; i < n_tile; i++) {
      int stage = i % ATTENTION_STAGES;
      const char *tile = tiles + stage * ATTENTION_STAGE_BYTES;
      float s[8][4];
#pragma unroll
      for (int c = 0; c < 4; c++) {
        const uint32_t v[4] = {next[c].x, next[c].y, next[c].z, next[c].w};
#pragma unroll
        for (int l = 0; l < 4; l++) {
          float2 pair = unpack_half(v[l]);
          s[2 * c + l / 2][l % 2 * 2] = pair.x, s[2 * c + l / 2][l % 2 * 2 + 1] = pair.y;
        }
      }
      if (i + 1 < n_tile) {
        bias += 512;
#pragma unroll
        for (int c = 0; c < 4; c++) next[c] = __ldg(bias + c * 128);
      }
      barrier_wait(full + stage, i / ATTENTION_STAGES & 1);
      uint64_t dk = operand_128(tile), dv = operand_128(tile + ATTENTION_STAGE_BYTES / 2);
      products_begin();
#pragma unroll
      for (int l = 0; l < STEPS; l++) product_half(s, fq[l], dk + 2 * l);
      products_commit();
      products_wait<0>();
      products_settle(s);
      float high[2] = {-INFINITY, -INFINITY};
#pragma unroll
      for (int l = 0; l < 32; l++) high[l / 2 % 2] = fmaxf(high[l / 2 % 2], s[l / 4][l % 4]);
      // The sums are taken relative to a score that may lie some way below the largest: it is rarely moved.
      if (__any_sync(0xffffffffu, high[0] > most[0] + 8 || high[1] > most[1] + 8)) {
#pragma unroll
        for (int r = 0; r < 2; r++) {
          high[r] = fmaxf(high[r], __shfl_xor_sync(0xffffffffu, high[r], 1));
          high[r] = fmaxf(high[r], __shfl_xor_sync(0xffffffffu, high[r], 2));
          high[r] = fmaxf(high[r], most[r]);
          float factor = exp2_fast(most[r] - high[r]);
          most[r] = high[r];
          total[r] *= factor;
#pragma unroll
          for (int j = 0; j < D / 8; j++) out[j][2 * r] *= factor, out[j][2 * r + 1] *= factor;
        }
      }
      uint32_t fp[4][4];
#pragma unroll
      for (int l = 0; l < 32; l += 2) {
        int r = l / 2 % 2;
        float p0 = exp2_fast(s[l / 4][l % 4] - most[r]), p1 = exp2_fast(s[l / 4][l % 4 + 1] - most[r]);
        total[r] += p0 + p1;
        fp[l / 8][l / 2 % 4] = pack_half_small(p0, p1);
      }
      products_begin();
#pragma unroll
      for (int l = 0; l < 4; l++) product_half_transposed(out, fp[l], dv + 128 * l);
      products_commit();
      products_wait<0>();
      products_settle(out);
      if (lane == 0) barrier_arrive(empty + stage);
    }
#pragma unroll
    for (int r = 0; r < 2; r++) {
      float sum = total[r];
      sum += __shfl_xor_sync(0xffffffffu, sum, 1);
      sum += __shfl_xor_sync(0xffffffffu, sum, 2);
      if (!rows[r]) continue;
      float inverse = 1.0f / sum;
      half *to = o + ((int64_t)sample * n + row0 + 8 * r) * n_head * D + head * D + 2 * t;
      const half *gate = rows[r] + 3 * n_head * D;
#pragma unroll
      for (int j = 0; j < D / 8; j++) {
        float2 factor = unpack_half(*(const uint32_t *)(gate + 8 * j));
        *(uint32_t *)(to + 8 * j) =
            pack_half(out[j][2 * r] * inverse * factor.x, out[j][2 * r + 1] * inverse * factor.y);
      }
    }
  }
#endif
}

template <int D>
static void launch_attention(const half *qkvg, int64_t samples, int64_t n, int64_t n_head, const uint4 *logits, half *o) {
  static bool allowed;
  if (!allowed) allow_shared(token_attention_kernel<D>, attention_shared), allowed = true;
  int64_t width = 4 * n_head * D;
  tile_source tiles = {qkvg, 4, {D, 4 * n_head, n, samples}, {1, D, width, n * width}, 2, 64};
  dim3 grid((unsigned)samples, (unsigned)ceil_div(n, 128), (unsigned)n_head);
  token_attention_kernel<D><<<grid, 384, attention_shared, cuda_stream>>>(tile_map(&tiles), qkvg, (int)n, (int)n_head, logits, o);
  CUDA_CHECK(cudaGetLastError());
}

static bool attention_fits(int64_t c, int64_t d) { return half_possible() && (d == 24 || d == 48) && half_norm_fits(c); }
int64_t cuda_kept_logits(int64_t n, int64_t c, int64_t d) {
  return attention_fits(c, d) ? tiled_logits(n) / (int64_t)sizeof(float) : 0;
}

bool half_attention(nf_context *context, const op_attention *a) {
  int64_t n = a->mask.shape[0], c = tensor_last(a->x), m = tensor_rows(a->x), hd = tensor_count(a->wq) / c,
          n_head = a->wq.shape[1], d = hd / n_head, samples = m / n;
  if (!attention_fits(c, d)) return false;
  half_weights in = {c, hd, 4, {a->wq.data, a->wk.data, a->wv.data, a->wg.data}, {}, {}, false},
               out = {hd, c, 1, {a->wo.data}, {}, {1}, false};
  float factor = 1.44269504f / sqrtf((float)d);  // logits are in base 2
  for (int i = 0; i < 4; i++) in.factor[i] = i == 0 ? factor : 1;
  size_t mark = context_here(context);
  half *h = scratch<half>(context, m * c), *qkvg = scratch<half>(context, 4 * m * hd), *o = scratch<half>(context, m * hd);
  const half *w_in = half_pack(context, &in), *w_out = half_pack(context, &out);
  bool kept = a->logits.n_dims == 2;
  char *tiles = kept ? (char *)a->logits.data : scratch<char>(context, n_head * tiled_logits(n));
  if (!context->dry) {
    if (!kept) pack_logits(a->logits.data, a->mask.data, n_head, n, tiles);
    half_norm(a->x.data, m, c, &a->norm, &a->condition, h);
    half_gemm(m, 4 * hd, c, h, m, w_in, put_projections{qkvg, a->bq.data, factor, (int)hd});
    if (d == 48) launch_attention<48>(qkvg, samples, n, n_head, (const uint4 *)tiles, o);
    else launch_attention<24>(qkvg, samples, n, n_head, (const uint4 *)tiles, o);
    half_gemm(m, c, hd, o, m, w_out, half_add(a->x.data, c, &a->condition, 1));
  }
  context_reset(context, mark);
  return true;
}

// ---- transition ----

// swish(gate) * value, made smaller so that it stays in range.
static const float hidden_factor = 1.0f / 16;
struct put_hidden {
  static const bool pairs = true, sectors = false;
  half *y;
  int64_t n;
  __device__ void operator()(int row, int column, const float (&v)[2][8]) const {
    if (column >= n) return;
    float w[8];
#pragma unroll
    for (int l = 0; l < 8; l++) w[l] = v[0][l] * sigmoid_fast(v[0][l]) * (v[1][l] * hidden_factor);
    *(uint4 *)(y + row * n + column) = pack_half_eight(w);
  }
};

bool half_transition(nf_context *context, const op_transition *a) {
  int64_t c = tensor_last(a->x), n = tensor_count(a->w2) / c, m = tensor_rows(a->x);
  if (!half_possible() || !half_norm_fits(c) || (c < 256 && !tensor_given(a->condition.scale)) || n % 64 != 0 || m > INT32_MAX) return false;
  half_weights w1 = {c, 2 * n, 1, {a->w1.data}, {}, {1}, true}, w2 = {n, c, 1, {a->w2.data}, {}, {1}, false};
  size_t mark = context_here(context);
  half *h = scratch<half>(context, m * c), *hidden = scratch<half>(context, m * n);
  const half *p1 = half_pack(context, &w1), *p2 = half_pack(context, &w2);
  if (!context->dry) {
    half_norm(a->x.data, m, c, &a->norm, &a->condition, h);
    half_gemm(m, 2 * n, c, h, m, p1, put_hidden{hidden, n});
    half_gemm(m, c, n, hidden, m, p2, half_add(a->x.data, c, &a->condition, 1 / hidden_factor));
  }
  context_reset(context, mark);
  return true;
}

// ---- layers side by side ----

enum { LAYER_BLOCKS = 8 };  // at once
struct put_layers {
  static const bool pairs = false, sectors = true;
  float *y;  // (layers, m, out)
  const float *bias[LAYER_BLOCKS * LINEARS_MOST];
  uint64_t sigmoids;  // a bit a layer
  int m, out;         // out: a multiple of the tile's columns
  __device__ void operator()(int row, int column, const float (&v)[2][8]) const {
    int layer = column / out, first = column % out, at[2] = {sector_first(first), sector_second(first)};
    bool curved = sigmoids >> layer & 1;
    const float *b = bias[layer];
    float *to = y + ((int64_t)layer * m + row) * out;
#pragma unroll
    for (int i = 0; i < 4; i++) {
      int l = at[i % 2] + i / 2 * 32;
      const float *from = v[i / 2] + i % 2 * 4;
      float4 w = {from[0], from[1], from[2], from[3]};
      if (b) {
        float4 add = __ldg((const float4 *)(b + l));
        w.x += add.x, w.y += add.y, w.z += add.z, w.w += add.w;
      }
      if (curved) w = float4{sigmoid_fast(w.x), sigmoid_fast(w.y), sigmoid_fast(w.z), sigmoid_fast(w.w)};
      *(float4 *)(to + l) = w;
    }
  }
};

bool half_linears(nf_context *context, const op_linears *a) {
  int64_t in = tensor_last(a->x), m = tensor_rows(a->x), out = tensor_last(a->y);
  if (!half_possible() || !half_norm_fits(in) || out % HALF_TILE != 0 || m > INT32_MAX / 2) return false;
  context->flops += flops_linears(a);
  int normalised = 0;  // of each block
  while (normalised < a->n && tensor_given(a->layers[normalised].scale)) normalised++;
  size_t mark = context_here(context);
  int forms = normalised < a->n ? 2 : 1;  // x normalised, and as it is below that
  half *h = scratch<half>(context, forms * m * in);
  if (!context->dry) half_norm(a->x.data, m, in, NULL, NULL, h, forms > 1 ? h + m * in : NULL);
  for (int first = 0; first < a->n_blocks; first += LAYER_BLOCKS) {
    size_t inner = context_here(context);
    int n_blocks = a->n_blocks - first < LAYER_BLOCKS ? a->n_blocks - first : LAYER_BLOCKS;
    put_layers to = {tensor_slice(a->y, first * a->n).data, {}, 0, (int)m, (int)out};
    const half *w[LAYER_BLOCKS];
    for (int i = 0; i < n_blocks; i++) {
      half_weights weights = {in, out, a->n, {}, {}, {}, false};
      for (int l = 0; l < a->n; l++) {
        const linear_layer *layer = &a->layers[(first + i) * a->n + l];
        NF_ASSERT(tensor_given(layer->scale) == (l < normalised));
        weights.w[l] = layer->w.data, weights.row_scale[l] = layer->scale.data, weights.factor[l] = 1;
        to.bias[i * a->n + l] = layer->bias.data;
        to.sigmoids |= (uint64_t)layer->sigmoid_output << (i * a->n + l);
      }
      w[i] = half_pack(context, &weights);
    }
    if (!context->dry) half_gemm_parts<LAYER_BLOCKS>(m, a->n * out, in, h, forms * m, n_blocks, w, to, normalised * out, m);
    context_reset(context, inner);
  }
  context_reset(context, mark);
  return true;
}
