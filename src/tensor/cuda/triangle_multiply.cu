// Triangle multiplication, in place on the pair tensor. In bf16 for the sizes of the network, else by the general products.
#include "tensor/cuda/blas.cuh"
#include "tensor/cuda/gemm.cuh"
#include "tensor/cuda/panel.cuh"

// ---- general ----

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

// ---- in bf16 ----

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
