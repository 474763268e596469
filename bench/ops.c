// Times the network's ops at the sizes of a job: bench/ops DEVICE [--only=TEXT] TOKENS... prints a line an op, of those
// whose names hold the text.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "tensor/ops.h"

static const nf_ops *ops;
static nf_context context;
static int64_t n;
static const char *only = "";

// Values between middle - size and middle + size.
static nf_tensor fill(nf_tensor t, float middle, float size) {
  if (context.dry) return t;
  enum { PERIOD = 1 << 20 };
  static float *block;
  if (!block) block = nf_alloc(PERIOD * sizeof(float));
  uint32_t state = 12345;
  for (int64_t i = 0; i < PERIOD; i++) {
    state = state * 1664525u + 1013904223u;
    block[i] = middle + size * ((float)(state >> 8) / (1 << 23) - 1.0f);
  }
  int64_t count = tensor_count(t);
  for (int64_t i = 0; i < count; i += PERIOD - 1019) {
    nf_tensor part = tensor_as_2(t, 1, count - i < PERIOD ? count - i : PERIOD);
    part.data = tensor_at(t, i);
    context_upload_to(&context, part, block);
  }
  return t;
}
static nf_tensor made(float middle, float size, int n_dims, int64_t a, int64_t b, int64_t c, int64_t d) {
  return fill(context_tensor(&context, n_dims, a, b, c, d), middle, size);
}
// Pair and MSA representations.
static nf_tensor rows(int n_dims, int64_t a, int64_t b, int64_t c, int64_t d) {
  return fill(context_narrow(&context, n_dims, a, b, c, d), 0, 1);
}
static nf_tensor weight(int64_t fan_in, int n_dims, int64_t a, int64_t b, int64_t c) {
  float size = 1;
  while (size * size * (float)fan_in > 3) size *= 0.8f;
  return made(0, size, n_dims, a, b, c, 1);
}
static op_norm norm(int64_t c) { return (op_norm){made(1, 0.1f, 1, c, 1, 1, 1), made(0, 0.1f, 1, c, 1, 1, 1)}; }
static nf_tensor ones(int64_t count) { return made(1, 0, 1, count, 1, 1, 1); }
static op_condition condition(int64_t p, int64_t c) {
  return (op_condition){made(0.5f, 0.3f, 2, p, c, 1, 1), made(0, 0.3f, 2, p, c, 1, 1), made(0.1f, 0.05f, 2, p, c, 1, 1)};
}

// The calls of an op are timed between two waits; the first call warms up.
#define TIME(name, op, ...)                                                                                          \
  do {                                                                                                               \
    if (!strstr(name, only)) break;                                                                                  \
    op_##op a = {__VA_ARGS__};                                                                                       \
    if (context.dry) {                                                                                               \
      ops->op(&context, &a);                                                                                         \
    } else {                                                                                                         \
      float value;                                                                                                   \
      double best = 1e9;                                                                                             \
      int64_t flops = 0;                                                                                             \
      for (int trial = 0; trial < 4; trial++) {                                                                      \
        ops->download(&value, context.memory, sizeof value);                                                         \
        int64_t before = context.flops;                                                                              \
        double start = nf_seconds();                                                                                 \
        ops->op(&context, &a);                                                                                       \
        ops->download(&value, context.memory, sizeof value);                                                         \
        double took = nf_seconds() - start;                                                                          \
        flops = context.flops - before;                                                                              \
        if (trial && took < best) best = took;                                                                       \
      }                                                                                                              \
      printf("%6lld %-44s %9.3f ms %8.1f TFLOP/s\n", (long long)n, name, best * 1e3, (double)flops / best * 1e-12);     \
      fflush(stdout);                                                                                                \
    }                                                                                                                \
    context_reset(&context, mark);                                                                                   \
  } while (0)

