// The transition of pair and MSA rows: the hidden layer never leaves the registers.
#include "tensor/cuda/hopper.cuh"
#include "tensor/cuda/panel.cuh"
#include "tensor/cuda/staging.cuh"

// Eight warps of 32 rows each. The hidden layer passes in chunks of 32: gate and value columns side by side in w1
// (chunks, C, 64), rows of w2 (n, C).
template <int C>
__global__ void __launch_bounds__(256, 1) transition_kernel(bf16 *x, int64_t m, const float *scale, const float *offset,
                                                            const bf16 *w1, const bf16 *w2, int chunks) {
  extern __shared__ __align__(128) bf16 panel_memory[];
  enum { H1 = C * 72, H2 = 32 * (C + 8), NT = C / 8 };
  bf16 *h = panel_memory, *ws = h + 256 * (C + 8);
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, q = lane / 8, r8 = lane % 8;
  int64_t m0 = (int64_t)blockIdx.x * 256;
  auto load = [&](int chunk) {
    bf16 *to = ws + chunk % 2 * (H1 + H2);
    panel_weights(w1 + (int64_t)chunk * C * 64, C, 64, to, 72);
    panel_weights(w2 + (int64_t)chunk * 32 * C, 32, C, to + H1, C + 8);
  };
  load(0);
  copy_commit();
  x += m0 * C;
  panel_norm<C>(x, m - m0, scale, offset, h, warp * 32, 32);
  __syncwarp();
  float out[2][NT][4] = {};
  for (int chunk = 0; chunk < chunks; chunk++) {
    copy_wait<0>();
    __syncthreads();
    if (chunk + 1 < chunks) load(chunk + 1);
    copy_commit();
    const bf16 *first = ws + chunk % 2 * (H1 + H2), *second = first + H1;
    float hidden[2][8][4] = {};
    panel_product<C, 8>(h + warp * 32 * (C + 8), first, 72, hidden);
#pragma unroll
    for (int s = 0; s < 2; s++) {
      uint32_t fa[2][4];
#pragma unroll
      for (int i = 0; i < 2; i++)
#pragma unroll
        for (int r = 0; r < 4; r++) {
          int nt = 2 * s + r / 2, at = r % 2 * 2;
          float v[2];
#pragma unroll
          for (int e = 0; e < 2; e++) {
            float gate = hidden[i][nt][at + e];
            v[e] = __fdividef(gate, 1.0f + __expf(-gate)) * hidden[i][nt + 4][at + e];
          }
          fa[i][r] = pack_bf16(v[0], v[1]);
        }
#pragma unroll
      for (int j = 0; j < NT; j += 2) {
        uint32_t fb[4];
        load_matrix_transposed(fb, second + (16 * s + q % 2 * 8 + r8) * (C + 8) + 8 * j + q / 2 * 8);
#pragma unroll
        for (int i = 0; i < 2; i++) {
          mma_bf16(out[i][j], fa[i], fb[0], fb[1]);
          mma_bf16(out[i][j + 1], fa[i], fb[2], fb[3]);
        }
      }
    }
  }
#pragma unroll
  for (int i = 0; i < 2; i++)
#pragma unroll
    for (int s = 0; s < 2; s++) {
      int row = warp * 32 + 16 * i + g + 8 * s;
      if (m0 + row >= m) continue;
#pragma unroll
      for (int group = 0; group < C / 32; group++) {
        const float v[8] = PANEL_EIGHT(out, i, group, s);
        add_eight(x + (int64_t)row * C + group * 32 + t * 8, v);
      }
    }
}

bool panel_transition_fits(int64_t c, int64_t n) { return (c == 64 || c == 128) && n % 32 == 0; }

struct hidden_columns {
  int64_t c, n;
  __device__ int64_t operator()(int64_t i) const {
    int64_t chunk = i / (c * 64), l = i / 64 % c, j = i % 64;
    return l * 2 * n + (j < 32 ? 0 : n) + chunk * 32 + j % 32;
  }
};

