// The inner part of triangle attention on Hopper: GROUPS warpgroups of 64 queries take ROWS rows of the pair tensor together,
// so that a tile of the bias is read once for all of them, and its keys once for all queries.
#include "tensor/cuda/triangle_rows.cuh"

#include "tensor/cuda/hopper.cuh"

namespace {

enum { ROWS = 2, GROUPS = 4, KEYS = TRIANGLE_KEYS, STAGES = 3, THREADS = GROUPS * 128 + 128 };
static_assert(GROUPS * 64 == TRIANGLE_QUERIES, "the bias is padded to a block's queries");

#ifdef HOPPER_CODE
// ---- products of this kernel: operands in rows of 2 D bytes ----

// The place of the block's memory in a descriptor, in units of 16 bytes as all places here. Sums of places cost less than
// descriptors made anew.
static __device__ __forceinline__ uint32_t operand_base(const void *memory) { return (shared_address(memory) & 0x3ffff) >> 4; }
// Like operand_64, or for rows of 32 bytes. other: how far the next D values along a transposed operand's other side are.
template <int D>
static __device__ __forceinline__ uint64_t operand(uint32_t place, uint32_t other = 1) {
  const uint32_t high = D == 32 ? 2u << 30 | 512 >> 4 : 3u << 30 | 256 >> 4;
  return (uint64_t)high << 32 | (place + (other << 16));
}
#define ROWS_8(c) "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]), "+f"(c[4]), "+f"(c[5]), "+f"(c[6]), "+f"(c[7])
#define ROWS_16(c) \
  ROWS_8(c), "+f"(c[8]), "+f"(c[9]), "+f"(c[10]), "+f"(c[11]), "+f"(c[12]), "+f"(c[13]), "+f"(c[14]), "+f"(c[15])
// c (64 x 32) += a (64 x 16) b (16 x 32), both with rows of k.
__device__ __forceinline__ void add_product(float (&c)[16], uint64_t a, uint64_t b) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15}, "
      "%16, %17, 1, 1, 1, 0, 0;"
      : ROWS_16(c)
      : "l"(a), "l"(b));
}
// c (64 x (D + 8)) += a (64 x 16, in registers) b (16 x (D + 8)), b transposed.
__device__ __forceinline__ void add_values(float (&c)[20], const uint32_t *a, uint64_t b) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n40k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, "
      "%18, %19}, {%20, %21, %22, %23}, %24, 1, 1, 1, 1;"
      : ROWS_16(c), "+f"(c[16]), "+f"(c[17]), "+f"(c[18]), "+f"(c[19])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}
__device__ __forceinline__ void add_values(float (&c)[12], const uint32_t *a, uint64_t b) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n24k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11}, {%12, %13, %14, %15}, "
      "%16, 1, 1, 1, 1;"
      : ROWS_8(c), "+f"(c[8]), "+f"(c[9]), "+f"(c[10]), "+f"(c[11])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b));
}
// d (16 x 8) = c + a (16 x 8) b (8 x 8), by one warp.
__device__ __forceinline__ void mma_eight_from(float *d, const float (&c)[4], uint32_t a0, uint32_t a1, uint32_t b) {
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%7, %8, %9, %10};"
               : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
               : "r"(a0), "r"(a1), "r"(b), "f"(c[0]), "f"(c[1]), "f"(c[2]), "f"(c[3]));
}
// Keeps the compiler from moving uses of results across a wait.
template <int N>
__device__ __forceinline__ void settle(float (&c)[N]) {
#pragma unroll
  for (int i = 0; i < N; i++) asm volatile("" : "+f"(c[i])::"memory");
}
#endif