static void triangles(int64_t c, int64_t heads, const char *names[4]) {
  size_t mark = context_here(&context);
  for (int second = 0; second < 2; second++) {
    TIME(names[second], triangle_multiply, .x = rows(3, n, n, c, 1), .mask = ones(n), .norm = norm(c),
         .norm_center = norm(c), .w_gate = weight(c, 2, c, 2 * c, 1), .w_projection = weight(c, 2, c, 2 * c, 1),
         .w_gating = weight(c, 2, c, c, 1), .w_out = weight(c, 2, c, c, 1), .outgoing = !second);
  }
  for (int second = 0; second < 2; second++) {
    TIME(names[2 + second], triangle_attention, .x = rows(3, n, n, c, 1), .mask = ones(n), .norm = norm(c),
         .w_bias = weight(c, 2, c, heads, 1), .wq = weight(c, 3, heads, c / heads, c), .wk = weight(c, 3, heads, c / heads, c),
         .wv = weight(c, 3, c, heads, c / heads), .wg = weight(c, 2, c, c, 1), .wo = weight(c, 2, c, c, 1), .ending = second);
  }
}

static void all(void) {
  size_t mark = context_here(&context);
  const char *wide[4] = {"triangle multiplication, outgoing", "triangle multiplication, incoming",
                         "triangle attention, starting", "triangle attention, ending"};
  const char *narrow[4] = {"  64 channels, outgoing", "  64 channels, incoming", "  64 channels, starting",
                           "  64 channels, ending"};
  int64_t c = 128, r = 1024, s = n * 265 / 1024;
  context.reduced = true;
  triangles(128, 4, wide);
  triangles(64, 4, narrow);
  TIME("pair transition", transition, .x = rows(2, n * n, c, 1, 1), .norm = norm(c), .w1 = weight(c, 2, c, 8 * c, 1),
       .w2 = weight(4 * c, 2, 4 * c, c, 1));
  TIME("pair logits, 16 heads", pair_logits, .x = rows(4, 1, n, n, c), .norm = norm(c), .w = weight(c, 2, c, 16, 1),
       .out = made(0, 1, 4, 1, 16, n, n));
  TIME("pair linear, 128 to 128", linear, .x = rows(2, n * n, c, 1, 1), .normalise = true, .norm = norm(c),
       .w = weight(c, 2, c, c, 1), .y = rows(2, n * n, c, 1, 1));
  TIME("single attention", attention, .x = made(0, 1, 3, 1, n, 384, 1), .norm = norm(384), .wq = weight(384, 3, 384, 16, 24),
       .bq = made(0, 1, 2, 16, 24, 1, 1), .wk = weight(384, 3, 384, 16, 24), .wv = weight(384, 3, 384, 16, 24),
       .wg = weight(384, 2, 384, 384, 1), .wo = weight(384, 2, 384, 384, 1), .logits = made(0, 1, 3, 16, n, n, 1), .mask = ones(n));
  TIME("single transition", transition, .x = made(0, 1, 2, n, 384, 1, 1), .norm = norm(384), .w1 = weight(384, 2, 384, 3072, 1),
       .w2 = weight(1536, 2, 1536, 384, 1));
  TIME("outer product mean", outer_product_mean, .msa = rows(3, r, n, 64, 1), .mask = made(1, 0, 2, r, n, 1, 1),
       .norm = norm(64), .w_left = weight(64, 2, 64, 32, 1), .w_right = weight(64, 2, 64, 32, 1),
       .w = weight(1024, 3, 32, 32, c), .b = made(0, 1, 1, c, 1, 1, 1), .pair = rows(3, n, n, c, 1));
  TIME("pair-weighted averaging", pair_average, .msa = rows(3, r, n, 64, 1), .column_mask = ones(n),
       .pair = rows(3, n, n, c, 1), .norm = norm(64), .norm_pair = norm(c), .w_logits = weight(c, 2, c, 8, 1),
       .wv = weight(64, 3, 64, 8, 8), .wg = weight(64, 2, 64, 64, 1), .wo = weight(64, 2, 64, 64, 1));
  TIME("MSA transition", transition, .x = rows(2, r * n, 64, 1, 1), .norm = norm(64), .w1 = weight(64, 2, 64, 512, 1),
       .w2 = weight(256, 2, 256, 64, 1));
  context.reduced = false;
  TIME("diffusion attention, 5 samples", attention, .x = made(0, 1, 3, 5, n, 768, 1), .condition = condition(n, 768),
       .wq = weight(768, 3, 768, 16, 48), .bq = made(0, 1, 2, 16, 48, 1, 1), .wk = weight(768, 3, 768, 16, 48),
       .wv = weight(768, 3, 768, 16, 48), .wg = weight(768, 2, 768, 768, 1), .wo = weight(768, 2, 768, 768, 1),
       .logits = made(0, 1, 3, 16, n, n, 1), .mask = ones(n));
  int64_t own = ops->kept_logits(n, 768, 48);
  TIME("diffusion attention, logits kept, 5 samples", attention, .x = made(0, 1, 3, 5, n, 768, 1), .condition = condition(n, 768),
       .wq = weight(768, 3, 768, 16, 48), .bq = made(0, 1, 2, 16, 48, 1, 1), .wk = weight(768, 3, 768, 16, 48),
       .wv = weight(768, 3, 768, 16, 48), .wg = weight(768, 2, 768, 768, 1), .wo = weight(768, 2, 768, 768, 1),
       .logits = own > 0 ? made(0, 0, 2, 16, own, 1, 1) : made(0, 1, 3, 16, n, n, 1), .mask = ones(n));
  TIME("diffusion transition, 5 samples", transition, .x = made(0, 1, 2, 5 * n, 768, 1, 1), .condition = condition(n, 768),
       .w1 = weight(768, 2, 768, 3072, 1), .w2 = weight(1536, 2, 1536, 768, 1));
  nf_tensor cond = made(0, 1, 2, n, 384, 1, 1);
  linear_layer layers[6];
  for (int i = 0; i < 6; i++)
    layers[i] = (linear_layer){.scale = i < 4 ? ones(384) : (nf_tensor){0}, .w = weight(384, 2, 384, 768, 1),
                               .sigmoid_output = i % 2 == 0, .y = made(0, 1, 2, n, 768, 1, 1)};
  TIME("diffusion conditions of a block", linears, .x = cond, .n = 6,
       .layers = {layers[0], layers[1], layers[2], layers[3], layers[4], layers[5]});
  int32_t *index = nf_calloc((size_t)(s * 128), sizeof *index);
  for (int64_t i = 0; i < s * 128; i++) {
    int64_t at = i / 128 * 32 - 48 + i % 128;
    index[i] = (int32_t)(at < 0 ? 0 : at >= s * 32 ? s * 32 - 1 : at);
  }
  TIME("atom attention, 5 samples", atom_attention, .x = made(0, 1, 3, 5, s * 32, c, 1), .query = condition(s * 32, c),
       .key = condition(s * 32, c), .wq = weight(c, 3, c, 4, 32), .bq = made(0, 1, 2, 4, 32, 1, 1), .wk = weight(c, 3, c, 4, 32),
       .wv = weight(c, 3, c, 4, 32), .wg = weight(c, 2, c, c, 1), .wo = weight(c, 2, c, c, 1),
       .logits = made(0, 1, 4, s, 12, 128, 32), .key_index = context_upload(&context, index, (size_t)(s * 128) * 4),
       .query_mask = ones(s * 32), .key_mask = ones(s * 128));
  TIME("atom transition, 5 samples", transition, .x = made(0, 1, 2, 5 * s * 32, c, 1, 1), .condition = condition(s * 32, c),
       .w1 = weight(c, 2, c, 4 * c, 1), .w2 = weight(2 * c, 2, 2 * c, c, 1));
  free(index);
}

int main(int argc, char **argv) {
  if (argc < 3) return fprintf(stderr, "use: ops DEVICE [--only=TEXT] TOKENS...\n"), 2;
  ops = device_ops(argv[1]);
  if (!ops) return fprintf(stderr, "%s: %s\n", argv[1], device_problem()), 2;
  printf("%s\n", device_description(ops));
  for (int i = 2; i < argc; i++) {
    if (strncmp(argv[i], "--only=", 7) == 0) {
      only = argv[i] + 7;
      continue;
    }
    n = atoll(argv[i]);
    if (n < 1) return fprintf(stderr, "%s: tokens are counted from 1\n", argv[i]), 2;
    context = context_dry(ops);
    all();
    size_t peak = context.peak;
    void *memory = ops->allocate(peak);
    if (!memory) return fprintf(stderr, "%.1f GiB are not there\n", (double)peak / (1 << 30)), 3;
    context = context_create(ops, memory, peak);
    all();
    ops->release(memory);
  }
  return 0;
}