template <int C>
static void launch_transition(const op_transition *a, bf16 *x, int64_t m, int chunks, const bf16 *w1, const bf16 *w2) {
  size_t shared = (256 * (C + 8) + 2 * (C * 72 + 32 * (C + 8))) * sizeof(bf16);
  static bool allowed;
  if (!allowed) allow_shared(transition_kernel<C>, shared), allowed = true;
  transition_kernel<C><<<(unsigned)ceil_div(m, 256), 256, shared, cuda_stream>>>(
      x, m, a->norm.scale.data, a->norm.offset.data, w1, w2, chunks);
  CUDA_CHECK(cudaGetLastError());
}

void panel_transition(nf_context *context, const op_transition *a) {
  int64_t c = tensor_last(a->x), n = tensor_count(a->w2) / c, count = a->x.away ? rows_at_once(context, a->x) : a->x.shape[0],
          line = tensor_rows(a->x) / a->x.shape[0];
  const bf16 *w1 = hopper() ? hopper_transition_packed(context, a) : packed(context, c * 2 * n, hidden_columns{c, n}, a->w1.data),
             *w2 = hopper() ? NULL : packed(context, n * c, permuted_columns{c, c, 1}, a->w2.data);
  pair_passes x = passes_of(context, a->x, count);
  if (context->dry) return;
  pair_tile tile;
  passes_open(&x);
  for (passes_begin(&x, false, count); passes_next(&x, &tile);) {
    int64_t m = tile.count * line;
    if (hopper()) hopper_transition(a, tile.data, m, w1);
    else if (c == 64) launch_transition<64>(a, tile.data, m, (int)(n / 32), w1, w2);
    else launch_transition<128>(a, tile.data, m, (int)(n / 32), w1, w2);
    passes_put_back(&x);
  }
  passes_close(&x);
}

// See panel_gated_out; a block has 128 rows of a line.
template <int C>
__global__ void __launch_bounds__(256, 2) gated_out_kernel(bf16 *x, int n, int64_t apart, op_norm norm, const bf16 *o, const bf16 *wg,
                                                               const bf16 *wo) {
  extern __shared__ __align__(128) bf16 panel_memory[];
  enum { NT = C / 16 };
  bf16 *h = panel_memory, *ws = h + 128 * (C + 8), *second = ws + C * (C + 8);
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, wm = warp / 2 * 32, wn = warp % 2;
  int i = blockIdx.x, j0 = blockIdx.y * 128;
  panel_weights(wg, C, C, ws, C + 8);
  panel_weights(wo, C, C, second, C + 8);
  copy_commit();
  x += (i * apart + j0) * C;
  o += ((int64_t)i * n + j0) * C;
  // o is wanted after the first product: on its way to the second-level cache by then.
  if (threadIdx.x < 128 * C / 64 && j0 + (int)threadIdx.x * 64 / C < n)
    asm volatile("prefetch.global.L2 [%0];" ::"l"(o + threadIdx.x * 64));
  panel_norm<C>(x, n - j0, norm.scale.data, norm.offset.data, h, warp * 16, 16);
  copy_wait<0>();
  __syncthreads();
  float acc[2][NT][4] = {};
  panel_product<C, NT>(h + wm * (C + 8), ws + wn * (C / 2), C + 8, acc);
  __syncthreads();
#pragma unroll
  for (int r = 0; r < 2; r++)
#pragma unroll
    for (int s = 0; s < 2; s++) {
      int row = wm + 16 * r + g + 8 * s;
#pragma unroll
      for (int group = 0; group < NT / 4; group++) {
        int column = wn * (C / 2) + group * 32 + t * 8;
        uint4 v = {0, 0, 0, 0};
        if (j0 + row < n) v = *(const uint4 *)(o + (int64_t)row * C + column);
        uint32_t *word = (uint32_t *)&v;
#pragma unroll
        for (int j = 0; j < 4; j++)
          word[j] = pack_bf16(bf16_low(word[j]) * sigmoid(acc[r][4 * group + j][2 * s]),
                              bf16_high(word[j]) * sigmoid(acc[r][4 * group + j][2 * s + 1]));
        *(uint4 *)(h + row * (C + 8) + column) = v;
      }
    }
  __syncthreads();
#pragma unroll
  for (int r = 0; r < 2; r++)
#pragma unroll
    for (int j = 0; j < NT; j++)
#pragma unroll
      for (int s = 0; s < 4; s++) acc[r][j][s] = 0;
  panel_product<C, NT>(h + wm * (C + 8), second + wn * (C / 2), C + 8, acc);
#pragma unroll
  for (int r = 0; r < 2; r++)
#pragma unroll
    for (int s = 0; s < 2; s++) {
      int row = wm + 16 * r + g + 8 * s;
      if (j0 + row >= n) continue;
#pragma unroll
      for (int group = 0; group < NT / 4; group++) {
        const float v[8] = PANEL_EIGHT(acc, r, group, s);
        add_eight(x + (int64_t)row * C + wn * (C / 2) + group * 32 + t * 8, v);
      }
    }
}

