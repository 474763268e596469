// Is this device right? Every heavy op against the plain loop at small and odd sizes and at real widths, then a small
// network with seeded weights from features to confidence, against the CPU.
#include "model/selfcheck.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/threefry.h"
#include "model/network.h"

typedef void (*op_call)(nf_context *context, void *args, nf_tensor x);

enum { MOST_ARRAYS = 32 };
typedef struct {
  const nf_ops *ops, *truth;
  bool gpu;
  nf_arena *arena;
  struct {
    void *host, *copy;
    size_t bytes;
    bool narrow;         // held in bf16 where the device has pairs and MSAs so
  } drawn[MOST_ARRAYS];  // of the case under way
  int n_drawn;
  const selfcheck_sink *sink;
  bool failed;
} checker;

// 1. Cases

static void *remember(checker *c, void *host, size_t bytes) {
  NF_ASSERT(c->n_drawn < MOST_ARRAYS);
  c->drawn[c->n_drawn].host = host;
  c->drawn[c->n_drawn].narrow = false;
  c->drawn[c->n_drawn++].bytes = bytes;
  return host;
}

// Values between middle - size and middle + size, the same for a given seed.
static nf_tensor draw(checker *c, uint32_t seed, float middle, float size, int n_dims, int64_t a, int64_t b, int64_t d,
                      int64_t e) {
  nf_tensor t = tensor_of(NULL, n_dims, a, b, d, e);
  int64_t n = tensor_count(t);
  t.data = remember(c, nf_arena_alloc(c->arena, (size_t)n * sizeof(float)), (size_t)n * sizeof(float));
  for (int64_t i = 0; i < n; i++) t.data[i] = middle + size * (2 * nf_random_uniform(nf_key_from_seed(seed), (uint64_t)i) - 1);
  return t;
}
// Makes what was drawn a pair or MSA representation. Its values are rounded, so that every device reads the same ones.
static nf_tensor narrow(checker *c, nf_tensor t) {
  const nf_context context = context_dry(c->truth);
  nf_tensor rounded = t;
  rounded.narrow = true;
  rounded.data = nf_arena_alloc(c->arena, (size_t)tensor_bytes(rounded));
  context_upload_to(&context, rounded, t.data);
  context_download(&context, t.data, rounded);
  for (int i = 0; i < c->n_drawn; i++)
    if (c->drawn[i].host == t.data) c->drawn[i].narrow = true;
  return t;
}
static nf_tensor weight(checker *c, uint32_t seed, int64_t fan_in, int n_dims, int64_t a, int64_t b, int64_t d) {
  return draw(c, seed, 0, 1.5f / sqrtf((float)fan_in), n_dims, a, b, d, 1);
}
static op_norm norm(checker *c, uint32_t seed, int64_t channels) {
  return (op_norm){draw(c, seed, 1, 0.2f, 1, channels, 1, 1, 1), draw(c, seed + 1, 0, 0.2f, 1, channels, 1, 1, 1)};
}
static nf_tensor mask(checker *c, uint32_t seed, int64_t n) {
  nf_tensor t = draw(c, seed, 0, 1, 1, n, 1, 1, 1);
  for (int64_t i = 0; i < n; i++) t.data[i] = i == 0 || t.data[i] > -0.6f;
  return t;
}
static op_condition condition(checker *c, uint32_t seed, int64_t p, int64_t channels) {
  return (op_condition){draw(c, seed, 0.5f, 0.5f, 2, p, channels, 1, 1), draw(c, seed + 1, 0, 1, 2, p, channels, 1, 1),
                        draw(c, seed + 2, 0.5f, 0.5f, 2, p, channels, 1, 1)};
}

