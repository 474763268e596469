// Every heavy op: the fast version against the plain loop, at sizes 1, prime, tile - 1, tile, tile + 1 and real ones.
#include "tests/test.h"

#include "base/memory.h"
#include "base/threefry.h"
#include "tensor/cpu/cpu.h"

// What draws have given, so that a device with memory of its own can have copies.
static struct {
  void *host, *copy;
  size_t bytes;
} drawn[64];
static int n_drawn;
static const nf_ops *gpu(void) {
  static const nf_ops *ops;
  static bool tried;
  if (!tried) ops = device_ops("cuda"), tried = true;
  return ops;
}
static void *remember(void *host, size_t bytes) {
  NF_ASSERT(n_drawn < 64);
  drawn[n_drawn].host = host;
  drawn[n_drawn++].bytes = bytes;
  return host;
}

// Values between -size and size around `middle`, the same for a given seed.
static nf_tensor draw(nf_arena *arena, uint32_t seed, float middle, float size, int n_dims, int64_t a, int64_t b, int64_t c,
                      int64_t d) {
  nf_tensor t = tensor_of(NULL, n_dims, a, b, c, d);
  int64_t n = tensor_count(t);
  t.data = remember(nf_arena_alloc(arena, (size_t)n * sizeof(float)), (size_t)n * sizeof(float));
  for (int64_t i = 0; i < n; i++)
    t.data[i] = middle + size * (2 * nf_random_uniform(nf_key_from_seed(seed), (uint64_t)i) - 1);
  return t;
}
static nf_tensor copy(nf_arena *arena, nf_tensor t) {
  float *data = nf_arena_alloc(arena, (size_t)tensor_count(t) * sizeof(float));
  memcpy(data, t.data, (size_t)tensor_count(t) * sizeof(float));
  t.data = data;
  return t;
}
static op_norm draw_norm(nf_arena *arena, uint32_t seed, int64_t c) {
  return (op_norm){draw(arena, seed, 1, 0.2f, 1, c, 1, 1, 1), draw(arena, seed + 1, 0, 0.2f, 1, c, 1, 1, 1)};
}
static nf_tensor draw_mask(nf_arena *arena, uint32_t seed, int64_t n) {
  nf_tensor t = draw(arena, seed, 0, 1, 1, n, 1, 1, 1);
  for (int64_t i = 0; i < n; i++) t.data[i] = i == 0 || t.data[i] > -0.6f;
  return t;
}
static nf_tensor draw_weight(nf_arena *arena, uint32_t seed, int64_t fan_in, int n_dims, int64_t a, int64_t b, int64_t c) {
  return draw(arena, seed, 0, 1.5f / sqrtf((float)fan_in), n_dims, a, b, c, 1);
}

typedef void (*op_call)(nf_context *context, void *args, nf_tensor x);

// The op on the GPU, with every array of its arguments replaced by a copy there. Run twice, and once in pieces: all must
// agree in all bits.
static void run_on_gpu(op_call call, const void *args, size_t args_size, bool reduced, nf_tensor x, nf_tensor result,
                       int64_t *ret_flops) {
  const nf_ops *ops = gpu();
  uintptr_t words[256];
  NF_ASSERT(args_size <= sizeof words);
  memcpy(words, args, args_size);
  for (int i = 0; i < n_drawn; i++) {
    drawn[i].copy = ops->allocate(drawn[i].bytes);
    ops->upload(drawn[i].copy, drawn[i].host, drawn[i].bytes);
    for (size_t w = 0; w < args_size / sizeof *words; w++)
      if (words[w] == (uintptr_t)drawn[i].host) words[w] = (uintptr_t)drawn[i].copy;
  }
  size_t bytes = (size_t)tensor_count(x) * sizeof(float);
  nf_tensor there = x;
  there.data = ops->allocate(bytes);
  nf_context dry[2];
  for (int pieces = 0; pieces < 2; pieces++) {
    dry[pieces] = context_dry(ops);
    dry[pieces].reduced = reduced;
    dry[pieces].chunk_rows = pieces ? 24 : 0;
    call(&dry[pieces], words, there);
  }
  size_t peak = dry[0].peak > dry[1].peak ? dry[0].peak : dry[1].peak;
  char *memory = ops->allocate(peak), *poison = nf_alloc(peak + 1);
  float *again = nf_alloc(bytes);
  for (int run = 0; run < 3; run++) {
    memset(poison, run ? 0xff : 0x7f, peak);
    ops->upload(memory, poison, peak);
    ops->upload(there.data, x.data, bytes);
    nf_context context = context_create(ops, memory, peak);
    context.reduced = reduced;
    context.chunk_rows = dry[run / 2].chunk_rows;
    call(&context, words, there);
    ops->download(run ? again : result.data, there.data, bytes);
    CHECK_INT(context.peak, dry[run / 2].peak);
    CHECK_INT(context.used, 0);
    *ret_flops = context.flops;
    if (run) CHECK(memcmp(again, result.data, bytes) == 0);
  }
  for (int i = 0; i < n_drawn; i++) ops->release(drawn[i].copy);
  ops->release(there.data);
  ops->release(memory);
  free(poison);
  free(again);
}

