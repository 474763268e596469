// Triangle multiplication and triangle attention, in place on the pair tensor. In bf16 for the sizes of the network,
// else by the general products.
#include "tensor/cuda/blas.cuh"
#include "tensor/cuda/flash.cuh"
#include "tensor/cuda/gemm.cuh"
#include "tensor/cuda/panel.cuh"

// ---- triangle multiplication, general ----

// Gated a and b of pair (i, k), channel by channel: columns 2 c give a, 2 c + 1 b.
struct put_left_right {
  float *left, *right;
  const float *mask;
  int64_t n;
  __device__ void operator()(int64_t, int64_t ij, int j, float gate, float value) const {
    int64_t i = (uint32_t)ij / (uint32_t)n, k = (uint32_t)ij % (uint32_t)n;
    (j % 2 ? right : left)[j / 2 * n * n + ij] = sigmoid(gate) * value * mask[i] * mask[k];
  }
};
// y (m, c) = norm of x (c, m)
struct normalise_column {
  const float *x;
  int64_t m, c;
  const float *scale, *offset;
  float *y;
  __device__ void operator()(int64_t r, int lane) const {
    float sum = 0, square = 0;
    for (int64_t l = lane; l < c; l += 32) sum += x[l * m + r];
    float mean = warp_sum(sum) / (float)c;
    for (int64_t l = lane; l < c; l += 32) square += (x[l * m + r] - mean) * (x[l * m + r] - mean);
    float inverse = rsqrtf(warp_sum(square) / (float)c + 1e-5f);
    for (int64_t l = lane; l < c; l += 32)
      y[r * c + l] = (x[l * m + r] - mean) * inverse * (scale ? scale[l] : 1.0f) + (offset ? offset[l] : 0.0f);
  }
};
struct put_sigmoid {
  float *y;
  int64_t stride;
  __device__ void operator()(int64_t, int64_t i, int j, float v) const { y[i * stride + j] = sigmoid(v); }
};
struct add_times {
  float *x;
  const float *gate;
  int64_t stride;
  __device__ void operator()(int64_t, int64_t i, int j, float v) const { x[i * stride + j] += gate[i * stride + j] * v; }
};
// Columns 0 .. c - 1 of gate and value weights next to one another, as a dual product wants them.
struct join_columns {
  const float *gate, *value;
  int64_t n;
  float *w;
  __device__ void operator()(int64_t i) const {
    int64_t l = i / (2 * n), j = i % (2 * n);
    w[i] = j < n ? gate[l * n + j] : value[l * n + j - n];
  }
};

static void general_multiply(nf_context *context, const op_triangle_multiply *a) {
  int64_t n = a->x.shape[0], c = a->x.shape[2], m = n * n;
  float2 *stats = scratch<float2>(context, m);
  float *left = scratch<float>(context, m * c), *right = scratch<float>(context, m * c), *sum = scratch<float>(context, m * c),
        *gate = scratch<float>(context, m * c), *w = scratch<float>(context, 4 * c * c);
  if (context->dry) return;
  make_stats(a->x.data, m, c, stats);
  gemm_left h = left_norm(a->x.data, c, stats, &a->norm, NULL);
  launch_each(4 * c * c, join_columns{a->w_gate.data, a->w_projection.data, 2 * c, w});
  gemm_right both = right_rows(w, 4 * c);
  both.second = 2 * c;
  gemm_dual(m, 2 * c, c, h, both, put_left_right{left, right, a->mask.data, n});
  gemm(m, c, c, 1, h, right_rows(a->w_gating.data, c), put_sigmoid{gate, c});
  // Outgoing: sum over columns of both; incoming: over rows, with b's column for i and a's for j.
  gemm_left x = left_rows(a->outgoing ? left : right, n);
  gemm_right y = right_rows(a->outgoing ? right : left, n);
  x.batch_stride = y.batch_stride = m;
  if (a->outgoing) y.k_stride = 1, y.n_stride = n;
  else x.m_stride = 1, x.k_stride = n;
  gemm(n, n, n, c, x, y, put{sum, n, m});
  launch_warps(m, normalise_column{sum, m, c, a->norm_center.scale.data, a->norm_center.offset.data, left});
  gemm(m, c, c, 1, left_rows(left, c), right_rows(a->w_out.data, c), add_times{a->x.data, gate, c});
}

