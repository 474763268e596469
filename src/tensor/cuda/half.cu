// Rows and weights brought to fp16.
#include "tensor/cuda/half.cuh"
#include "tensor/cuda/pack.cuh"
#include "tensor/cuda/panel.cuh"

bool half_norm_fits(int64_t c) { return c % 128 == 0 && c <= 1024; }

// A warp a row.
template <int V>
struct half_norm_row {
  const float *x, *scale[2], *shift[2];
  int64_t p;       // rows of scale and shift
  half *y[2];      // the second: NULL, or for another scale and shift
  half *as_it_is;  // x alone, or NULL
  __device__ void operator()(int64_t r, int lane) const {
    enum { C = 128 * V };
    float4 v[V];
    const float4 *row = (const float4 *)(x + r * C) + lane;
    float sum = 0, square = 0;
#pragma unroll
    for (int i = 0; i < V; i++) {
      v[i] = row[32 * i];
      sum += (v[i].x + v[i].y) + (v[i].z + v[i].w);
    }
    float mean = warp_sum(sum) / C;
#pragma unroll
    for (int i = 0; i < V; i++) {
      float a = v[i].x - mean, b = v[i].y - mean, c = v[i].z - mean, d = v[i].w - mean;
      square += (a * a + b * b) + (c * c + d * d);
    }
    float inverse = rsqrtf(warp_sum(square) / C + 1e-5f);
    int64_t at = p > 1 ? (int64_t)((uint32_t)r % (uint32_t)p) * C : 0;
#pragma unroll
    for (int form = 0; form < 2; form++) {
      if (!y[form]) break;
      const float4 *s = (const float4 *)(scale[form] + at) + lane, *o = (const float4 *)(shift[form] + at) + lane;
      uint2 *to = (uint2 *)(y[form] + r * C) + lane;
#pragma unroll
      for (int i = 0; i < V; i++) {
        float4 a = scale[form] ? s[32 * i] : float4{1, 1, 1, 1}, b = shift[form] ? o[32 * i] : float4{0, 0, 0, 0};
        to[32 * i] = uint2{pack_half((v[i].x - mean) * inverse * a.x + b.x, (v[i].y - mean) * inverse * a.y + b.y),
                           pack_half((v[i].z - mean) * inverse * a.z + b.z, (v[i].w - mean) * inverse * a.w + b.w)};
      }
    }
    if (as_it_is) {
      uint2 *to = (uint2 *)(as_it_is + r * C) + lane;
#pragma unroll
      for (int i = 0; i < V; i++) to[32 * i] = uint2{pack_half(v[i].x, v[i].y), pack_half(v[i].z, v[i].w)};
    }
  }
};
template <int V>
static void launch_half_norm(const float *x, int64_t m, const float *scale, const float *shift, int64_t p, half *y, half *as_it_is) {
  launch_warps(m, half_norm_row<V>{x, {scale, NULL}, {shift, NULL}, p, {y, NULL}, as_it_is});
}
void half_norm_two(const float *x, int64_t m, const op_condition *first, const op_condition *second, half *y) {
  launch_warps(m, half_norm_row<1>{x, {first->scale.data, second->scale.data}, {first->shift.data, second->shift.data},
                                   tensor_rows(first->scale), {y, y + m * 128}, NULL});
}
void half_norm(const float *x, int64_t m, int64_t c, const op_norm *norm, const op_condition *condition, half *y, half *as_it_is) {
  bool adaptive = condition && tensor_given(condition->scale);
  const float *scale = adaptive ? condition->scale.data : norm ? norm->scale.data : NULL,
              *shift = adaptive ? condition->shift.data : norm ? norm->offset.data : NULL;
  int64_t p = adaptive ? tensor_rows(condition->scale) : 1;
  switch (c / 128) {
    case 1: return launch_half_norm<1>(x, m, scale, shift, p, y, as_it_is);
    case 2: return launch_half_norm<2>(x, m, scale, shift, p, y, as_it_is);
    case 3: return launch_half_norm<3>(x, m, scale, shift, p, y, as_it_is);
    case 4: return launch_half_norm<4>(x, m, scale, shift, p, y, as_it_is);
    case 5: return launch_half_norm<5>(x, m, scale, shift, p, y, as_it_is);
    case 6: return launch_half_norm<6>(x, m, scale, shift, p, y, as_it_is);
    case 7: return launch_half_norm<7>(x, m, scale, shift, p, y, as_it_is);
    default: return launch_half_norm<8>(x, m, scale, shift, p, y, as_it_is);
  }
}

// 32 rows of the packed weights by 32 values of k a block.
__global__ void __launch_bounds__(256) half_pack_kernel(half_weights a, int n, half *to) {
  __shared__ float tile[32][33];
  int p0 = blockIdx.y * 32, k0 = blockIdx.x * 32, x = threadIdx.x % 32;
  int column = a.pairs ? (p0 / 32 % 2 ? n / 2 : 0) + p0 / 64 * 32 + panel_column(x) : p0 + panel_column(x);
  int layer = column / (int)a.columns;
  for (int y = threadIdx.x / 32; y < 32; y += 8) {
    int k = k0 + y;
    float v = 0;
    if (column < n && k < a.k) {  // places beyond n may hold a column, too: those of 32 lie across one another
      v = a.w[layer][(int64_t)k * a.columns + column % (int)a.columns] * a.factor[layer];
      if (a.row_scale[layer]) v *= a.row_scale[layer][k];
    }
    tile[y][x] = v;
  }
  __syncthreads();
  for (int y = threadIdx.x / 32; y < 32; y += 8)
    if (k0 + x < a.k) to[(int64_t)(p0 + y) * a.k + k0 + x] = __float2half(tile[x][y]);
}
const half *half_pack(nf_context *context, const half_weights *weights) {
  static const char order = 0;
  int64_t n = weights->n_layers * weights->columns, count = round_up(n, 128) * weights->k;
  bool kept = true, fresh = true;
  for (int i = 0; i < weights->n_layers; i++)
    kept = kept && pack_kept(weights->w[i]) && (!weights->row_scale[i] || pack_kept(weights->row_scale[i]));
  half *to = kept ? NULL : scratch<half>(context, count);
  if (context->dry) return NULL;
  if (kept) {
    // The first weight tells the others: they are of one block of the network.
    pack_key key;
    memset(&key, 0, sizeof key);
    key.weight = weights->w[0], key.order = &order, key.n = count, key.factor = weights->factor[0];
    key.values[0] = weights->pairs, key.values[1] = (unsigned char)weights->n_layers;
    to = (half *)pack_find(&key, &fresh);
  }
  if (fresh) {
    dim3 grid((unsigned)ceil_div(weights->k, 32), (unsigned)(round_up(n, 128) / 32));
    half_pack_kernel<<<grid, 256, 0, cuda_stream>>>(*weights, (int)n, to);
    CUDA_CHECK(cudaGetLastError());
  }
  return to;
}
