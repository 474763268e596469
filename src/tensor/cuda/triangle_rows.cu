// The inner part of triangle attention on Hopper: GROUPS warpgroups of 64 queries take ROWS rows of the pair tensor together,
// so that a tile of the bias is read once for all of them, and its keys once for all queries.
#include "tensor/cuda/triangle_rows.cuh"

#include "tensor/cuda/hopper.cuh"

namespace {

enum { ROWS = 2, GROUPS = 4, KEYS = TRIANGLE_KEYS, STAGES = 3, THREADS = GROUPS * 128 + 128 };
static_assert(GROUPS * 64 == TRIANGLE_QUERIES, "the bias is padded to a block's queries");

// ---- products of this kernel: operands in rows of 2 D bytes ----

// The first operand_64 (or its like for rows of 32 bytes) of the block's memory; others are `bytes` further on. Sums of
// places cost less than descriptors made anew.
template <int D>
static __device__ __forceinline__ uint32_t operand_base(const void *memory) {
  return ((shared_address(memory) & 0x3ffff) >> 4) + 0x10000;
}
template <int D>
static __device__ __forceinline__ uint64_t operand(uint32_t base, int bytes) {
  const uint32_t high = D == 32 ? 2u << 30 | 512 >> 4 : 3u << 30 | 256 >> 4;
  return (uint64_t)high << 32 | (base + (uint32_t)bytes / 16);
}
#define ROWS_SUMS "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15}"
// c (64 x 32) += a (64 x 16) b (16 x 32), both with rows of k.
__device__ __forceinline__ void add_product(float (&c)[16], uint64_t a, uint64_t b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16 " ROWS_SUMS ", %16, %17, 1, 1, 1, 0, 0;"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]), "+f"(c[4]), "+f"(c[5]), "+f"(c[6]), "+f"(c[7]), "+f"(c[8]),
                 "+f"(c[9]), "+f"(c[10]), "+f"(c[11]), "+f"(c[12]), "+f"(c[13]), "+f"(c[14]), "+f"(c[15])
               : "l"(a), "l"(b));
}
// c (64 x D) += a (64 x 16, in registers) b (16 x D), b transposed.
__device__ __forceinline__ void add_values(float (&c)[16], const uint32_t *a, uint64_t b) {
  asm volatile("wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16 " ROWS_SUMS ", {%16, %17, %18, %19}, %20, 1, 1, 1, 1;"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]), "+f"(c[4]), "+f"(c[5]), "+f"(c[6]), "+f"(c[7]), "+f"(c[8]),
                 "+f"(c[9]), "+f"(c[10]), "+f"(c[11]), "+f"(c[12]), "+f"(c[13]), "+f"(c[14]), "+f"(c[15])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}
__device__ __forceinline__ void add_values(float (&c)[8], const uint32_t *a, uint64_t b) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n16k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6, %7}, {%8, %9, %10, %11}, %12, 1, 1, 1, 1;"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]), "+f"(c[4]), "+f"(c[5]), "+f"(c[6]), "+f"(c[7])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}
// Keeps the compiler from moving uses of results across a wait.
template <int N>
__device__ __forceinline__ void settle(float (&c)[N]) {
#pragma unroll
  for (int i = 0; i < N; i++) asm volatile("" : "+f"(c[i])::"memory");
}
template <int D>
struct rows_memory {
  struct {
    bf16 keys[ROWS][KEYS * D], values[ROWS][KEYS * D];
    bf16 bias[GROUPS * 4][16 * KEYS];
  } stage[STAGES];
  bf16 queries[2][GROUPS][ROWS][64 * D];  // of the present tile and the next; at its end the results
  uint64_t full[STAGES], empty[STAGES], queries_full[2], queries_empty[2];
};

struct rows_arguments {
  int n, tokens, rows, n_head, query_tiles, row_groups;
  const bf16 *q, *k, *v;
  bias_tiles bias;
  bool ending;
  bf16 *o;
};