// ---- triangle multiplication in bf16 ----

enum { PANEL = 128, STAGING = PANEL + 8 };

// Rows k0 .. k0 + 127 of row i: gated and masked a and b into planes (2 C, N, ld). w: chunks of 64 outputs, (C, 128)
// each: for every 32 outputs their gate columns, then their values.
template <int C>
__global__ void __launch_bounds__(256, 2) multiply_in_kernel(const float *x, int n, int64_t ld, const float *mask,
                                                             const float *scale, const float *offset, const bf16 *w,
                                                             bf16 *planes) {
  extern __shared__ __align__(128) bf16 panel_memory[];
  bf16 *h = panel_memory, *ws = h + PANEL * (C + 8), *staging = ws + C * 136;
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, wm = warp / 2 * 32, wn = warp % 2;
  int i = blockIdx.x, k0 = blockIdx.y * PANEL;
  panel_weights(w, C, 128, ws, 136);
  copy_commit();
  panel_norm<C>(x + ((int64_t)i * n + k0) * C, n - k0, scale, offset, h, warp * 16, 16);
  float factor[2][2];
#pragma unroll
  for (int r = 0; r < 2; r++)
#pragma unroll
    for (int s = 0; s < 2; s++) {
      int k = k0 + wm + 16 * r + g + 8 * s;
      factor[r][s] = k < n ? mask[i] * mask[k] : 0.0f;
    }
  for (int chunk = 0; chunk < 2 * C / 64; chunk++) {
    copy_wait<0>();
    __syncthreads();
    float acc[2][8][4] = {};
    panel_product<C, 8>(h + wm * (C + 8), ws + wn * 64, 136, acc);
    __syncthreads();
    if (chunk + 1 < 2 * C / 64) panel_weights(w + (int64_t)(chunk + 1) * C * 128, C, 128, ws, 136);
    copy_commit();
#pragma unroll
    for (int r = 0; r < 2; r++)
#pragma unroll
      for (int j = 0; j < 4; j++)
#pragma unroll
        for (int s = 0; s < 4; s++) {
          float v = __fdividef(acc[r][j + 4][s], 1.0f + __expf(-acc[r][j][s])) * factor[r][s / 2];
          staging[(wn * 32 + 8 * j + 2 * t + s % 2) * STAGING + wm + 16 * r + g + s / 2 * 8] = __float2bfloat16(v);
        }
    __syncthreads();
    for (int p = threadIdx.x; p < 64 * PANEL / 8; p += 256) {
      int out = p / (PANEL / 8), k = p % (PANEL / 8) * 8;
      if (k0 + k < ld)
        *(uint4 *)(planes + ((int64_t)(chunk * 64 + out) * n + i) * ld + k0 + k) = *(const uint4 *)(staging + out * STAGING + k);
    }
  }
}

