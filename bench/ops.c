// Times the network's ops at the sizes of a job: bench/ops DEVICE [--only=TEXT] [--away] TOKENS... prints a line an op, of those
// whose names hold the text. With --away the ops that bring a pair tensor over in pieces, as it is: on the device; on the host, in
// pieces of 1/16; and half of the channels at a time. A rate is then that of what passes the bus, both ways together.
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
// Where pair tensors lie, what is said of it, and bytes that then pass the bus in the op that is timed.
static bool away;
static const char *where = "";
static int64_t bus;

static nf_tensor stretch(nf_tensor t, int64_t first, int64_t count) {
  nf_tensor part = tensor_as_2(t, 1, count);
  part.data = tensor_at(t, first);
  return part;
}
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
  // What is there already follows itself, until all is.
  int64_t count = tensor_count(t), done = count < PERIOD - 1019 ? count : PERIOD - 1019;
  context_upload_to(&context, stretch(t, 0, done), block);
  for (int64_t more; done < count; done += more) {
    more = count - done < done ? count - done : done;
    OP(&context, scale, .x = stretch(t, 0, more), .factor = 1, .y = stretch(t, done, more));
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
static nf_tensor pair(int64_t c) {
  return away ? fill(context_away(&context, true, 3, n, n, c, 1), 0, 1) : rows(3, n, n, c, 1);
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
      printf("%6lld %-44s %9.3f ms %8.1f TFLOP/s", (long long)n, name, best * 1e3, (double)flops / best * 1e-12);         \
      printf("%s", where);                                                                                            \
      if (away) printf(", %.1f GB/s", (double)bus / best * 1e-9);                                                       \
      printf("\n");                                                                                                   \
      fflush(stdout);                                                                                                \
    }                                                                                                                \
    context_reset(&context, mark);                                                                                   \
    context_away_reset(&context, 0);                                                                                 \
  } while (0)

static void triangles(int64_t c, int64_t heads, const char *names[4]) {
  size_t mark = context_here(&context);
  // In groups of channels x comes for a and b of each; then the sums go and come, and x.
  int groups = context.plane_channels && context.plane_channels < c ? (int)c / context.plane_channels : 1;
  bus = (groups > 1 ? 2 * groups + 4 : 3) * n * n * c * 2;
  for (int second = 0; second < 2; second++) {
    TIME(names[second], triangle_multiply, .x = pair(c), .mask = ones(n), .norm = norm(c),
         .norm_center = norm(c), .w_gate = weight(c, 2, c, 2 * c, 1), .w_projection = weight(c, 2, c, 2 * c, 1),
         .w_gating = weight(c, 2, c, c, 1), .w_out = weight(c, 2, c, c, 1), .outgoing = !second);
  }
  if (groups > 1) return;
  for (int second = 0; second < 2; second++) {
    TIME(names[2 + second], triangle_attention, .x = pair(c), .mask = ones(n), .norm = norm(c),
         .w_bias = weight(c, 2, c, heads, 1), .wq = weight(c, 3, heads, c / heads, c), .wk = weight(c, 3, heads, c / heads, c),
         .wv = weight(c, 3, c, heads, c / heads), .wg = weight(c, 2, c, c, 1), .wo = weight(c, 2, c, c, 1), .ending = second);
  }
}
static const char *wide[4] = {"triangle multiplication, outgoing", "triangle multiplication, incoming",
                              "triangle attention, starting", "triangle attention, ending"};
static void pair_transition(void) {
  size_t mark = context_here(&context);
  int64_t c = 128;
  bus = 2 * n * n * c * 2;
  TIME("pair transition", transition, .x = pair(c), .norm = norm(c), .w1 = weight(c, 2, c, 8 * c, 1),
       .w2 = weight(4 * c, 2, 4 * c, c, 1));
}
static void streamed(void) {
  context.reduced = true;
  context.chunk_rows = away ? (n + 15) / 16 : 0;
  triangles(128, 4, wide);
  if (!context.plane_channels) pair_transition();
}

static void all(void) {
  size_t mark = context_here(&context);
  const char *narrow[4] = {"  64 channels, outgoing", "  64 channels, incoming", "  64 channels, starting",
                           "  64 channels, ending"};
  int64_t c = 128, r = 1024, s = n * 265 / 1024;
  context.reduced = true;
  triangles(128, 4, wide);
  triangles(64, 4, narrow);
  pair_transition();
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
  {
    linear_layer layers[24];
    for (int i = 0; i < 24; i++)
      layers[i] = (linear_layer){.scale = i % 6 < 4 ? ones(384) : (nf_tensor){0}, .w = weight(384, 2, 384, 768, 1),
                                 .sigmoid_output = i % 2 == 0};
    nf_tensor cond = made(0, 1, 2, n, 384, 1, 1), y = made(0, 0, 3, 24, n, 768, 1);
    size_t mark = context_here(&context);
    TIME("diffusion conditions of a block", linears, .x = cond, .n_blocks = 1, .n = 6, .layers = layers, .y = tensor_3(y.data, 6, n, 768));
    TIME("diffusion conditions of four blocks", linears, .x = cond, .n_blocks = 4, .n = 6, .layers = layers, .y = y);
  }
  context_reset(&context, mark);
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

// All that `body` times, in memory for it.
static int run(void (*body)(void), int plane_channels) {
  context = context_dry(ops);
  context.plane_channels = plane_channels;
  body();
  size_t size = context.peak, host_size = context.host_peak;
  void *memory = ops->allocate(size), *host = host_size ? ops->host_allocate(host_size) : NULL;
  if (!memory || (host_size && !host))
    return fprintf(stderr, "%.1f GiB, and %.1f of the host, are not there\n", (double)size / (1 << 30), (double)host_size / (1 << 30)), 3;
  context = context_create(ops, memory, size);
  context.plane_channels = plane_channels;
  context.host = host, context.host_size = host_size;
  body();
  ops->release(memory);
  if (host) ops->host_release(host);
  return 0;
}

int main(int argc, char **argv) {
  bool stream = false;
  if (argc < 3) return fprintf(stderr, "use: ops DEVICE [--only=TEXT] [--away] TOKENS...\n"), 2;
  ops = device_ops(argv[1]);
  if (!ops) return fprintf(stderr, "%s: %s\n", argv[1], device_problem()), 2;
  printf("%s\n", device_description(ops));
  for (int i = 2; i < argc; i++) {
    if (strncmp(argv[i], "--only=", 7) == 0) {
      only = argv[i] + 7;
      continue;
    }
    if (strcmp(argv[i], "--away") == 0) {
      if (ops->host_memory) return fprintf(stderr, "%s has no memory beside the host's\n", argv[1]), 2;
      stream = true;
      continue;
    }
    n = atoll(argv[i]);
    if (n < 1) return fprintf(stderr, "%s: tokens are counted from 1\n", argv[i]), 2;
    if (!stream) {
      int status = run(all, 0);
      if (status) return status;
      continue;
    }
    static const char *const places[] = {", resident", ", away", ", away, 64 channels"};
    for (int form = 0; form < 3; form++) {
      away = form > 0, where = places[form];
      int status = run(streamed, form == 2 ? 64 : 0);
      if (status) return status;
    }
  }
  return 0;
}