template <int D>
__global__ void __launch_bounds__(THREADS, 1) rows_kernel(rows_arguments a) {
#ifdef HOPPER_CODE
  extern __shared__ __align__(1024) char rows_memory_bytes[];
  rows_memory<D> &s = *(rows_memory<D> *)rows_memory_bytes;
  // Alike in all lanes, and known to be.
  int warp = __shfl_sync(0xffffffffu, (int)threadIdx.x / 32, 0), group = warp / 4, lane = threadIdx.x % 32;
  int tiles = a.query_tiles * a.row_groups * a.n_head, chunks = (a.n + KEYS - 1) / KEYS;
  if (threadIdx.x == 0) {
    for (int i = 0; i < STAGES; i++) barrier_init(&s.full[i], 1), barrier_init(&s.empty[i], GROUPS * 4);
    for (int i = 0; i < 2; i++) barrier_init(&s.queries_full[i], 1), barrier_init(&s.queries_empty[i], GROUPS * 4);
    barrier_publish();
  }
  __syncthreads();

  if (group == GROUPS) {  // the warp that brings the data; its warpgroup lends the others its registers
    registers_fewer<24>();
    if (warp > GROUPS * 4) return;
    int step = 0;
    for (int tile = blockIdx.x, round = 0; tile < tiles; tile += gridDim.x, round++) {
      int q0 = tile % a.query_tiles * TRIANGLE_QUERIES, r0 = tile / a.query_tiles % a.row_groups * ROWS,
          head = tile / a.query_tiles / a.row_groups;
      // Rows beyond the last are the last again; queries beyond the padding are not brought at all.
      int groups = (a.tokens - q0) / 64 < GROUPS ? (a.tokens - q0) / 64 : GROUPS;
      auto line = [&](int row) { return ((int64_t)(r0 + row < a.rows ? r0 + row : a.rows - 1) * a.n_head + head) * a.tokens * D; };
      if (round > 1) barrier_wait(&s.queries_empty[round % 2], (round / 2 - 1) & 1);
      if (lane == 0) barrier_expect(&s.queries_full[round % 2], groups * ROWS * 64 * D * (int)sizeof(bf16));
      __syncwarp();
      if (lane < groups * ROWS)
        copy_bulk(s.queries[round % 2][lane / ROWS][lane % ROWS], a.q + line(lane % ROWS) + (int64_t)(q0 + lane / ROWS * 64) * D,
                  64 * D * sizeof(bf16), &s.queries_full[round % 2]);
      for (int chunk = 0; chunk < chunks; chunk++, step++) {
        int stage = step % STAGES;
        if (step >= STAGES) barrier_wait(&s.empty[stage], (step / STAGES - 1) & 1);
        auto &to = s.stage[stage];
        if (lane == 0) barrier_expect(&s.full[stage], sizeof to);
        __syncwarp();
        if (lane < GROUPS * 4) {
          int64_t from = ((int64_t)head * a.bias.query_tiles + q0 / 16 + lane) * a.bias.key_tiles + chunk * (KEYS / 32);
          copy_bulk(to.bias[lane], a.bias.data + from * 512, sizeof to.bias[0], &s.full[stage]);
        } else if (lane < GROUPS * 4 + 2 * ROWS) {
          int row = (lane - GROUPS * 4) / 2;
          bool keys = lane % 2 == 0;
          copy_bulk(keys ? to.keys[row] : to.values[row], (keys ? a.k : a.v) + line(row) + (int64_t)chunk * KEYS * D,
                    KEYS * D * sizeof(bf16), &s.full[stage]);
        }
      }
    }
    return;
  }

  registers_more<112>();
  uint32_t base = operand_base<D>(&s);
  auto place = [&](const void *p) { return (int)((const char *)p - (const char *)&s); };
  enum { OUT = D / 2, HALVES = KEYS / 32 };  // OUT: sums of weighted values a thread
  const float limit = 2048;  // a thread's weights of one step may add up to so much before the maximum is taken anew
  int g = lane / 4, t = lane % 4, step = 0;
  for (int tile = blockIdx.x, round = 0; tile < tiles; tile += gridDim.x, round++) {
    int q0 = tile % a.query_tiles * TRIANGLE_QUERIES + group * 64, r0 = tile / a.query_tiles % a.row_groups * ROWS,
        head = tile / a.query_tiles / a.row_groups;
    auto &queries = s.queries[round % 2][group];
    barrier_wait(&s.queries_full[round % 2], round / 2 & 1);
    if (q0 >= a.n) {
      for (int chunk = 0; chunk < chunks; chunk++, step++) {
        barrier_wait(&s.full[step % STAGES], step / STAGES & 1);
        if (lane == 0) barrier_arrive(&s.empty[step % STAGES]);
      }
      if (lane == 0) barrier_arrive(&s.queries_empty[round % 2]);
      continue;
    }
    // Steps of 32 keys and one row: the last step's values are added up while this step's weights are made. Scores come out
    // less the row's maximum so far.
    float out[ROWS][OUT], sums[ROWS][2], high[ROWS][2], bias[16];
    uint32_t weight[8] = {0, 0, 0, 0, 0, 0, 0, 0};  // of the last step: none before the first
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
      sums[r][0] = sums[r][1] = high[r][0] = high[r][1] = 0;
#pragma unroll
      for (int i = 0; i < OUT; i++) out[r][i] = 0;
    }
    int last = step % STAGES;  // stage of the last step
#pragma unroll 1
    for (int chunk = 0; chunk < chunks; chunk++, step++) {
      int stage = step % STAGES;
      barrier_wait(&s.full[stage], step / STAGES & 1);
#pragma unroll
      for (int i = 0; i < HALVES * ROWS; i++) {
        int half = i / ROWS, r = i % ROWS, r_last = (r + ROWS - 1) % ROWS, half_last = i == 0 ? HALVES - 1 : (i - 1) / ROWS;
        if (r == 0) {
#pragma unroll
          for (int l = 0; l < 2; l++) {
            uint4 b = *(const uint4 *)(s.stage[stage].bias[warp] + ((half * 2 + l) * 32 + lane) * 8);
            const uint32_t words[4] = {b.x, b.y, b.z, b.w};
#pragma unroll
            for (int j = 0; j < 4; j++) bias[8 * l + 2 * j] = bf16_low(words[j]), bias[8 * l + 2 * j + 1] = bf16_high(words[j]);
          }
        }
        float score[16], sum[2] = {0, 0};
#pragma unroll
        for (int j = 0; j < 16; j++) score[j] = bias[j] - high[r][j / 2 % 2];
        products_begin();
#pragma unroll
        for (int l = 0; l < D / 16; l++)
          add_product(score, operand<D>(base, place(queries[r]) + 32 * l), operand<D>(base, place(s.stage[stage].keys[r] + half * 32 * D) + 32 * l));
        products_commit();
#pragma unroll
        for (int l = 0; l < 2; l++)
          add_values(out[r_last], weight + 4 * l, operand<D>(base, place(s.stage[last].values[r_last] + (half_last * 32 + 16 * l) * D)));
        products_commit();
        products_wait<1>();
        settle(score);
        uint32_t fresh[8];
#pragma unroll
        for (int j = 0; j < 8; j++) {
          float x = exp2_fast(score[2 * j]), y = exp2_fast(score[2 * j + 1]);
          fresh[j] = pack_bf16(x, y);
          sum[j % 2] += x + y;
        }
        bool first = chunk + half == 0, rise = first || !(sum[0] <= limit && sum[1] <= limit);
        // Each branch waits by itself: else the compiler would wait before the weights are made.
        if (__any_sync(0xffffffffu, rise)) {
          products_wait<0>();
          settle(out[r_last]);
#pragma unroll
          for (int e = 0; e < 2; e++) {
            float top = score[2 * e];
#pragma unroll
            for (int j = e; j < 8; j += 2) top = fmaxf(top, fmaxf(score[2 * j], score[2 * j + 1]));
            top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 1));
            top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 2));
            if (!first) top = fmaxf(top, 0.0f);
            float factor = first ? 0.0f : exp2_fast(-top);
            high[r][e] += top;
            sums[r][e] *= factor;
            sum[e] = 0;
#pragma unroll
            for (int j = 0; j < OUT; j++)
              if (j / 2 % 2 == e) out[r][j] *= factor;
#pragma unroll
            for (int j = e; j < 8; j += 2) {
              float x = exp2_fast(score[2 * j] - top), y = exp2_fast(score[2 * j + 1] - top);
              fresh[j] = pack_bf16(x, y);
              sum[e] += x + y;
            }
          }
        } else {
          products_wait<0>();
          settle(out[r_last]);
        }
        if (i == 0 && chunk > 0 && lane == 0) barrier_arrive(&s.empty[last]);
        sums[r][0] += sum[0], sums[r][1] += sum[1];