// x[i, j] += sigmoid(norm(x) w_gating) * (norm_center(planes) w_out), planes (C, N, ld)
template <int C>
__global__ void __launch_bounds__(256, 2) multiply_out_kernel(float *x, int n, int64_t ld, const bf16 *planes, op_norm norm,
                                                              op_norm center, const bf16 *w_gating, const bf16 *w_out) {
  extern __shared__ __align__(128) bf16 panel_memory[];
  enum { NT = C / 16 };
  bf16 *h = panel_memory, *sums = h + PANEL * (C + 8), *ws = sums + PANEL * (C + 8);
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, wm = warp / 2 * 32, wn = warp % 2;
  int i = blockIdx.x, j0 = blockIdx.y * PANEL;
  panel_weights(w_gating, C, C, ws, C + 8);
  copy_commit();
  x += ((int64_t)i * n + j0) * C;
  // Two lanes read 32 bytes of a channel, so that sixteen channels' values land in different banks.
  enum { PARTS = C * PANEL / 8 / 256 };
  uint4 part[PARTS];
#pragma unroll
  for (int u = 0; u < PARTS; u++) {
    int p = threadIdx.x + 256 * u, c = p / 2 % C, j = (p % 2 + p / (2 * C) * 2) * 8;
    part[u] = uint4{0, 0, 0, 0};
    if (j0 + j < ld) part[u] = *(const uint4 *)(planes + ((int64_t)c * n + i) * ld + j0 + j);
  }
  panel_norm<C>(x, n - j0, norm.scale.data, norm.offset.data, h, warp * 16, 16);
#pragma unroll
  for (int u = 0; u < PARTS; u++) {
    int p = threadIdx.x + 256 * u, c = p / 2 % C, j = (p % 2 + p / (2 * C) * 2) * 8;
    const uint32_t words[4] = {part[u].x, part[u].y, part[u].z, part[u].w};
#pragma unroll
    for (int e = 0; e < 8; e++)
      sums[(j + e) * (C + 8) + c] = __ushort_as_bfloat16((unsigned short)(e % 2 ? words[e / 2] >> 16 : words[e / 2]));
  }
  __syncthreads();
  {
    enum { V = C / 32 };
    float s[V], o[V];
#pragma unroll
    for (int v = 0; v < V; v++) s[v] = center.scale.data[lane * V + v], o[v] = center.offset.data[lane * V + v];
    for (int r = warp * 16; r < warp * 16 + 16; r++) {
      uint32_t *row = (uint32_t *)(sums + r * (C + 8) + lane * V);
      float value[V], sum = 0, square = 0;
#pragma unroll
      for (int v = 0; v < V; v += 2) value[v] = bf16_low(row[v / 2]), value[v + 1] = bf16_high(row[v / 2]);
#pragma unroll
      for (int v = 0; v < V; v++) sum += value[v];
      float mean = warp_sum(sum) / C;
#pragma unroll
      for (int v = 0; v < V; v++) square += (value[v] - mean) * (value[v] - mean);
      float inverse = rsqrtf(warp_sum(square) / C + 1e-5f);
#pragma unroll
      for (int v = 0; v < V; v += 2)
        row[v / 2] = pack_bf16((value[v] - mean) * inverse * s[v] + o[v], (value[v + 1] - mean) * inverse * s[v + 1] + o[v + 1]);
    }
  }
  copy_wait<0>();
  __syncthreads();
  uint32_t gate[2][NT][2];
  float acc[2][NT][4] = {};
  panel_product<C, NT>(h + wm * (C + 8), ws + wn * (C / 2), C + 8, acc);
#pragma unroll
  for (int r = 0; r < 2; r++)
#pragma unroll
    for (int j = 0; j < NT; j++)
#pragma unroll
      for (int s = 0; s < 2; s++) {
        gate[r][j][s] = pack_bf16(sigmoid(acc[r][j][2 * s]), sigmoid(acc[r][j][2 * s + 1]));
        acc[r][j][2 * s] = acc[r][j][2 * s + 1] = 0;
      }
  __syncthreads();
  panel_weights(w_out, C, C, ws, C + 8);
  copy_commit();
  copy_wait<0>();
  __syncthreads();
  panel_product<C, NT>(sums + wm * (C + 8), ws + wn * (C / 2), C + 8, acc);
#pragma unroll
  for (int r = 0; r < 2; r++)
#pragma unroll
    for (int s = 0; s < 2; s++) {
      int row = wm + 16 * r + g + 8 * s;
      if (j0 + row >= n) continue;
#pragma unroll
      for (int group = 0; group < NT / 4; group++)
#pragma unroll
        for (int half = 0; half < 2; half++) {
          float4 *to = (float4 *)(x + (int64_t)row * C + wn * (C / 2) + group * 32 + t * 8 + half * 4), v = *to;
          int j = 4 * group + 2 * half;
          v.x += bf16_low(gate[r][j][s]) * acc[r][j][2 * s];
          v.y += bf16_high(gate[r][j][s]) * acc[r][j][2 * s + 1];
          v.z += bf16_low(gate[r][j + 1][s]) * acc[r][j + 1][2 * s];
          v.w += bf16_high(gate[r][j + 1][s]) * acc[r][j + 1][2 * s + 1];
          *to = v;
        }
    }
}