// Runs the op on `ops` with x as it is, and leaves the result in `result`. Arguments that were drawn have copies there: in
// bf16 those that are narrow, if `narrow` says so. x.narrow: so is what the op works on.
static bool run(checker *c, const nf_ops *ops, op_call call, const void *args, size_t size, bool reduced, bool narrow, nf_tensor x,
                float *result) {
  uintptr_t words[256];
  NF_ASSERT(size <= sizeof words);
  memcpy(words, args, size);
  nf_tensor there = x;
  there.data = ops->allocate((size_t)tensor_bytes(x));
  bool enough = there.data;
  nf_context dry = context_dry(ops);
  dry.reduced = reduced;
  for (int i = 0; i < c->n_drawn; i++) {
    c->drawn[i].copy = NULL;
    if (ops->host_memory) continue;
    bool halved = narrow && c->drawn[i].narrow;
    nf_tensor copy = tensor_1(NULL, (int64_t)(c->drawn[i].bytes / sizeof(float)));
    copy.narrow = true;
    c->drawn[i].copy = copy.data = ops->allocate(halved ? (size_t)tensor_bytes(copy) : c->drawn[i].bytes);
    enough = enough && copy.data;
    if (!enough) continue;
    if (halved) context_upload_to(&dry, copy, c->drawn[i].host);
    else ops->upload(copy.data, c->drawn[i].host, c->drawn[i].bytes);
    for (size_t w = 0; w < size / sizeof *words; w++) {
      if (words[w] != (uintptr_t)c->drawn[i].host) continue;
      words[w] = (uintptr_t)copy.data;
      if (!halved) continue;
      nf_tensor t;  // only tensors are narrow, and they begin with this word
      memcpy(&t, words + w, sizeof t);
      t.narrow = true;
      memcpy(words + w, &t, sizeof t);
    }
  }
  call(&dry, words, there);
  void *memory = ops->allocate(dry.peak);
  enough = enough && memory;
  if (enough) {
    nf_context context = context_create(ops, memory, dry.peak);
    context_upload_to(&context, there, x.data);
    context.reduced = reduced;
    call(&context, words, there);
    context_download(&context, result, there);
  }
  for (int i = 0; i < c->n_drawn; i++)
    if (c->drawn[i].copy) ops->release(c->drawn[i].copy);
  if (memory) ops->release(memory);
  if (there.data) ops->release(there.data);
  return enough;
}

static void report(checker *c, const char *what, const char *how, double error, double limit) {
  bool passed = error <= limit;  // what is no number never passes
  c->failed = c->failed || !passed;
  c->sink->row(c->sink->context, &(selfcheck_row){what, how, error, limit, passed});
}

// Of an op's cases the one whose error is nearest to its limit. Errors are of what the op adds to x, not of what it adds to.
typedef struct {
  double error, limit;
} nearest;
typedef struct {
  nearest plain, reduced;
} worst;

static void compare(checker *c, op_call call, const void *args, size_t size, nf_tensor x, worst *w) {
  int64_t n = tensor_count(x);
  float *truth = nf_arena_alloc(c->arena, (size_t)n * sizeof(float)), *result = nf_arena_alloc(c->arena, (size_t)n * sizeof(float));
  bool enough = run(c, c->truth, call, args, size, false, false, x, truth), has_narrow = c->ops->narrow && c->ops->narrow(),
       narrow_x = false;
  for (int i = 0; i < c->n_drawn; i++)
    if (c->drawn[i].host == x.data) narrow_x = c->drawn[i].narrow;
  for (int reduced = 0; reduced <= c->gpu; reduced++) {
    nf_tensor from = x;
    from.narrow = reduced && has_narrow && narrow_x;
    enough = enough && run(c, c->ops, call, args, size, reduced, reduced && has_narrow, from, result);
    double square = 0, total = 0, whole = 0;
    for (int64_t i = 0; i < n; i++) {
      double d = (double)result[i] - truth[i], t = (double)truth[i] - x.data[i];
      square += d * d;
      total += t * t;
      whole += (double)truth[i] * truth[i];
    }
    double error = enough && total > 0 ? sqrt(square / total) : NAN, limit = !c->gpu ? 1e-5 : reduced ? 1.5e-2 : 2e-3;
    // A narrow result is rounded, as the whole that it is: a value by up to 2^-8 of itself, many by 0.77 * 2^-9 in the mean.
    if (from.narrow && total > 0) limit += ldexp(1, n < 1000 ? -8 : -9) * sqrt(whole / total);
    nearest *most = reduced ? &w->reduced : &w->plain;
    // What is no number stays: no later case hides it.
    if (most->limit == 0 || (!isnan(most->error) && !(error / limit <= most->error / most->limit))) *most = (nearest){error, limit};
  }
  c->n_drawn = 0;
  nf_arena_free(c->arena);
  c->arena = nf_arena_create();
}