// Runs one op on the plain loops, the CPU and, if there is one, a GPU; x is what it changes. The dry pass must have
// counted the very bytes that the run takes.
static void compare_all(const char *what, nf_arena *arena, op_call call, void *args, size_t args_size, nf_tensor x) {
  nf_tensor results[2];
  int64_t flops[2];
  for (int s = 0; s < 2; s++) {
    const nf_ops *ops = s ? &cpu_ops : &plain_ops;
    results[s] = copy(arena, x);
    nf_context dry = context_dry(ops);
    call(&dry, args, results[s]);
    nf_context context = context_create(ops, nf_arena_alloc(arena, dry.peak), dry.peak);
    call(&context, args, results[s]);
    CHECK_INT(context.peak, dry.peak);
    CHECK_INT(context.used, 0);
    flops[s] = context.flops;
  }
  CHECK_INT(flops[0], flops[1]);
  int64_t n = tensor_count(x);
  double error = test_relative_l2(results[1].data, results[0].data, n), change = test_relative_l2(results[0].data, x.data, n);
  if (!(error < 3e-6)) test_fail(__FILE__, __LINE__, "%s: relative error %.3g", what, error);
  if (!(change > 1e-6)) test_fail(__FILE__, __LINE__, "%s changed nothing", what);
  if (gpu()) {
    bool fp32 = getenv("NATIVEFOLD_CUDA_FP32") != NULL;
    float *changes[2];
    for (int s = 0; s < 2; s++) changes[s] = nf_arena_alloc(arena, (size_t)n * sizeof(float));
    for (int reduced = 0; reduced < 2; reduced++) {
      nf_tensor result = copy(arena, x);
      run_on_gpu(call, args, args_size, reduced, x, result, &flops[1]);
      CHECK_INT(flops[0], flops[1]);
      // Of what the op adds, not of what it adds to.
      for (int64_t i = 0; i < n; i++) {
        changes[0][i] = results[0].data[i] - x.data[i];
        changes[1][i] = result.data[i] - x.data[i];
      }
      error = test_relative_l2(changes[1], changes[0], n);
      double most = fp32 ? 2e-5 : reduced ? 1.5e-2 : 2e-3;
      const char *mode = fp32 ? "fp32" : reduced ? "bf16" : "tf32";
      if (getenv("NATIVEFOLD_TEST_VERBOSE")) printf("  gpu %s %s %lld values: %.2e\n", what, mode, (long long)n, error);
      if (!(error < most)) test_fail(__FILE__, __LINE__, "%s on the GPU in %s, %lld values: relative error %.3g", what, mode, (long long)n, error);
    }
  }
  n_drawn = 0;
}
#define compare(what, arena, call, args, x) compare_all(what, arena, call, args, sizeof *(args), x)

