// Attention of atoms within windows of 32 queries and 128 keys, on Hopper.
#include "tensor/cuda/half.cuh"
#include "tensor/cuda/token.cuh"

enum { QUERIES = 32, KEYS = 128, CHANNELS = 128, HEADS = 4, HEAD = 32, ROW = 4 * CHANNELS, LD = 2 * CHANNELS + 8 };
static const size_t windows_shared = KEYS * LD * sizeof(half) + KEYS * sizeof(float);

// Rows hold q, gate, k and v; q has its bias, the gate its sigmoid.
struct put_window_projections {
  static const bool pairs = false, sectors = false;
  half *y;
  const float *bias;
  float factor;
  __device__ void operator()(int row, int column, const float (&v)[2][8]) const {
#pragma unroll
    for (int i = 0; i < 2; i++) {
      int at = column + 32 * i;
      float w[8];
#pragma unroll
      for (int l = 0; l < 8; l++) w[l] = v[i][l];
      if (at < CHANNELS && bias) {
#pragma unroll
        for (int l = 0; l < 8; l++) w[l] += __ldg(bias + at + l) * factor;
      }
      if (at >= CHANNELS && at < 2 * CHANNELS) {
#pragma unroll
        for (int l = 0; l < 8; l++) w[l] = sigmoid_fast(w[l]);
      }
      *(uint4 *)(y + (int64_t)row * ROW + at) = pack_half_eight(w);
    }
  }
};

// A block a window and sample; of its eight warps each has one head and 16 queries.
__global__ void __launch_bounds__(256, 3)
    window_kernel(const half *rows, int n_window, const float *logits, int heads, int first_head, const int32_t *index,
                  const float *query_mask, const float *key_mask, half *o) {
  extern __shared__ __align__(128) half window_memory[];
  half *keys = window_memory;
  float *masked = (float *)(keys + KEYS * LD);
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, head = warp / 2, window = blockIdx.y;
  int64_t sample = (int64_t)blockIdx.x * n_window * QUERIES;
  for (int i = threadIdx.x; i < KEYS * 32; i += 256) {
    int32_t row = index[window * KEYS + i / 32];
    copy_async(keys + i / 32 * LD + i % 32 * 8, rows + (sample + (row < 0 ? 0 : row)) * ROW + 2 * CHANNELS + i % 32 * 8, row >= 0);
  }
  copy_commit();
  for (int i = threadIdx.x; i < KEYS; i += 256) masked[i] = key_mask[window * KEYS + i] - 1.0f;
  int query = window * QUERIES + warp % 2 * 16 + g;  // and 8 further on
  const half *mine = rows + (sample + query) * ROW + head * HEAD + 2 * t;
  uint32_t fq[2][4];
#pragma unroll
  for (int l = 0; l < 2; l++)
#pragma unroll
    for (int r = 0; r < 4; r++) fq[l][r] = *(const uint32_t *)(mine + r % 2 * 8 * ROW + 16 * l + r / 2 * 8);
  float s[KEYS / 8][4], hidden[2];
  const float *bias = logits + ((int64_t)window * heads + first_head + head) * KEYS * QUERIES + warp % 2 * 16 + g;
#pragma unroll
  for (int j = 0; j < KEYS / 8; j++)
#pragma unroll
    for (int l = 0; l < 4; l++) s[j][l] = __ldg(bias + (8 * j + 2 * t + l % 2) * QUERIES + l / 2 * 8);
#pragma unroll
  for (int r = 0; r < 2; r++) hidden[r] = 1e9f * (query_mask[query + 8 * r] - 1.0f);
  copy_wait<0>();
  __syncthreads();
#pragma unroll
  for (int j = 0; j < KEYS / 8; j++) {
    uint32_t fb[4];
    load_matrix(fb, keys + (8 * j + lane % 8) * LD + head * HEAD + lane / 8 * 8);
    mma_half(s[j], fq[0], fb[0], fb[1]);
    mma_half(s[j], fq[1], fb[2], fb[3]);
  }
  float total[2], high[2] = {-INFINITY, -INFINITY};
  if (hidden[0] != 0 || hidden[1] != 0) {
#pragma unroll
    for (int j = 0; j < KEYS / 8; j++)
#pragma unroll
      for (int l = 0; l < 4; l++) s[j][l] += hidden[l / 2] * masked[8 * j + 2 * t + l % 2];
  }
#pragma unroll
  for (int j = 0; j < KEYS / 8; j++)
#pragma unroll
    for (int l = 0; l < 4; l++) high[l / 2] = fmaxf(high[l / 2], s[j][l]);
#pragma unroll
  for (int r = 0; r < 2; r++) {
    high[r] = fmaxf(high[r], __shfl_xor_sync(0xffffffffu, high[r], 1));
    high[r] = fmaxf(high[r], __shfl_xor_sync(0xffffffffu, high[r], 2));
    total[r] = 0;
  }
  float out[HEAD / 8][4] = {};
#pragma unroll
  for (int k = 0; k < KEYS / 16; k++) {
    uint32_t fp[4];
#pragma unroll
    for (int r = 0; r < 4; r++) {
      const float *from = s[2 * k + r / 2] + r % 2 * 2;
      float p0 = exp2_fast((from[0] - high[r % 2]) * 1.44269504f), p1 = exp2_fast((from[1] - high[r % 2]) * 1.44269504f);
      total[r % 2] += p0 + p1;
      fp[r] = pack_half_small(p0, p1);
    }
#pragma unroll
    for (int j = 0; j < HEAD / 8; j += 2) {
      uint32_t fb[4];
      load_matrix_transposed(fb, keys + (16 * k + lane / 8 % 2 * 8 + lane % 8) * LD + CHANNELS + head * HEAD + 8 * j + lane / 16 * 8);
      mma_half(out[j], fp, fb[0], fb[1]);
      mma_half(out[j + 1], fp, fb[2], fb[3]);
    }
  }
#pragma unroll
  for (int r = 0; r < 2; r++) {
    float sum = total[r];
    sum += __shfl_xor_sync(0xffffffffu, sum, 1);
    sum += __shfl_xor_sync(0xffffffffu, sum, 2);
    float inverse = 1.0f / sum;
    half *to = o + (sample + query + 8 * r) * CHANNELS + head * HEAD + 2 * t;
#pragma unroll
    for (int j = 0; j < HEAD / 8; j++) {
      float2 gate = unpack_half(*(const uint32_t *)(mine + r * 8 * ROW + CHANNELS + 8 * j));
      *(uint32_t *)(to + 8 * j) = pack_half(out[j][2 * r] * inverse * gate.x, out[j][2 * r + 1] * inverse * gate.y);
    }
  }
}