// Where the columns of multiply_in_kernel's chunks come from: w_gate or w_projection, channel c of a at column 2 c, of b
// at 2 c + 1. Outputs: a's channels, then b's.
struct gated_columns {
  int64_t c;
  bool value;  // else gates
  __device__ int64_t operator()(int64_t i) const {
    int64_t chunk = i / (c * 128), l = i / 128 % c, j = i % 128, out = chunk * 64 + j / 64 * 32 + j % 32;
    if ((j % 64 >= 32) != value) return -1;
    return l * 2 * c + (out < c ? 2 * out : 2 * (out - c) + 1);
  }
};
struct pack_gated {
  gated_columns gate, value;
  const float *w_gate, *w_value;
  bf16 *to;
  __device__ void operator()(int64_t i) const {
    int64_t g = gate(i), v = value(i);
    to[i] = __float2bfloat16(g >= 0 ? w_gate[g] : w_value[v]);
  }
};

struct put_plane {
  bf16 *y;
  int64_t n, ld;
  __device__ void operator()(int64_t batch, int64_t i, int64_t j, float v0, float v1) const {
    *(uint32_t *)(y + (batch * n + i) * ld + j) = pack_bf16(v0, v1);
  }
};

template <int C>
static void launch_multiply(const op_triangle_multiply *a, int n, int64_t ld, const bf16 *w, const bf16 *w_gating,
                            const bf16 *w_out, bf16 *planes, bf16 *product) {
  size_t in = (PANEL * (C + 8) + C * 136 + 64 * STAGING) * sizeof(bf16),
         out = (2 * PANEL * (C + 8) + C * (C + 8)) * sizeof(bf16);
  static bool allowed;
  if (!allowed) allow_shared(multiply_in_kernel<C>, in), allow_shared(multiply_out_kernel<C>, out), allowed = true;
  dim3 grid((unsigned)n, (unsigned)ceil_div(n, PANEL));
  multiply_in_kernel<C><<<grid, 256, in, cuda_stream>>>(a->x.data, n, ld, a->mask.data, a->norm.scale.data,
                                                       a->norm.offset.data, w, planes);
  CUDA_CHECK(cudaGetLastError());
  const bf16 *left = planes, *right = planes + (int64_t)C * n * ld;
  int64_t plane = (int64_t)n * ld;
  const bf16 *first = a->outgoing ? left : right, *second = a->outgoing ? right : left;
  blas_product p = {n, n, n, C, first, second, product, ld, ld, ld, plane, plane, plane, !a->outgoing, a->outgoing, true, false};
  bool done = blas(&p);
  if (!done && a->outgoing)
    gemm_bf16<true, true>(n, n, ld, C, bf16_rows{left, ld, plane}, bf16_rows{right, ld, plane}, put_plane{product, n, ld});
  else if (!done)
    gemm_bf16<false, false>(n, n, n, C, bf16_rows{right, ld, plane}, bf16_rows{left, ld, plane}, put_plane{product, n, ld});
  multiply_out_kernel<C><<<grid, 256, out, cuda_stream>>>(a->x.data, n, ld, product, a->norm, a->norm_center, w_gating, w_out);
  CUDA_CHECK(cudaGetLastError());
}

CUDA_OP(triangle_multiply) {
  context->flops += flops_triangle_multiply(a);
  int64_t n = a->x.shape[0], c = a->x.shape[2];
  size_t mark = context_here(context);
  if (!cuda_bf16(context) || (c != 64 && c != 128)) {
    general_multiply(context, a);
  } else {
    int64_t ld = round_up(n, 8);
    bf16 *w = scratch<bf16>(context, 4 * c * c), *w_gating = scratch<bf16>(context, c * c), *w_out = scratch<bf16>(context, c * c);
    bf16 *planes = scratch<bf16>(context, 2 * c * n * ld), *product = scratch<bf16>(context, c * n * ld);
    if (!context->dry) {
      launch_each(4 * c * c, pack_gated{gated_columns{c, false}, gated_columns{c, true}, a->w_gate.data, a->w_projection.data, w});
      launch_pack(c * c, permuted_columns{c, c, 1}, a->w_gating.data, 1.0f, w_gating);
      launch_pack(c * c, permuted_columns{c, c, 1}, a->w_out.data, 1.0f, w_out);
      if (c == 64) launch_multiply<64>(a, (int)n, ld, w, w_gating, w_out, planes, product);
      else launch_multiply<128>(a, (int)n, ld, w, w_gating, w_out, planes, product);
    }
  }
  context_reset(context, mark);
}

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

static void general_attention(nf_context *context, const op_triangle_attention *a) {
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
}