#define CALL(op, field)                                                   \
  static void call_##op(nf_context *context, void *args, nf_tensor x) {   \
    op_##op a = *(op_##op *)args;                                         \
    a.field = x;                                                          \
    context->ops->op(context, &a);                                        \
  }
CALL(linear, y)
CALL(transition, x)
CALL(triangle_multiply, x)
CALL(triangle_attention, x)
CALL(pair_logits, out)
CALL(attention, x)
CALL(atom_attention, x)
CALL(outer_product_mean, pair)
CALL(pair_average, msa)
#define COMPARE(op, x) compare(c, call_##op, &a, sizeof a, x, &w)

static void finish(checker *c, const char *what, const worst *w) {
  report(c, what, c->gpu ? "TF32" : "fp32", w->plain.error, w->plain.limit);
  if (c->gpu) report(c, what, "bf16", w->reduced.error, w->reduced.limit);
}

static void call_linear_in_place(nf_context *context, void *args, nf_tensor x) {
  op_linear a = *(op_linear *)args;
  a.x = a.y = x;
  context->ops->linear(context, &a);
}

static void check_linear(checker *c) {
  static const int sizes[][3] = {{1, 1, 1}, {7, 13, 5}, {113, 65, 37}, {41, 768, 384}, {1025, 128, 128}, {1100, 64, 128}};
  worst w = {0};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (int normalise = 0; normalise < 2; normalise++) {
      int64_t m = sizes[s][0], n = sizes[s][1], k = sizes[s][2];
      op_linear a = {.x = draw(c, 1, 0.1f, 1, 2, m, k, 1, 1), .w = weight(c, 2, k, 2, k, n, 1), .add = true};
      if (normalise && k > 1) a.normalise = true, a.norm = norm(c, 3, k);
      else a.bias = draw(c, 5, 0, 1, 1, n, 1, 1, 1), a.sigmoid_output = n > 1;
      COMPARE(linear, draw(c, 6, 0, 1, 2, m, n, 1, 1));
    }
  finish(c, "linear", &w);
  // Of pairs: to another representation, to floats, in place, and added.
  static const int of_pairs[][3] = {{31, 17, 33}, {1025, 64, 128}, {1100, 128, 128}, {1023, 128, 64}};
  w = (worst){0};
  for (size_t s = 0; s < sizeof of_pairs / sizeof *of_pairs; s++)
    for (int form = 0; form < 4; form++) {
      int64_t m = of_pairs[s][0], n = of_pairs[s][1], k = of_pairs[s][2];
      bool in_place = form == 2, add = form == 3;
      if (in_place && n != k) continue;
      op_linear a = {.w = weight(c, 2, k, 2, k, n, 1), .normalise = !add, .relu_input = add, .add = add};
      if (!add) a.norm = norm(c, 3, k);
      if (!in_place) a.x = narrow(c, draw(c, 1, 0.1f, 1, 2, m, k, 1, 1));
      nf_tensor x = draw(c, 6, 0, 1, 2, m, n, 1, 1);
      if (form != 1) narrow(c, x);
      if (in_place) COMPARE(linear_in_place, x);
      else COMPARE(linear, x);
    }
  finish(c, "linear, of pairs", &w);
}

static void check_transition(checker *c) {
  static const int sizes[][3] = {{1, 4, 3}, {31, 17, 33}, {257, 64, 256}, {113, 128, 512}, {30, 768, 1536}, {1, 384, 1536}};
  worst w = {0};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (int conditional = 0; conditional < 2; conditional++) {
      int64_t m = sizes[s][0], channels = sizes[s][1], n = sizes[s][2];
      op_transition a = {.w1 = weight(c, 1, channels, 2, channels, 2 * n, 1), .w2 = weight(c, 2, n, 2, n, channels, 1)};
      if (conditional) a.condition = condition(c, 3, (m + 1) / 2, channels);
      else a.norm = norm(c, 3, channels);
      nf_tensor x = draw(c, 9, 0, 1, 2, m, channels, 1, 1);
      // Tokens and atoms, and the single representation, are float; pairs and MSAs are not.
      if (!conditional && channels < 384) narrow(c, x);
      COMPARE(transition, x);
    }
  finish(c, "transition", &w);
}