#pragma unroll
        for (int j = 0; j < 8; j++) asm volatile("mov.b32 %0, %1;" : "=r"(weight[j]) : "r"(fresh[j]));
        last = stage;
      }
    }
    products_begin();
#pragma unroll
    for (int l = 0; l < 2; l++)
      add_values(out[ROWS - 1], weight + 4 * l, operand<D>(base, place(s.stage[last].values[ROWS - 1] + ((HALVES - 1) * 32 + 16 * l) * D)));
    products_commit();
    products_wait<0>();
    settle(out[ROWS - 1]);
    if (lane == 0) barrier_arrive(&s.empty[last]);
    // Through shared memory, so that a token's channels leave together; other warps of the group have read their queries.
    group_sync(1 + group, 128);
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
      bf16 *mine = queries[r] + warp % 4 * 16 * D;
#pragma unroll
      for (int e = 0; e < 2; e++) {
        float sum = sums[r][e];
        sum += __shfl_xor_sync(0xffffffffu, sum, 1);
        sum += __shfl_xor_sync(0xffffffffu, sum, 2);
        float inverse = 1.0f / sum;
#pragma unroll
        for (int j = 0; j < D / 8; j++)
          *(uint32_t *)(mine + swizzled<D>(g + 8 * e, j) + 2 * t) =
              pack_bf16(out[r][4 * j + 2 * e] * inverse, out[r][4 * j + 2 * e + 1] * inverse);
      }
      __syncwarp();
      int row = r0 + r;
      if (row < a.rows) {
#pragma unroll
        for (int i = lane; i < 16 * (D / 8); i += 32) {
          int token = i / (D / 8), chunk = i % (D / 8), query = q0 + warp % 4 * 16 + token;
          if (query < a.n)
            *(uint4 *)(a.o + ((a.ending ? (int64_t)query * a.rows + row : (int64_t)row * a.n + query) * a.n_head + head) * D + chunk * 8) =
                *(const uint4 *)(mine + swizzled<D>(token, chunk));
        }
      }
    }
    publish_shared();  // the next queries come by the copy engine
    __syncwarp();
    if (lane == 0) barrier_arrive(&s.queries_empty[round % 2]);
  }
#endif
}

template <int D>
void launch(const rows_arguments &a) {
  static bool allowed;
  if (!allowed) allow_shared(rows_kernel<D>, sizeof(rows_memory<D>)), allowed = true;
  int tiles = a.query_tiles * a.row_groups * a.n_head, blocks = hopper_blocks();
  rows_kernel<D><<<(unsigned)(tiles < blocks ? tiles : blocks), THREADS, sizeof(rows_memory<D>), cuda_stream>>>(a);
  CUDA_CHECK(cudaGetLastError());
}

}  // namespace

void triangle_rows_hopper(int n, int rows, int n_head, int d, const bf16 *q, const bf16 *k, const bf16 *v, bias_tiles bias, bool ending,
                          bf16 *o) {
  rows_arguments a = {n, (int)round_up(n, TRIANGLE_KEYS), rows, n_head, (int)ceil_div(n, TRIANGLE_QUERIES),
                      (int)ceil_div(rows, ROWS), q, k, v, bias, ending, o};
  if (d == 16) launch<16>(a);
  else launch<32>(a);
}