template <int C>
static void launch_gated_out(bf16 *x, int64_t lines, int64_t n, int64_t apart, const op_norm *norm, const bf16 *o,
                             const bf16 *wg, const bf16 *wo) {
  size_t shared = (128 * (C + 8) + 2 * C * (C + 8)) * sizeof(bf16);
  static bool allowed;
  if (!allowed) allow_shared(gated_out_kernel<C>, shared), allowed = true;
  dim3 grid((unsigned)lines, (unsigned)ceil_div(n, 128));
  gated_out_kernel<C><<<grid, 256, shared, cuda_stream>>>(x, (int)n, apart, *norm, o, wg, wo);
  CUDA_CHECK(cudaGetLastError());
}
void panel_gated_out(bf16 *x, int64_t c, int64_t lines, int64_t n, int64_t apart, const op_norm *norm, const bf16 *o,
                     const bf16 *wg, const bf16 *wo) {
  if (hopper()) hopper_gated_out(x, c, lines, n, apart, norm, o, wg, wo);
  else if (c == 64) launch_gated_out<64>(x, lines, n, apart, norm, o, wg, wo);
  else launch_gated_out<128>(x, lines, n, apart, norm, o, wg, wo);
}

// Four warps of 32 rows.
template <int C>
__global__ void __launch_bounds__(128) logits_kernel(const bf16 *x, const float *scale, const float *offset, const bf16 *w,
                                                     int n_head, logits_layout a, float *out) {
  extern __shared__ __align__(128) bf16 panel_memory[];
  bf16 *h = panel_memory, *ws = h + 128 * (C + 8);
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
  int64_t line = blockIdx.x, first = (int64_t)blockIdx.y * 128, batch = blockIdx.z;
  panel_weights(w, C, 16, ws, 24);
  copy_commit();
  panel_norm<C>(x + (batch * a.x_batch + line * a.x_line + first * a.apart) * C, a.n - first, scale, offset, h, warp * 32, 32,
                a.apart * C);
  copy_wait<0>();
  __syncthreads();
  float acc[2][2][4] = {};
  panel_product<C, 2>(h + warp * 32 * (C + 8), ws, 24, acc);
  out += batch * a.out_batch + line * a.out_line + first;
#pragma unroll
  for (int r = 0; r < 2; r++)
#pragma unroll
    for (int j = 0; j < 2; j++)
#pragma unroll
      for (int s = 0; s < 4; s++) {
        int row = warp * 32 + 16 * r + g + s / 2 * 8, head = 8 * j + 2 * t + s % 2;
        if (first + row < a.n && head < n_head) out[head * a.plane + row] = acc[r][j][s];
      }
}
template <int C>
static void launch_logits(const bf16 *x, const op_norm *norm, const bf16 *w, int n_head, int64_t batches,
                          const logits_layout *a, float *out) {
  size_t shared = (128 * (C + 8) + C * 24) * sizeof(bf16);
  static bool allowed;
  if (!allowed) allow_shared(logits_kernel<C>, shared), allowed = true;
  dim3 grid((unsigned)a->lines, (unsigned)ceil_div(a->n, 128), (unsigned)batches);
  logits_kernel<C><<<grid, 128, shared, cuda_stream>>>(x, norm->scale.data, norm->offset.data, w, n_head, *a, out);
  CUDA_CHECK(cudaGetLastError());
}
void panel_logits(const bf16 *x, int64_t c, const op_norm *norm, const bf16 *w, int n_head, int64_t batches,
                  const logits_layout *layout, float *out) {
  if (c == 64) launch_logits<64>(x, norm, w, n_head, batches, layout, out);
  else launch_logits<128>(x, norm, w, n_head, batches, layout, out);
}