static void check_triangle_multiply(checker *c) {
  static const int sizes[][2] = {{1, 128}, {7, 5}, {33, 16}, {65, 64}, {67, 128}};
  for (int outgoing = 1; outgoing >= 0; outgoing--) {
    worst w = {0};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
      int64_t n = sizes[s][0], k = sizes[s][1];
      op_triangle_multiply a = {.mask = mask(c, 1, n), .norm = norm(c, 2, k), .norm_center = norm(c, 4, k),
                                .w_gate = weight(c, 6, k, 2, k, 2 * k, 1), .w_projection = weight(c, 7, k, 2, k, 2 * k, 1),
                                .w_gating = weight(c, 8, k, 2, k, k, 1), .w_out = weight(c, 9, k, 2, k, k, 1),
                                .outgoing = outgoing};
      COMPARE(triangle_multiply, narrow(c, draw(c, 10, 0, 1, 3, n, n, k, 1)));
    }
    finish(c, outgoing ? "triangle multiplication, outgoing" : "triangle multiplication, incoming", &w);
  }
}

static void check_triangle_attention(checker *c) {
  static const int sizes[][4] = {{1, 128, 4, 32}, {7, 5, 2, 3}, {33, 16, 4, 16}, {65, 64, 4, 16}, {67, 128, 4, 32}};
  for (int ending = 0; ending < 2; ending++) {
    worst w = {0};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
      int64_t n = sizes[s][0], k = sizes[s][1], h = sizes[s][2], d = sizes[s][3];
      op_triangle_attention a = {.mask = mask(c, 1, n), .norm = norm(c, 2, k), .w_bias = weight(c, 4, k, 2, k, h, 1),
                                 .wq = weight(c, 5, k, 3, h, d, k), .wk = weight(c, 6, k, 3, h, d, k),
                                 .wv = weight(c, 7, k, 3, k, h, d), .wg = weight(c, 8, k, 2, h * d, k, 1),
                                 .wo = weight(c, 9, k, 2, h * d, k, 1), .ending = ending};
      COMPARE(triangle_attention, narrow(c, draw(c, 10, 0, 1, 3, n, n, k, 1)));
    }
    finish(c, ending ? "triangle attention, ending" : "triangle attention, starting", &w);
  }
}

static void check_pair_logits(checker *c) {
  static const int sizes[][5] = {{1, 1, 1, 4, 1}, {1, 41, 41, 128, 16}, {3, 32, 128, 16, 12}, {2, 15, 7, 5, 3}};
  worst w = {0};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    int64_t b = sizes[s][0], q = sizes[s][1], k = sizes[s][2], l = sizes[s][3], h = sizes[s][4];
    op_pair_logits a = {.x = narrow(c, draw(c, 1, 0, 1, 4, b, q, k, l)), .w = weight(c, 2, l, 2, l, h, 1), .norm = norm(c, 3, l)};
    nf_tensor out = draw(c, 4, 0, 1, 4, b, h, k, q);
    memset(out.data, 0, (size_t)tensor_count(out) * sizeof(float));
    COMPARE(pair_logits, out);
  }
  finish(c, "pair logits", &w);
}

static void check_attention(checker *c) {
  static const int sizes[][5] = {{1, 1, 8, 1, 8}, {2, 7, 10, 2, 3}, {3, 41, 96, 4, 24}, {1, 67, 384, 16, 24}, {2, 65, 768, 16, 48}};
  worst w = {0};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (int conditional = 0; conditional < 2; conditional++) {
      int64_t b = sizes[s][0], n = sizes[s][1], k = sizes[s][2], h = sizes[s][3], d = sizes[s][4];
      op_attention a = {.wq = weight(c, 1, k, 3, k, h, d), .bq = draw(c, 2, 0, 0.3f, 2, h, d, 1, 1), .wk = weight(c, 3, k, 3, k, h, d),
                        .wv = weight(c, 4, k, 3, k, h, d), .wg = weight(c, 5, k, 2, k, h * d, 1), .wo = weight(c, 6, k, 2, h * d, k, 1),
                        .logits = draw(c, 7, 0, 2, 3, h, n, n, 1), .mask = mask(c, 8, n)};
      if (conditional) a.condition = condition(c, 9, n, k);
      else a.norm = norm(c, 9, k);
      COMPARE(attention, draw(c, 12, 0, 1, 3, b, n, k, 1));
    }
  finish(c, "attention of tokens", &w);
}