// ---- triangle attention in bf16 ----

// The bias of 16 queries and 32 keys lies as a left operand of the matrix units: 8 values a lane for each 16 keys,
// (H, query_tiles, key_tiles, 2, 32, 8), in units of log2. A masked key has -10^4, far below any score yet near enough for
// fp32 to hold both; what lies beyond the last key the least finite value: the units multiply it by 0, too.
typedef struct {
  bf16 *data;
  int query_tiles, key_tiles;
} bias_tiles;
static __device__ __forceinline__ int64_t bias_at(const bias_tiles &b, int head, int q, int k) {
  int lane = q % 8 * 4 + k % 8 / 2, at = (k % 16 / 8 * 2 + q % 16 / 8) * 2 + k % 2;
  return (((((int64_t)head * b.query_tiles + q / 16) * b.key_tiles + k / 32) * 2 + k % 32 / 16) * 32 + lane) * 8 + at;
}
struct fill_words {
  uint32_t *to, value;
  __device__ void operator()(int64_t i) const { to[i] = value; }
};

// Rows j0 .. j0 + 127 of row i: q, k, v (rows or columns of the pair tensor, H, N, D) and the bias.
// w: (3, C, C) with permuted columns, then (C, 16) for the heads' bias.
template <int C, int D>
__global__ void __launch_bounds__(256, 2) attention_in_kernel(const float *x, int n, const float *mask, op_norm norm,
                                                              const bf16 *w, bool ending, bf16 *qkv, bias_tiles bias) {
  extern __shared__ __align__(128) bf16 panel_memory[];
  enum { NT = C / 16, H = C / D };
  bf16 *h = panel_memory, *ws = h + PANEL * (C + 8), *wb = ws + C * (C + 8);
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, wm = warp / 2 * 32, wn = warp % 2;
  int i = blockIdx.x, j0 = blockIdx.y * PANEL;
  panel_weights(w, C, C, ws, C + 8);
  panel_weights(w + 3 * C * C, C, 16, wb, 24);
  copy_commit();
  panel_norm<C>(x + ((int64_t)i * n + j0) * C, n - j0, norm.scale.data, norm.offset.data, h, warp * 16, 16);
  for (int s = 0; s < 3; s++) {
    copy_wait<0>();
    __syncthreads();
    float acc[2][NT][4] = {};
    panel_product<C, NT>(h + wm * (C + 8), ws + wn * (C / 2), C + 8, acc);
    if (s == 0 && wn == 0) {
      float heads[2][2][4] = {};
      panel_product<C, 2>(h + wm * (C + 8), wb, 24, heads);
#pragma unroll
      for (int r = 0; r < 2; r++)
#pragma unroll
        for (int e = 0; e < 4; e++) {
          int j = j0 + wm + 16 * r + g + e / 2 * 8, head = 2 * t + e % 2;
          if (j < n && head < H) bias.data[bias_at(bias, head, i, j)] = __float2bfloat16(mask[j] == 0 ? -1e4f : heads[r][0][e]);
        }
    }
    __syncthreads();
    if (s < 2) panel_weights(w + (int64_t)(s + 1) * C * C, C, C, ws, C + 8);
    copy_commit();
#pragma unroll
    for (int r = 0; r < 2; r++)
#pragma unroll
      for (int e = 0; e < 2; e++) {
        int j = j0 + wm + 16 * r + g + 8 * e;
        if (j >= n) continue;
        int64_t row = ending ? j : i, token = ending ? i : j;
#pragma unroll
        for (int group = 0; group < NT / 4; group++) {
          int column = wn * (C / 2) + group * 32 + t * 8;
          uint4 v;
          v.x = pack_bf16(acc[r][4 * group][2 * e], acc[r][4 * group][2 * e + 1]);
          v.y = pack_bf16(acc[r][4 * group + 1][2 * e], acc[r][4 * group + 1][2 * e + 1]);
          v.z = pack_bf16(acc[r][4 * group + 2][2 * e], acc[r][4 * group + 2][2 * e + 1]);
          v.w = pack_bf16(acc[r][4 * group + 3][2 * e], acc[r][4 * group + 3][2 * e + 1]);
          *(uint4 *)(qkv + s * (int64_t)n * n * C + ((row * H + column / D) * n + token) * D + column % D) = v;
        }
      }
  }
}

