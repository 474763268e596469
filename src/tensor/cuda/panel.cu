// The transition of pair and MSA rows: the hidden layer never leaves the registers.
#include "tensor/cuda/panel.cuh"

// Eight warps of 32 rows each. The hidden layer passes in chunks of 32: gate and value columns side by side in w1
// (chunks, C, 64), rows of w2 (n, C).
template <int C>
__global__ void __launch_bounds__(256, 1) transition_kernel(float *x, int64_t m, const float *scale, const float *offset,
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
        float4 *to = (float4 *)(x + (int64_t)row * C + group * 32 + t * 8);
        float4 low = to[0], high = to[1];
        low.x += out[i][4 * group][2 * s], low.y += out[i][4 * group][2 * s + 1];
        low.z += out[i][4 * group + 1][2 * s], low.w += out[i][4 * group + 1][2 * s + 1];
        high.x += out[i][4 * group + 2][2 * s], high.y += out[i][4 * group + 2][2 * s + 1];
        high.z += out[i][4 * group + 3][2 * s], high.w += out[i][4 * group + 3][2 * s + 1];
        to[0] = low, to[1] = high;
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
static void launch_transition(const op_transition *a, int64_t m, int chunks, const bf16 *w1, const bf16 *w2) {
  size_t shared = (256 * (C + 8) + 2 * (C * 72 + 32 * (C + 8))) * sizeof(bf16);
  static bool allowed;
  if (!allowed) allow_shared(transition_kernel<C>, shared), allowed = true;
  transition_kernel<C><<<(unsigned)ceil_div(m, 256), 256, shared, cuda_stream>>>(a->x.data, m, a->norm.scale.data,
                                                                                 a->norm.offset.data, w1, w2, chunks);
  CUDA_CHECK(cudaGetLastError());
}

void panel_transition(nf_context *context, const op_transition *a) {
  int64_t c = tensor_last(a->x), n = tensor_count(a->w2) / c, m = tensor_rows(a->x);
  bf16 *w1 = scratch<bf16>(context, c * 2 * n), *w2 = scratch<bf16>(context, n * c);
  if (context->dry) return;
  launch_pack(c * 2 * n, hidden_columns{c, n}, a->w1.data, 1.0f, w1);
  launch_pack(n * c, permuted_columns{c, c, 1}, a->w2.data, 1.0f, w2);
  if (c == 64) launch_transition<64>(a, m, (int)(n / 32), w1, w2);
  else launch_transition<128>(a, m, (int)(n / 32), w1, w2);
}