static void check_atom_attention(checker *c) {
  static const int sizes[][7] = {{1, 1, 1, 1, 8, 1, 8}, {2, 3, 5, 7, 10, 2, 3}, {2, 4, 32, 128, 128, 4, 32}};
  worst w = {0};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    int64_t b = sizes[s][0], n_s = sizes[s][1], n_q = sizes[s][2], n_k = sizes[s][3], k = sizes[s][4], h = sizes[s][5], d = sizes[s][6];
    int32_t *index = remember(c, NF_NEW(c->arena, int32_t, n_s * n_k), (size_t)(n_s * n_k) * sizeof(int32_t));
    for (int64_t i = 0; i < n_s * n_k; i++) index[i] = i % 11 == 10 ? -1 : (int32_t)(i * 7 % (n_s * n_q));
    op_atom_attention a = {.query = condition(c, 1, n_s * n_q, k), .key = condition(c, 4, n_s * n_q, k), .wq = weight(c, 7, k, 3, k, h, d),
                           .bq = draw(c, 8, 0, 0.3f, 2, h, d, 1, 1), .wk = weight(c, 9, k, 3, k, h, d), .wv = weight(c, 10, k, 3, k, h, d),
                           .wg = weight(c, 11, k, 2, k, h * d, 1), .wo = weight(c, 12, k, 2, h * d, k, 1),
                           .logits = draw(c, 13, 0, 2, 4, n_s, 2 * h, n_k, n_q), .first_head = (int)h, .key_index = index,
                           .query_mask = mask(c, 14, n_s * n_q), .key_mask = mask(c, 15, n_s * n_k)};
    COMPARE(atom_attention, draw(c, 17, 0, 1, 3, b, n_s * n_q, k, 1));
  }
  finish(c, "attention of atoms", &w);
}

static void check_msa(checker *c) {
  static const int sizes[][6] = {{1, 1, 8, 4, 8, 2}, {3, 7, 10, 3, 5, 2}, {16, 41, 64, 32, 128, 8}, {37, 67, 64, 32, 128, 8}};
  worst w = {0};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    int64_t r = sizes[s][0], n = sizes[s][1], c_m = sizes[s][2], e = sizes[s][3], k = sizes[s][4];
    op_outer_product_mean a = {.msa = narrow(c, draw(c, 1, 0, 1, 3, r, n, c_m, 1)), .norm = norm(c, 2, c_m),
                               .mask = mask(c, 4, r * n), .w_left = weight(c, 5, c_m, 2, c_m, e, 1),
                               .w_right = weight(c, 6, c_m, 2, c_m, e, 1), .w = weight(c, 7, e * e, 3, e, e, k), .b = draw(c, 8, 0, 1, 1, k, 1, 1, 1)};
    COMPARE(outer_product_mean, narrow(c, draw(c, 9, 0, 1, 3, n, n, k, 1)));
  }
  finish(c, "outer product mean", &w);
  w = (worst){0};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    int64_t r = sizes[s][0], n = sizes[s][1], c_m = sizes[s][2], h = sizes[s][5], d = c_m / h, k = sizes[s][4];
    op_pair_average a = {.pair = narrow(c, draw(c, 1, 0, 1, 3, n, n, k, 1)), .norm = norm(c, 2, c_m), .norm_pair = norm(c, 4, k),
                         .column_mask = mask(c, 6, n), .w_logits = weight(c, 7, k, 2, k, h, 1), .wv = weight(c, 8, c_m, 3, c_m, h, d),
                         .wg = weight(c, 9, c_m, 2, c_m, h * d, 1), .wo = weight(c, 10, h * d, 2, h * d, c_m, 1)};
    COMPARE(pair_average, narrow(c, draw(c, 11, 0, 1, 3, r, n, c_m, 1)));
  }
  finish(c, "pair-weighted averaging", &w);
}

// 2. The small network

static double relative(const float *a, const float *b, int64_t n) {
  double square = 0, total = 0;
  for (int64_t i = 0; i < n; i++) {
    square += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    total += (double)b[i] * b[i];
  }
  return total > 0 ? sqrt(square / total) : NAN;
}

typedef struct {
  trunk_output trunk;
  trunk_arrays arrays;
  distogram_output distogram;
  float *positions;
  confidence_output confidence;
} outcome;

enum { TOKENS = 67, ROWS = 20, STEPS = 5, SAMPLES = 2 };