template <int D>
struct rows_memory {
  struct {
    bf16 keys[ROWS][KEYS * D], values[ROWS][KEYS * D];
    bf16 bias[GROUPS * 4][16 * KEYS];
    bf16 ones[16 * D];  // stand beside any 16 keys' values, to sum the weights
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
  for (int i = threadIdx.x; i < STAGES * 8 * D; i += THREADS) ((uint32_t *)s.stage[i / (8 * D)].ones)[i % (8 * D)] = 0x3f803f80u;
  publish_shared();
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
        if (lane == 0) barrier_expect(&s.full[stage], sizeof to - sizeof to.ones);
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
  enum { OUT = D / 2 + 4, HALVES = KEYS / 32, STEPS = HALVES * ROWS };  // OUT: sums of weighted values a thread, and of weights
  // Places: of the block's memory; in a stage; of a row's 64 keys, values or queries; of 32 keys of these.
  const uint32_t base = operand_base(&s), stage_size = sizeof s.stage[0] / 16, values_at = sizeof s.stage[0].keys / 16,
                 ones_at = (sizeof s.stage[0] - sizeof s.stage[0].ones) / 16, row_size = KEYS * D * 2 / 16, half_size = row_size / HALVES;
  int g = lane / 4, t = lane % 4, stage = 0, parity = 0;
  const uint32_t eye = (2 * t == g ? 0x3f80u : 0u) | (2 * t + 1 == g ? 0x3f800000u : 0u);
  for (int tile = blockIdx.x, round = 0; tile < tiles; tile += gridDim.x, round++) {
    int q0 = tile % a.query_tiles * TRIANGLE_QUERIES + group * 64, r0 = tile / a.query_tiles % a.row_groups * ROWS,
        head = tile / a.query_tiles / a.row_groups;
    auto &queries = s.queries[round % 2][group];
    barrier_wait(&s.queries_full[round % 2], round / 2 & 1);
    if (q0 >= a.n) {
      for (int chunk = 0; chunk < chunks; chunk++) {
        barrier_wait(&s.full[stage], parity);
        if (lane == 0) barrier_arrive(&s.empty[stage]);
        if (++stage == STAGES) stage = 0, parity ^= 1;
      }
      if (lane == 0) barrier_arrive(&s.queries_empty[round % 2]);
      continue;
    }
    // Steps of 32 keys and one row: the next step's scores are multiplied while this one's weights are made. Scores start as the
    // bias less the row's maximum so far (start), a product with the unit matrix: adding would take more of what is scarce. Weights
    // are summed by the product with the values. A row's maximum is taken anew once a weight reaches 2, a bit of its exponent; it is
    // set MARGIN above the scores (in units of log2), so that this is rare.
    enum { MARGIN = 10 };
    float out[ROWS][OUT], start[ROWS][4], score[2][16];
    uint32_t bias[8], weight[8];
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
#pragma unroll
      for (int i = 0; i < OUT; i++) out[r][i] = 0;
#pragma unroll
      for (int i = 0; i < 4; i++) start[r][i] = 0;
      settle(start[r]);  // four registers, though alike two by two: the units want them in a row
    }
    const uint32_t queries_at = base + (uint32_t)((const char *)queries - (const char *)&s) / 16;
    auto begin_scores = [&](float (&to)[16], int of_stage, int half, int r) {
      if (r == 0) {
#pragma unroll
        for (int l = 0; l < 2; l++) {
          uint4 b = *(const uint4 *)(s.stage[of_stage].bias[warp] + ((half * 2 + l) * 32 + lane) * 8);
          bias[4 * l] = b.x, bias[4 * l + 1] = b.y, bias[4 * l + 2] = b.z, bias[4 * l + 3] = b.w;
        }
      }
#pragma unroll
      for (int j = 0; j < 4; j++) mma_eight_from(to + 4 * j, start[r], bias[2 * j], bias[2 * j + 1], eye);
      products_begin();
#pragma unroll
      for (int l = 0; l < D / 16; l++)
        add_product(to, operand<D>(queries_at + r * row_size + 2 * l),
                    operand<D>(base + of_stage * stage_size + r * row_size + half * half_size + 2 * l));
      products_commit();
    };
    barrier_wait(&s.full[stage], parity);
    begin_scores(score[0], stage, 0, 0);
    products_wait<0>();
    settle(score[0]);
    int last = stage, chunk = 0;
    // The compiler wants no product under way where the loop begins again.
#pragma unroll 1
    do {
      int next = stage;
#pragma unroll
      for (int i = 0; i < STEPS; i++) {
        int half = i / ROWS, r = i % ROWS;
        auto &here = score[i % 2];
        if (i == STEPS - 1 && chunk + 1 < chunks) {  // beyond the last the first scores of its stage again, for nothing
          if (++next == STAGES) next = 0, parity ^= 1;
          barrier_wait(&s.full[next], parity);
        }
        begin_scores(score[(i + 1) % 2], next, (i + 1) / ROWS % HALVES, (i + 1) % ROWS);
        products_wait<1>();
        settle(here);
        if (i == 0 && chunk > 0 && lane == 0) barrier_arrive(&s.empty[last]);
        uint32_t bits = 0;
#pragma unroll
        for (int j = 0; j < 8; j++) {
          weight[j] = pack_bf16(exp2_fast(here[2 * j]), exp2_fast(here[2 * j + 1]));
          bits |= weight[j];
        }
        bool first = chunk + half == 0;
        if (__any_sync(0xffffffffu, first || (bits & 0x40004000u))) {
#pragma unroll
          for (int e = 0; e < 2; e++) {
            float top = here[2 * e];
#pragma unroll
            for (int j = e; j < 8; j += 2) top = fmaxf(top, fmaxf(here[2 * j], here[2 * j + 1]));
            top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 1));
            top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 2)) + MARGIN;
            if (!first) top = fmaxf(top, 0.0f);
            float factor = first ? 0.0f : exp2_fast(-top);
            start[r][2 * e] -= top, start[r][2 * e + 1] -= top;
#pragma unroll
            for (int j = 0; j < OUT; j++)
              if (j / 2 % 2 == e) out[r][j] *= factor;
#pragma unroll
            for (int j = e; j < 8; j += 2) weight[j] = pack_bf16(exp2_fast(here[2 * j] - top), exp2_fast(here[2 * j + 1] - top));
          }
        }
        products_begin();
#pragma unroll
        for (int l = 0; l < 2; l++) {
          const uint32_t at = values_at + r * row_size + half * half_size + 16 * l * D * 2 / 16;
          add_values(out[r], weight + 4 * l, operand<D>(base + stage * stage_size + at, ones_at - at));
        }
        products_commit();
      }
      products_wait<0>();
      settle(score[0]);
#pragma unroll
      for (int r = 0; r < ROWS; r++) settle(out[r]);
      last = stage;
      stage = next;
    } while (++chunk < chunks);
    if (lane == 0) barrier_arrive(&s.empty[last]);
    if (++stage == STAGES) stage = 0, parity ^= 1;
    // Through shared memory, so that a token's channels leave together; other warps of the group have read their queries.
    group_sync(1 + group, 128);
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
      bf16 *mine = queries[r] + warp % 4 * 16 * D;
#pragma unroll
      for (int e = 0; e < 2; e++) {
        float inverse = 1.0f / out[r][D / 2 + 2 * e];
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