bool half_atom_attention(nf_context *context, const op_atom_attention *a) {
  int64_t n_s = a->logits.shape[0], heads = a->logits.shape[1], c = tensor_last(a->x), m = tensor_rows(a->x),
          hd = tensor_count(a->wq) / c, samples = m / (n_s * QUERIES);
  if (!half_possible() || c != CHANNELS || hd != CHANNELS || a->wq.shape[1] != HEADS || a->logits.shape[2] != KEYS ||
      a->logits.shape[3] != QUERIES || n_s > 65535 || m > INT32_MAX / 2)
    return false;
  float factor = 1.0f / sqrtf((float)HEAD);
  half_weights in = {c, hd, 4, {a->wq.data, a->wg.data, a->wk.data, a->wv.data}, {}, {factor, 1, 1, 1}, false},
               out = {hd, c, 1, {a->wo.data}, {}, {1}, false};
  size_t mark = context_here(context);
  half *h = scratch<half>(context, 2 * m * c), *rows = scratch<half>(context, m * ROW), *o = scratch<half>(context, m * hd);
  const half *w_in = half_pack(context, &in), *w_out = half_pack(context, &out);
  if (!context->dry) {
    half_norm_two(a->x.data, m, &a->query, &a->key, h);
    half_gemm(m, 4 * hd, c, h, 2 * m, w_in, put_window_projections{rows, a->bq.data, factor}, 2 * hd, m);
    static bool allowed;
    if (!allowed) allow_shared(window_kernel, windows_shared), allowed = true;
    window_kernel<<<dim3((unsigned)samples, (unsigned)n_s), 256, windows_shared, cuda_stream>>>(
        rows, (int)n_s, a->logits.data, (int)heads, a->first_head, a->key_index, a->query_mask.data, a->key_mask.data, o);
    CUDA_CHECK(cudaGetLastError());
    half_gemm(m, c, hd, o, m, w_out, half_add(a->x.data, c, &a->query, 1));
  }
  context_reset(context, mark);
  return true;
}