// positions: of the other device, for the confidence head, or NULL: its own.
static nf_status run_network(const nf_model *model, const nf_batch *batch, const float *positions, nf_arena *arena, outcome *o) {
  NF_TRY(trunk_run(model, batch, &(trunk_options){.num_recycles = 2, .num_msa = 16, .key = {{0, 1}}}, arena, &o->trunk));
  o->arrays = trunk_on_host(&o->trunk, arena);
  nf_status status;
  NF_TRY_GOTO(done, distogram_run(model, batch, &o->trunk, true, arena, &o->distogram));
  NF_TRY_GOTO(done, diffusion_run(model, batch, &o->trunk,
                                  &(diffusion_options){.steps = STEPS, .n_samples = SAMPLES, .key = {{0, 2}}}, arena, &o->positions));
  NF_TRY_GOTO(done, confidence_run(model, batch, &o->trunk, positions ? positions : o->positions, NULL, arena, &o->confidence));
done:
  trunk_free(&o->trunk);
  return status;
}

static nf_status check_network(checker *c, const nf_weights *weights, const char *device) {
  nf_model *model = NULL, *cpu = NULL;
  nf_batch batch;
  outcome truth = {0}, result = {0};
  nf_status status;
  NF_TRY_GOTO(done, model_create(weights, device, &model));
  NF_TRY_GOTO(done, model_create(weights, c->gpu ? "cpu" : "plain", &cpu));
  model_made_up_batch(TOKENS, ROWS, c->arena, &batch);
  for (int i = 0; i < TOKENS; i++) {  // two chains, and some padding
    batch.asym_id[i] = 1 + (i > TOKENS / 2);
    batch.seq_mask[i] = i < TOKENS - 2;
  }
  NF_TRY_GOTO(done, run_network(cpu, &batch, NULL, c->arena, &truth));
  NF_TRY_GOTO(done, run_network(model, &batch, truth.positions, c->arena, &result));
  const model_dims *dims = model_dimensions(model);
  int64_t n = TOKENS, slots = n * batch.n_slot;
  // In bf16 errors grow along the blocks: the limits are a few times what a right device shows.
  const struct {
    const char *name;
    const float *result, *truth;
    int64_t n;
    double reduced_limit;
  } seams[] = {{"target features", result.arrays.target_feat, truth.arrays.target_feat, n * dims->c_target, 2e-3},
               {"single, after three passes", result.arrays.single, truth.arrays.single, n * dims->c_s, 0.05},
               {"pair, after three passes", result.arrays.pair, truth.arrays.pair, n * n * dims->c_z, 0.1},
               {"contact probabilities", result.distogram.contact_probs, truth.distogram.contact_probs, n * n, 0.1},
               {"positions, after five steps", result.positions, truth.positions, SAMPLES * slots * 3, 0.05},
               {"pLDDT", result.confidence.predicted_lddt, truth.confidence.predicted_lddt, slots, 0.02},
               {"PAE", result.confidence.full_pae, truth.confidence.full_pae, n * n, 0.02},
               {"PDE", result.confidence.full_pde, truth.confidence.full_pde, n * n, 0.02}};
  for (size_t i = 0; i < sizeof seams / sizeof *seams; i++)
    report(c, seams[i].name, "network", relative(seams[i].result, seams[i].truth, seams[i].n), c->gpu ? seams[i].reduced_limit : 1e-4);
done:
  model_free(model);
  model_free(cpu);
  return status;
}

nf_status selfcheck_run(const nf_weights *weights, const char *device, const selfcheck_sink *sink, bool *ret_passed) {
  const nf_ops *ops = device_ops(device);
  if (!ops) return nf_fail(NF_INPUT, "--device=%s: %s: use --device=cpu", device, device_problem());
  checker c = {.ops = ops, .truth = device_ops("plain"), .gpu = !ops->host_memory, .arena = nf_arena_create(), .sink = sink};
  check_linear(&c);
  check_transition(&c);
  check_triangle_multiply(&c);
  check_triangle_attention(&c);
  check_pair_logits(&c);
  check_attention(&c);
  check_atom_attention(&c);
  check_msa(&c);
  nf_status status = check_network(&c, weights, device);
  nf_arena_free(c.arena);
  *ret_passed = !c.failed;
  return status;
}