// Attention of 128 queries in two rows at once: four warps of 32 queries for each row, which share the bias. Scores are
// in units of log2. The sum of the weights comes from a product with ones, so it is that of the rounded weights.
template <int D>
__global__ void __launch_bounds__(256, 2) attention_rows_kernel(int n, int n_head, const bf16 *q, const bf16 *k, const bf16 *v,
                                                                bias_tiles bias, bool ending, bf16 *o) {
  extern __shared__ __align__(128) bf16 panel_memory[];
  enum { TILE = 64 * D, BIAS = 128 * 64, STAGE = 4 * TILE + BIAS, STAGES = 3, CHUNKS = D / 8, KD = D / 16, ND = D / 8 };
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4, mq = lane / 8, r8 = lane % 8;
  int query_tiles = (n + 127) / 128, row_pairs = (n + 1) / 2;
  int tile = blockIdx.x % query_tiles, pair = blockIdx.x / query_tiles % row_pairs, head = blockIdx.x / query_tiles / row_pairs;
  int r0 = pair * 2, mine = warp / 4, row = r0 + mine < n ? r0 + mine : n - 1, q0 = tile * 128 + warp % 4 * 32;

  auto place = [](int key, int c) {
    return D == 32 ? key * 32 + ((c ^ (key >> 1 & 3)) * 8) : key * 16 + ((c ^ (key >> 2 & 1)) * 8);
  };
  auto load = [&](int k0, int stage) {
    bf16 *to = panel_memory + stage * STAGE;
#pragma unroll
    for (int s = 0; s < 4 * TILE / 8 / 256; s++) {
      int at = threadIdx.x + 256 * s, c = at % CHUNKS, key = at / CHUNKS % 64, which = at / CHUNKS / 64;  // k, v of each row
      int from = r0 + which / 2 < n ? r0 + which / 2 : n - 1;
      bool valid = k0 + key < n;
      const bf16 *base = (which % 2 ? v : k) + ((int64_t)from * n_head + head) * n * D;
      copy_async(to + which * TILE + place(key, c), base + (int64_t)(valid ? k0 + key : 0) * D + c * 8, valid);
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
    int at = lane + 32 * s, c = at % CHUNKS, query = at / CHUNKS;
    bool valid = q0 + query < n;
    copy_async(queries + place(query, c), q + (((int64_t)row * n_head + head) * n + (valid ? q0 + query : 0)) * D + c * 8, valid);
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
        for (int i = 0; i < 2; i++) load_matrix(fq[i], queries + place(16 * i + mq % 2 * 8 + r8, 2 * l + mq / 2));
#pragma unroll
        for (int j = 0; j < 4; j += 2) {
          uint32_t fb[4];
          load_matrix(fb, ks + place(half * 32 + 8 * j + mq / 2 * 8 + r8, 2 * l + mq % 2));
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
          load_matrix_transposed(fb, vs + place(half * 32 + 16 * l + mq % 2 * 8 + r8, j + mq / 2));
#pragma unroll
          for (int i = 0; i < 2; i++) {
            mma_bf16(out[i][j], weights[i][l], fb[0], fb[1]);
            mma_bf16(out[i][j + 1], weights[i][l], fb[2], fb[3]);
          }
        }
      }
    }
  }
  if (r0 + mine >= n) return;
#pragma unroll
  for (int i = 0; i < 2; i++)
#pragma unroll
    for (int s = 0; s < 2; s++) {
      int at = q0 + 16 * i + g + 8 * s;
      if (at >= n) continue;
      float inverse = 1.0f / sums[i][2 * s];
      bf16 *to = o + (ending ? (int64_t)at * n + row : (int64_t)row * n + at) * n_head * D + head * D + 2 * t;
#pragma unroll
      for (int j = 0; j < ND; j++)
        *(uint32_t *)(to + 8 * j) = pack_bf16(out[i][j][2 * s] * inverse, out[i][j][2 * s + 1] * inverse);
    }
}