static void call_linear(nf_context *context, void *args, nf_tensor y) {
  op_linear a = *(op_linear *)args;
  a.y = y;
  context->ops->linear(context, &a);
}
TEST(linear) {
  static const int sizes[][3] = {{1, 1, 1}, {7, 13, 5}, {13, 31, 17}, {14, 32, 16}, {15, 33, 128}, {113, 65, 37},
                                 {41, 768, 384}, {500, 128, 128}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (int variant = 0; variant < 6; variant++) {
      nf_arena *arena = nf_arena_create();
      int64_t m = sizes[s][0], n = sizes[s][1], k = sizes[s][2];
      op_linear a = {.x = draw(arena, 1, 0.1f, 1, 2, m, k, 1, 1), .w = draw_weight(arena, 2, k, 2, k, n, 1)};
      if (variant & 1) a.normalise = k > 1, a.norm = draw_norm(arena, 3, k);
      if (variant & 2) a.bias = draw(arena, 5, 0, 1, 1, n, 1, 1, 1), a.relu_input = true;
      if (variant >= 3) a.add = true;
      if (variant >= 4) a.sigmoid_output = true;
      compare("linear", arena, call_linear, &a, draw(arena, 6, 0, 1, 2, m, n, 1, 1));
      nf_arena_free(arena);
    }
}

// y: the layers' results one after another.
static void call_linears(nf_context *context, void *args, nf_tensor y) {
  op_linears a = *(op_linears *)args;
  for (int i = 0; i < a.n; i++) a.layers[i].y = tensor_slice(y, i);
  context->ops->linears(context, &a);
}
TEST(linears) {
  static const int sizes[][3] = {{1, 1, 4}, {13, 31, 17}, {1, 128, 128}, {127, 128, 128}, {129, 256, 384}, {41, 768, 384}, {1500, 768, 128}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    int64_t m = sizes[s][0], n = sizes[s][1], k = sizes[s][2];
    if (m > 1000 && !gpu()) continue;
    nf_arena *arena = nf_arena_create();
    op_linears a = {.x = draw(arena, 1, 0.1f, 1, 2, m, k, 1, 1), .n = 5};
    for (int i = 0; i < a.n; i++) {
      linear_layer *l = &a.layers[i];
      uint32_t seed = (uint32_t)(2 + 3 * i);
      l->w = draw_weight(arena, seed, k, 2, k, n, 1);
      if (i != 1) l->scale = draw(arena, seed + 1, 1, 0.2f, 1, k, 1, 1, 1);
      if (i % 2 == 0) l->bias = draw(arena, seed + 2, 0, 1, 1, n, 1, 1, 1);
      l->sigmoid_output = i >= 3;
    }
    compare("linears", arena, call_linears, &a, draw(arena, 99, 0, 1, 3, a.n, m, n, 1));
    nf_arena_free(arena);
  }
}

static void call_transition(nf_context *context, void *args, nf_tensor x) {
  op_transition a = *(op_transition *)args;
  a.x = x;
  context->ops->transition(context, &a);
}
static op_condition draw_condition(nf_arena *arena, uint32_t seed, int64_t p, int64_t c) {
  return (op_condition){draw(arena, seed, 0.5f, 0.5f, 2, p, c, 1, 1), draw(arena, seed + 1, 0, 1, 2, p, c, 1, 1),
                        draw(arena, seed + 2, 0.5f, 0.5f, 2, p, c, 1, 1)};
}
TEST(transition) {
  static const int sizes[][3] = {{1, 4, 3}, {31, 17, 33}, {41, 64, 257}, {113, 128, 512}, {30, 768, 1536}, {1, 64, 32}, {1, 256, 64},
                                 {129, 384, 192}, {257, 64, 256}, {511, 128, 512}, {191, 128, 64}, {1500, 128, 1536}, {5600, 768, 64},
                                 {193, 64, 96}, {60001, 64, 32}, {26000, 128, 32}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (int conditional = 0; conditional < 2; conditional++) {
      int64_t m = sizes[s][0], c = sizes[s][1], n = sizes[s][2];
      if (m > 10000 && (!gpu() || conditional)) continue;  // more rows than a GPU's resident blocks take in one turn
      if (m > 1000 && m <= 10000 && (!gpu() || !conditional)) continue;  // enough for wide tiles
      nf_arena *arena = nf_arena_create();
      op_transition a = {.w1 = draw_weight(arena, 1, c, 2, c, 2 * n, 1), .w2 = draw_weight(arena, 2, n, 2, n, c, 1)};
      if (conditional) a.condition = draw_condition(arena, 3, (m + 1) / 2, c);
      else a.norm = draw_norm(arena, 3, c);
      compare("transition", arena, call_transition, &a, draw(arena, 9, 0, 1, 2, m, c, 1, 1));
      nf_arena_free(arena);
    }
}

static void call_triangle_multiply(nf_context *context, void *args, nf_tensor x) {
  op_triangle_multiply a = *(op_triangle_multiply *)args;
  a.x = x;
  context->ops->triangle_multiply(context, &a);
}
TEST(triangle_multiply) {
  static const int sizes[][2] = {{1, 8}, {7, 5}, {15, 32}, {33, 16}, {41, 128}, {197, 8}, {1, 128}, {65, 64}, {127, 64}, {129, 128}, {193, 128}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (int outgoing = 0; outgoing < 2; outgoing++) {
      int64_t n = sizes[s][0], c = sizes[s][1];
      if (n > 100 && c > 8 && !gpu()) continue;  // the plain loops would take long
      nf_arena *arena = nf_arena_create();
      op_triangle_multiply a = {.mask = draw_mask(arena, 1, n), .norm = draw_norm(arena, 2, c),
                                .norm_center = draw_norm(arena, 4, c), .w_gate = draw_weight(arena, 6, c, 2, c, 2 * c, 1),
                                .w_projection = draw_weight(arena, 7, c, 2, c, 2 * c, 1),
                                .w_gating = draw_weight(arena, 8, c, 2, c, c, 1),
                                .w_out = draw_weight(arena, 9, c, 2, c, c, 1), .outgoing = outgoing};
      compare("triangle_multiply", arena, call_triangle_multiply, &a, draw(arena, 10, 0, 1, 3, n, n, c, 1));
      nf_arena_free(arena);
    }
}

static void call_triangle_attention(nf_context *context, void *args, nf_tensor x) {
  op_triangle_attention a = *(op_triangle_attention *)args;
  a.x = x;
  context->ops->triangle_attention(context, &a);
}
TEST(triangle_attention) {
  static const int sizes[][4] = {{1, 8, 1, 8}, {7, 5, 2, 3}, {15, 32, 2, 16}, {33, 16, 4, 16}, {41, 128, 4, 32},
                                 {1, 128, 4, 32}, {63, 64, 4, 16}, {65, 64, 4, 16}, {127, 128, 4, 32}, {129, 128, 4, 32},
                                 {137, 128, 4, 32}, {259, 64, 4, 16}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (int ending = 0; ending < 2; ending++) {
      int64_t n = sizes[s][0], c = sizes[s][1], h = sizes[s][2], d = sizes[s][3];
      if (n > 100 && !gpu()) continue;
      nf_arena *arena = nf_arena_create();
      op_triangle_attention a = {.mask = draw_mask(arena, 1, n), .norm = draw_norm(arena, 2, c),
                                 .w_bias = draw_weight(arena, 4, c, 2, c, h, 1), .wq = draw_weight(arena, 5, c, 3, h, d, c),
                                 .wk = draw_weight(arena, 6, c, 3, h, d, c), .wv = draw_weight(arena, 7, c, 3, c, h, d),
                                 .wg = draw_weight(arena, 8, c, 2, h * d, c, 1),
                                 .wo = draw_weight(arena, 9, c, 2, h * d, c, 1), .ending = ending};
      compare("triangle_attention", arena, call_triangle_attention, &a, draw(arena, 10, 0, 1, 3, n, n, c, 1));
      nf_arena_free(arena);
    }
}

static void call_pair_logits(nf_context *context, void *args, nf_tensor out) {
  op_pair_logits a = *(op_pair_logits *)args;
  a.out = out;
  context->ops->pair_logits(context, &a);
}
TEST(pair_logits) {
  static const int sizes[][5] = {{1, 1, 1, 4, 1}, {1, 41, 41, 128, 16}, {3, 32, 128, 16, 12}, {2, 15, 7, 5, 3},
                                 {1, 197, 3, 8, 4}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    nf_arena *arena = nf_arena_create();
    int64_t b = sizes[s][0], q = sizes[s][1], k = sizes[s][2], c = sizes[s][3], h = sizes[s][4];
    op_pair_logits a = {.x = draw(arena, 1, 0, 1, 4, b, q, k, c), .w = draw_weight(arena, 2, c, 2, c, h, 1),
                        .norm.scale = draw(arena, 3, 1, 0.3f, 1, c, 1, 1, 1)};
    compare("pair_logits", arena, call_pair_logits, &a, draw(arena, 4, 9, 1, 4, b, h, k, q));
    nf_arena_free(arena);
  }
}

static void call_attention(nf_context *context, void *args, nf_tensor x) {
  op_attention a = *(op_attention *)args;
  a.x = x;
  context->ops->attention(context, &a);
}
// With the logits in the form of the device's own, if it has one.
static void call_kept_attention(nf_context *context, void *args, nf_tensor x) {
  op_attention a = *(op_attention *)args;
  size_t mark = context_here(context);
  int64_t heads = a.logits.shape[0], own = context->ops->kept_logits(a.mask.shape[0], tensor_last(x), a.wq.shape[2]);
  a.x = x;
  if (own > 0) {
    nf_tensor kept = CONTEXT_2(context, heads, own);
    OP(context, keep_logits, .logits = a.logits, .mask = a.mask, .out = kept);
    a.logits = kept;
  }
  context->ops->attention(context, &a);
  context_reset(context, mark);
}
TEST(self_attention) {
  static const int sizes[][5] = {{1, 1, 8, 1, 8}, {2, 7, 10, 2, 3}, {1, 33, 48, 3, 16}, {3, 41, 96, 4, 24},
                                 {2, 65, 96, 2, 48}, {2, 129, 384, 8, 48}, {1, 1, 128, 2, 48}, {2, 63, 384, 3, 24},
                                 {3, 64, 256, 1, 48}, {1, 193, 768, 2, 48}, {8, 193, 128, 16, 48}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (int conditional = 0; conditional < 2; conditional++) {
      int64_t b = sizes[s][0], n = sizes[s][1], c = sizes[s][2], h = sizes[s][3], d = sizes[s][4];
      if (b * n > 1000 && (!gpu() || !conditional)) continue;
      nf_arena *arena = nf_arena_create();
      op_attention a = {.wq = draw_weight(arena, 1, c, 3, c, h, d), .bq = draw(arena, 2, 0, 0.3f, 2, h, d, 1, 1),
                        .wk = draw_weight(arena, 3, c, 3, c, h, d), .wv = draw_weight(arena, 4, c, 3, c, h, d),
                        .wg = draw_weight(arena, 5, c, 2, c, h * d, 1), .wo = draw_weight(arena, 6, c, 2, h * d, c, 1),
                        .logits = draw(arena, 7, 0, 2, 3, h, n, n, 1), .mask = draw_mask(arena, 8, n)};
      if (conditional) a.condition = draw_condition(arena, 9, n, c);
      else a.norm = draw_norm(arena, 9, c);
      nf_tensor x = draw(arena, 12, 0, 1, 3, b, n, c, 1);
      if (conditional && c % 128 == 0) compare("attention, kept logits", arena, call_kept_attention, &a, x);
      else compare("attention", arena, call_attention, &a, x);
      nf_arena_free(arena);
    }
}

static void call_atom_attention(nf_context *context, void *args, nf_tensor x) {
  op_atom_attention a = *(op_atom_attention *)args;
  a.x = x;
  context->ops->atom_attention(context, &a);
}
TEST(atom_attention) {
  static const int sizes[][7] = {{1, 1, 1, 1, 8, 1, 8}, {2, 3, 5, 7, 10, 2, 3}, {2, 4, 32, 128, 128, 4, 32},
                                 {1, 2, 33, 17, 48, 3, 16}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    nf_arena *arena = nf_arena_create();
    int64_t b = sizes[s][0], n_s = sizes[s][1], n_q = sizes[s][2], n_k = sizes[s][3], c = sizes[s][4], h = sizes[s][5],
            d = sizes[s][6];
    int32_t *index = remember(NF_NEW(arena, int32_t, n_s * n_k), (size_t)(n_s * n_k) * sizeof(int32_t));
    op_atom_attention a = {.query = draw_condition(arena, 1, n_s * n_q, c), .key = draw_condition(arena, 4, n_s * n_q, c),
                           .wq = draw_weight(arena, 7, c, 3, c, h, d), .bq = draw(arena, 8, 0, 0.3f, 2, h, d, 1, 1),
                           .wk = draw_weight(arena, 9, c, 3, c, h, d), .wv = draw_weight(arena, 10, c, 3, c, h, d),
                           .wg = draw_weight(arena, 11, c, 2, c, h * d, 1), .wo = draw_weight(arena, 12, c, 2, h * d, c, 1),
                           .logits = draw(arena, 13, 0, 2, 4, n_s, 2 * h, n_k, n_q), .first_head = (int)h,
                           .key_index = index, .query_mask = draw_mask(arena, 14, n_s * n_q),
                           .key_mask = draw_mask(arena, 15, n_s * n_k)};
    for (int64_t i = 0; i < n_s * n_k; i++)
      index[i] = i % 11 == 10 ? -1 : (int32_t)(nf_random_bits(nf_key_from_seed(16), (uint64_t)i) % (uint32_t)(n_s * n_q));
    compare("atom_attention", arena, call_atom_attention, &a, draw(arena, 17, 0, 1, 3, b, n_s * n_q, c, 1));
    nf_arena_free(arena);
  }
}

static void call_outer_product_mean(nf_context *context, void *args, nf_tensor pair) {
  op_outer_product_mean a = *(op_outer_product_mean *)args;
  a.pair = pair;
  context->ops->outer_product_mean(context, &a);
}
TEST(outer_product_mean) {
  static const int sizes[][5] = {{1, 1, 8, 4, 8}, {3, 7, 10, 3, 5}, {16, 41, 64, 32, 64}, {5, 49, 32, 16, 33},
                                 {67, 129, 64, 32, 128}, {9, 257, 64, 32, 128}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    if (sizes[s][1] > 200 && !gpu()) continue;
    nf_arena *arena = nf_arena_create();
    int64_t r = sizes[s][0], n = sizes[s][1], c_m = sizes[s][2], e = sizes[s][3], c = sizes[s][4];
    op_outer_product_mean a = {.msa = draw(arena, 1, 0, 1, 3, r, n, c_m, 1), .norm = draw_norm(arena, 2, c_m),
                               .mask = draw_mask(arena, 4, r * n), .w_left = draw_weight(arena, 5, c_m, 2, c_m, e, 1),
                               .w_right = draw_weight(arena, 6, c_m, 2, c_m, e, 1),
                               .w = draw_weight(arena, 7, e * e, 3, e, e, c), .b = draw(arena, 8, 0, 1, 1, c, 1, 1, 1)};
    compare("outer_product_mean", arena, call_outer_product_mean, &a, draw(arena, 9, 0, 1, 3, n, n, c, 1));
    nf_arena_free(arena);
  }
}

static void call_pair_average(nf_context *context, void *args, nf_tensor msa) {
  op_pair_average a = *(op_pair_average *)args;
  a.msa = msa;
  context->ops->pair_average(context, &a);
}
TEST(pair_average) {
  static const int sizes[][6] = {{1, 1, 8, 1, 8, 4}, {3, 7, 10, 2, 3, 5}, {16, 41, 64, 8, 8, 128}, {9, 33, 32, 4, 40, 16},
                                 {37, 131, 64, 8, 8, 128}, {300, 131, 64, 8, 8, 64}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    if (sizes[s][0] * sizes[s][1] > 10000 && !gpu()) continue;
    nf_arena *arena = nf_arena_create();
    int64_t r = sizes[s][0], n = sizes[s][1], c_m = sizes[s][2], h = sizes[s][3], d = sizes[s][4], c = sizes[s][5];
    op_pair_average a = {.pair = draw(arena, 1, 0, 1, 3, n, n, c, 1), .norm = draw_norm(arena, 2, c_m),
                         .norm_pair = draw_norm(arena, 4, c), .column_mask = draw_mask(arena, 6, n),
                         .w_logits = draw_weight(arena, 7, c, 2, c, h, 1), .wv = draw_weight(arena, 8, c_m, 3, c_m, h, d),
                         .wg = draw_weight(arena, 9, c_m, 2, c_m, h * d, 1),
                         .wo = draw_weight(arena, 10, h * d, 2, h * d, c_m, 1)};
    compare("pair_average", arena, call_pair_average, &a, draw(arena, 11, 0, 1, 3, r, n, c_m, 1));
    nf_arena_free(arena);
  }
}

// Each set of kernels that this processor has, against doubles.
TEST(kernels) {
  const cpu_kernels *sets[3] = {&cpu_kernels_generic};
  int n_sets = 1;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) sets[n_sets++] = &cpu_kernels_avx2;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) sets[n_sets++] = &cpu_kernels_avx512;
#endif
  static const int sizes[] = {1, 3, 13, 14, 15, 16, 17, 31, 32, 33, 48, 101};
  enum { N_SIZES = sizeof sizes / sizeof *sizes };
  for (int s = 0; s < n_sets; s++) {
    const cpu_kernels *kernels = sets[s];
    for (int i = 0; i < N_SIZES; i++)
      for (int j = 0; j < N_SIZES; j++) {
        nf_arena *arena = nf_arena_create();
        n_drawn = 0;
        int64_t m = sizes[i], n = sizes[j], k = sizes[(i + j) % N_SIZES];
        nf_tensor a = draw(arena, 1, 0, 1, 2, m, k, 1, 1), b = draw(arena, 2, 0, 1, 2, k, n, 1, 1);
        float *packed = nf_arena_alloc(arena, (size_t)cpu_packed_size(kernels, k, n) * sizeof(float));
        float *c = nf_arena_calloc(arena, (size_t)(m * n + 1), sizeof(float));
        c[m * n] = 77;
        for (int form = 0; form < 4; form++) {
          bool by_rows = form & 1, from_transposed = form & 2;  // of A, of B
          kernels->pack(k, n, b.data, from_transposed ? 1 : n, from_transposed ? k : 1, packed, 0,
                        (n + kernels->nr - 1) / kernels->nr);
          kernels->gemm(m, n, k, a.data, by_rows ? k : 1, by_rows ? 1 : m, packed, c, n, false);
          kernels->gemm(m, n, k, a.data, by_rows ? k : 1, by_rows ? 1 : m, packed, c, n, true);
          double worst = 0;
          for (int64_t x = 0; x < m; x++)
            for (int64_t y = 0; y < n; y++) {
              double sum = 0;
              for (int64_t l = 0; l < k; l++)
                sum += 2.0 * (by_rows ? a.data[x * k + l] : a.data[l * m + x]) *
                       (from_transposed ? b.data[y * k + l] : b.data[l * n + y]);
              worst = fmax(worst, fabs(sum - c[x * n + y]));
            }
          if (!(worst < 2e-5))
            test_fail(__FILE__, __LINE__, "%s gemm %d %d %d form %d: %g", kernels->name, (int)m, (int)n, (int)k, form, worst);
        }
        CHECK_NEAR(c[m * n], 77, 0);
        nf_arena_free(arena);
      }
    float x[101], y[101];
    for (int i = 0; i < 101; i++) x[i] = y[i] = (float)(i - 50) * 2.5f;
    kernels->sigmoid(101, x);
    for (int i = 0; i < 101; i++) CHECK_NEAR(x[i], 1 / (1 + exp(-(double)y[i])), 2e-7);
  }
}