// A masked row sees all keys alike, as the reference has it: the mean of v. A block a row, a thread a channel.
template <int D>
__global__ void average_masked_kernel(int n, const bf16 *v, const float *mask, bool ending, bf16 *o) {
  int row = blockIdx.x, c = blockDim.x, l = threadIdx.x;
  if (mask[row] != 0) return;
  const bf16 *values = v + ((int64_t)row * (c / D) + l / D) * n * D + l % D;
  float sum = 0;
  for (int k = 0; k < n; k++) sum += __bfloat162float(values[(int64_t)k * D]);
  bf16 mean = __float2bfloat16(sum / (float)n);
  for (int q = 0; q < n; q++) o[(ending ? (int64_t)q * n + row : (int64_t)row * n + q) * c + l] = mean;
}

template <int C, int D>
static void launch_attention(const op_triangle_attention *a, int n, const bf16 *w, const bf16 *wg, const bf16 *wo, bf16 *qkv,
                             bias_tiles bias, bf16 *o) {
  size_t in = (PANEL * (C + 8) + C * (C + 8) + C * 24) * sizeof(bf16), rows = (3 * (4 * 64 * D + 128 * 64) + 8 * 32 * D) * sizeof(bf16);
  static bool allowed;
  if (!allowed) {
    allow_shared(attention_in_kernel<C, D>, in);
    allow_shared(attention_rows_kernel<D>, rows);
    allowed = true;
  }
  dim3 grid((unsigned)n, (unsigned)ceil_div(n, PANEL));
  int64_t size = (int64_t)n * n * C;
  attention_in_kernel<C, D><<<grid, 256, in, cuda_stream>>>(a->x.data, n, a->mask.data, a->norm, w, a->ending, qkv, bias);
  CUDA_CHECK(cudaGetLastError());
  attention_rows_kernel<D><<<(unsigned)(C / D * ceil_div(n, 2) * ceil_div(n, 128)), 256, rows, cuda_stream>>>(
      n, C / D, qkv, qkv + size, qkv + 2 * size, bias, a->ending, o);
  CUDA_CHECK(cudaGetLastError());
  average_masked_kernel<D><<<(unsigned)n, C, 0, cuda_stream>>>(n, qkv + 2 * size, a->mask.data, a->ending, o);
  CUDA_CHECK(cudaGetLastError());
  panel_gated_out(a->x.data, C, n, n, &a->norm, o, wg, wo);
}

CUDA_OP(triangle_attention) {
  context->flops += flops_triangle_attention(a);
  int64_t n = a->x.shape[0], c = a->x.shape[2], n_head = tensor_last(a->w_bias), hd = tensor_count(a->wq) / c, d = hd / n_head;
  size_t mark = context_here(context);
  if (!cuda_bf16(context) || hd != c || !((c == 64 && d == 16) || (c == 128 && d == 32))) {
    general_attention(context, a);
  } else {
    const float log2_e = 1.44269504f;
    bf16 *w = scratch<bf16>(context, 3 * c * c + 16 * c), *wg = scratch<bf16>(context, c * c), *wo = scratch<bf16>(context, c * c);
    bf16 *qkv = scratch<bf16>(context, 3 * n * n * c), *o = scratch<bf16>(context, n * n * c);
    bias_tiles bias = {NULL, (int)(round_up(n, 128) / 16), (int)(round_up(n, 64) / 32)};
    int64_t bias_count = n_head * bias.query_tiles * bias.key_tiles * 512;
    bias.data = scratch<bf16>(context, bias_count);
    if (!context->dry) {
      permuted_columns transposed = {c, 1, c}, plain = {c, c, 1};
      launch_pack(c * c, transposed, a->wq.data, log2_e / sqrtf((float)d), w);
      launch_pack(c * c, transposed, a->wk.data, 1.0f, w + c * c);
      launch_pack(c * c, plain, a->wv.data, 1.0f, w + 2 * c * c);
      panel_pack_heads(a->w_bias.data, c, n_head, log2_e, w + 3 * c * c);
      launch_pack(c * c, transposed, a->wg.data, 1.0f, wg);
      launch_pack(c * c, plain, a->wo.data, 1.0f, wo);
      launch_each(bias_count / 2, fill_words{(uint32_t *)bias.data, 0xff7fff7fu});
      if (c == 64) launch_attention<64, 16>(a, (int)n, w, wg, wo, qkv, bias, o);
      else launch_attention<128, 32>(a, (int)n, w, wg, wo, qkv, bias, o);
    }
  }
  context_reset(context, mark);
}
