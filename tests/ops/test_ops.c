// Every heavy op: the fast version against the plain loop, at sizes 1, prime, tile - 1, tile, tile + 1 and real ones.
#include "tests/test.h"

#include "base/memory.h"
#include "base/threefry.h"
#include "tensor/cpu/cpu.h"

// What draws have given, so that a device with memory of its own can have copies.
static struct {
  void *host, *copy;
  size_t bytes;
  bool narrow;  // held in bf16 where a run has such tensors
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
  drawn[n_drawn].narrow = false;
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
// Makes what was drawn a tensor that a GPU may hold in bf16. Its values are rounded, so that every device reads the same ones.
static nf_tensor narrow(nf_arena *arena, nf_tensor t) {
  nf_context context = context_dry(&cpu_ops);
  nf_tensor rounded = t;
  rounded.narrow = true;
  rounded.data = nf_arena_alloc(arena, (size_t)tensor_bytes(rounded));
  context_upload_to(&context, rounded, t.data);
  context_download(&context, t.data, rounded);
  for (int i = 0; i < n_drawn; i++)
    if (drawn[i].host == t.data) drawn[i].narrow = true;
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

static int32_t *draw_integers(nf_arena *arena, uint32_t seed, int64_t n, int least, int most) {
  int32_t *x = remember(nf_arena_alloc(arena, (size_t)n * sizeof *x), (size_t)n * sizeof *x);
  for (int64_t i = 0; i < n; i++)
    x[i] = least + (int32_t)(nf_random_bits(nf_key_from_seed(seed), (uint64_t)i) % (uint32_t)(most - least + 1));
  return x;
}

typedef void (*op_call)(nf_context *context, void *args, nf_tensor x);

// How a GPU runs a case: products in TF32 or bf16, and what is narrow held in float or bf16. One bit each.
enum { TF32 = 1 << 0, BF16 = 1 << 1, TF32_NARROW = 1 << 2, BF16_NARROW = 1 << 3, N_MODES = 4 };

// Are tensors that may be away so now? Ops' callers ask, for those that they take of the context.
static bool streamed;

// The op on the GPU, with every array of its arguments replaced by a copy there. Run twice, in pieces of two sizes, and if
// `stream` with its result and what is narrow of its arguments in the host's memory: all must agree in all bits, and none may
// write behind the result. `narrow`: copies of what was drawn as narrow are bf16; x.narrow: so is the result there.
static void run_on_gpu(op_call call, const void *args, size_t args_size, bool reduced, bool narrow, bool stream, nf_tensor x,
                       nf_tensor result, int64_t *ret_flops) {
  static const struct {
    int64_t chunk_rows;
    int plane_channels;
    bool away;
  } runs[] = {{0, 0, false}, {0, 0, false}, {24, 0, false}, {64, 0, false}, {0, 64, true}, {24, 0, true}, {64, 64, true}};
  enum { RUNS = sizeof runs / sizeof *runs, RESIDENT_RUNS = 4, GUARD = 256 };
  const nf_ops *ops = gpu();
  const int n_runs = stream ? RUNS : RESIDENT_RUNS;
  nf_context dry[RUNS];
  for (int i = 0; i < n_runs; i++) {
    dry[i] = context_dry(ops);
    dry[i].reduced = reduced;
    dry[i].chunk_rows = runs[i].chunk_rows;
    dry[i].plane_channels = runs[i].plane_channels;
  }
  uintptr_t words[2][256];  // of resident runs, and of those that are away
  void *away_copies[64] = {0};
  NF_ASSERT(args_size <= sizeof words[0]);
  memcpy(words[0], args, args_size);
  memcpy(words[1], args, args_size);
  for (int i = 0; i < n_drawn; i++) {
    bool halved = narrow && drawn[i].narrow;
    nf_tensor copied = tensor_1(NULL, (int64_t)(drawn[i].bytes / sizeof(float)));
    copied.narrow = true;
    drawn[i].copy = copied.data = ops->allocate(halved ? (size_t)tensor_bytes(copied) : drawn[i].bytes);
    if (halved) context_upload_to(&dry[0], copied, drawn[i].host);
    else ops->upload(drawn[i].copy, drawn[i].host, drawn[i].bytes);
    if (halved && stream) {
      away_copies[i] = copied.data = ops->host_allocate((size_t)tensor_bytes(copied));
      context_upload_to(&dry[0], copied, drawn[i].host);
    }
    for (size_t w = 0; w < args_size / sizeof **words; w++) {
      if (words[0][w] != (uintptr_t)drawn[i].host) continue;
      for (int k = 0; k < 2; k++) {
        words[k][w] = (uintptr_t)(k && away_copies[i] ? away_copies[i] : drawn[i].copy);
        if (!halved) continue;
        nf_tensor t;  // only tensors are narrow, and they begin with this word
        memcpy(&t, words[k] + w, sizeof t);
        t.narrow = true;
        t.away = k && away_copies[i];
        memcpy(words[k] + w, &t, sizeof t);
      }
    }
  }
  size_t bytes = (size_t)tensor_count(x) * sizeof(float), peak = 0, host_peak = 0;
  nf_tensor there[2] = {x, x};
  there[0].data = ops->allocate((size_t)tensor_bytes(x) + GUARD);
  there[1].data = stream ? ops->host_allocate((size_t)tensor_bytes(x) + GUARD) : NULL;
  there[1].away = true;
  for (int i = 0; i < n_runs; i++) {
    streamed = runs[i].away;
    call(&dry[i], words[runs[i].away], there[runs[i].away]);
    if (dry[i].peak > peak) peak = dry[i].peak;
    if (dry[i].host_peak > host_peak) host_peak = dry[i].host_peak;
  }
  char *memory = ops->allocate(peak), *host = stream ? ops->host_allocate(host_peak + 1) : NULL,
       *poison = nf_alloc((peak > host_peak ? peak : host_peak) + 1), guard[GUARD];
  float *again = nf_alloc(bytes);
  for (int run = 0; run < n_runs; run++) {
    const nf_context *counted = &dry[run];
    const nf_tensor to = there[runs[run].away];
    memset(poison, run ? 0xff : 0x7f, peak > host_peak ? peak : host_peak);
    ops->upload(memory, poison, peak);
    if (host) ops->upload(host, poison, host_peak);
    memset(guard, 0x5a, GUARD);
    ops->upload(tensor_at(to, tensor_count(to)), guard, GUARD);
    nf_context context = context_create(ops, memory, peak);
    context_upload_to(&context, to, x.data);
    context.reduced = reduced;
    context.chunk_rows = counted->chunk_rows;
    context.plane_channels = counted->plane_channels;
    context.host = host, context.host_size = host_peak;
    streamed = runs[run].away;
    call(&context, words[streamed], to);
    context_download(&context, run ? again : result.data, to);
    ops->download(guard, tensor_at(to, tensor_count(to)), GUARD);
    for (int i = 0; i < GUARD; i++)
      if (guard[i] != 0x5a) {
        test_fail(__FILE__, __LINE__, "run %d: byte %d behind the result was written", run, i);
        break;
      }
    CHECK_INT(context.peak, counted->peak);
    CHECK_INT(context.used, 0);
    CHECK_INT(context.host_peak, counted->host_peak);
    CHECK_INT(context.host_used, 0);
    *ret_flops = context.flops;
    if (run && memcmp(again, result.data, bytes) != 0)
      test_fail(__FILE__, __LINE__, "run %d, in pieces of %lld rows%s, gives other bits: by %.2g", run,
                (long long)counted->chunk_rows, streamed ? ", away" : "", test_relative_l2(again, result.data, tensor_count(x)));
  }
  streamed = false;
  for (int i = 0; i < n_drawn; i++) {
    ops->release(drawn[i].copy);
    if (away_copies[i]) ops->host_release(away_copies[i]);
  }
  ops->release(there[0].data);
  ops->release(memory);
  if (stream) {
    ops->host_release(there[1].data);
    ops->host_release(host);
  }
  free(poison);
  free(again);
}

static double norm_of(const float *values, int64_t n) {
  double square = 0;
  for (int64_t i = 0; i < n; i++) square += (double)values[i] * values[i];
  return sqrt(square);
}

// Runs one op on the plain loops, the CPU and, if there is one, a GPU, in `modes`; x is what it changes. The dry pass must
// have counted the very bytes that the run takes. exact: the op makes no products that a GPU would make in less than fp32.
// Runs in narrow modes are streamed as well, and if `stream` all others.
static void compare_all(const char *what, nf_arena *arena, op_call call, void *args, size_t args_size, nf_tensor x, int modes,
                        bool exact, bool stream) {
  nf_tensor results[2];
  int64_t flops[2];
  // Where the plain loops would keep a GPU waiting for seconds, the CPU's fast op is the truth: smaller cases test it.
  const int64_t most_plain_flops = 2000000000;
  nf_context count = context_dry(&plain_ops);
  call(&count, args, x);
  bool large = gpu() && count.flops > most_plain_flops;
  for (int s = 0; s < 2; s++) {
    const nf_ops *ops = s || large ? &cpu_ops : &plain_ops;
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
    bool fp32 = getenv("NATIVEFOLD_CUDA_FP32") != NULL, narrow_x = false, any_narrow = false;
    for (int i = 0; i < n_drawn; i++) {
      any_narrow = any_narrow || drawn[i].narrow;
      if (drawn[i].host == x.data) narrow_x = drawn[i].narrow;
    }
    NF_ASSERT(any_narrow || !(modes & (TF32_NARROW | BF16_NARROW)));
    // A device that has none runs the same cases in float.
    if (!(gpu()->narrow && gpu()->narrow())) modes = (modes | modes >> 2) & (TF32 | BF16);
    float *changes[2];
    for (int s = 0; s < 2; s++) changes[s] = nf_arena_alloc(arena, (size_t)n * sizeof(float));
    for (int mode = 0; mode < N_MODES; mode++) {
      if (!(modes >> mode & 1)) continue;
      bool reduced = 1 << mode & (BF16 | BF16_NARROW), narrowed = 1 << mode & (TF32_NARROW | BF16_NARROW);
      nf_tensor result = copy(arena, x), from = x;
      from.narrow = narrowed && narrow_x;
      run_on_gpu(call, args, args_size, reduced, narrowed, narrowed || stream, from, result, &flops[1]);
      CHECK_INT(flops[0], flops[1]);
      // Of what the op adds, not of what it adds to.
      for (int64_t i = 0; i < n; i++) {
        changes[0][i] = results[0].data[i] - x.data[i];
        changes[1][i] = result.data[i] - x.data[i];
      }
      error = test_relative_l2(changes[1], changes[0], n);
      double most = exact ? 1e-5 : fp32 ? 2e-5 : reduced ? 1.5e-2 : 2e-3;
      // A narrow result is rounded, as the whole that it is: a value by up to 2^-8 of itself, many by 0.77 * 2^-9 in the mean.
      if (from.narrow) most += ldexp(1, n < 1000 ? -8 : -9) * norm_of(results[0].data, n) / norm_of(changes[0], n);
      char how[32];
      snprintf(how, sizeof how, "%s%s", fp32 ? "fp32" : reduced ? "bf16" : "tf32", narrowed ? ", narrow" : "");
      if (getenv("NATIVEFOLD_TEST_VERBOSE"))
        printf("  gpu %s %s %lld values: %.2e of %.2e\n", what, how, (long long)n, error, most);
      if (!(error < most))
        test_fail(__FILE__, __LINE__, "%s on the GPU in %s, %lld values: relative error %.3g, at most %.3g is right", what, how,
                  (long long)n, error, most);
    }
  }
  n_drawn = 0;
}
// Where a float tensor, and where a narrow one, is what the network has.
#define compare(what, arena, call, args, x) \
  compare_all(what, arena, call, args, sizeof *(args), x, TF32 | BF16, false, false)
#define compare_narrow(what, arena, call, args, x) \
  compare_all(what, arena, call, args, sizeof *(args), x, TF32 | BF16_NARROW, false, false)
#define compare_exact(what, arena, call, args, x, modes) \
  compare_all(what, arena, call, args, sizeof *(args), x, modes, true, false)

// What floats become in bf16, to the nearest and of two equally near to the even one; the same values come back.
TEST(narrow_copies) {
  static const struct {
    uint32_t value;
    uint16_t narrow;
  } cases[] = {
      {0x00000000, 0x0000}, {0x80000000, 0x8000},                        // zeros keep their sign
      {0x3f800000, 0x3f80}, {0xc0490fdb, 0xc049}, {0x42f6e979, 0x42f7},  // 1, -pi, 123.456
      {0x3f808000, 0x3f80}, {0x3f818000, 0x3f82}, {0xbf808000, 0xbf80}, {0xbf818000, 0xbf82},  // ties
      {0x3f807fff, 0x3f80}, {0x3f808001, 0x3f81}, {0xbf817fff, 0xbf81}, {0xbf808001, 0xbf81},  // beside them
      {0x3fffffff, 0x4000}, {0xbfff8000, 0xc000},                        // on to the next power of two
      {0x7f7f7fff, 0x7f7f}, {0x7f7f8000, 0x7f80}, {0x7f7fffff, 0x7f80}, {0xff7fffff, 0xff80},  // the largest, or too large
      {0x7f800000, 0x7f80}, {0xff800000, 0xff80},                        // infinities
      {0x7fc00000, 0x7fc0}, {0xffc00000, 0xffc0}, {0x7f800001, 0x7fc0}, {0xff800001, 0xffc0}, {0x7fffffff, 0x7fff},  // no numbers
      {0x00000001, 0x0000}, {0x00008000, 0x0000}, {0x00008001, 0x0001}, {0x80018000, 0x8002}, {0x00400000, 0x0040},  // subnormals
      {0x007fffff, 0x0080}, {0x807f7fff, 0x807f}, {0x00800000, 0x0080},  // and the least that is normal
  };
  enum { CASES = sizeof cases / sizeof *cases, N = 2 * (1 << 14) + 37, GUARD = 8 };  // uploads go in pieces
  static float values[N], back[N + GUARD];
  static uint16_t held[N + GUARD];
  for (int i = 0; i < N; i++) memcpy(&values[i], &cases[i % CASES].value, sizeof *values);
  const nf_ops *devices[] = {&cpu_ops, &plain_ops, gpu()};
  for (int d = 0; d < 3 && devices[d]; d++) {
    const nf_ops *ops = devices[d];
    nf_context context = context_dry(ops);
    nf_tensor t = tensor_2(ops->allocate(sizeof held), 1, N);
    t.narrow = true;
    CHECK_INT(tensor_bytes(t), 2 * N);
    memset(held, 0x5a, sizeof held);
    ops->upload(t.data, held, sizeof held);
    context_upload_to(&context, t, values);
    ops->download(held, t.data, sizeof held);
    memset(back, 0x5a, sizeof back);
    context_download(&context, back, t);
    int wrong = 0;
    for (int i = 0; i < N && wrong < 5; i++) {
      uint32_t bits;
      memcpy(&bits, &back[i], sizeof bits);
      uint16_t wanted = cases[i % CASES].narrow;
      if (held[i] == wanted && bits == (uint32_t)wanted << 16) continue;
      test_fail(__FILE__, __LINE__, "%s, value %d: %08x is held as %04x and comes back as %08x, not as %04x", ops->name, i,
                cases[i % CASES].value, held[i], bits, wanted);
      wrong++;
    }
    for (int i = N; i < N + GUARD; i++) {
      CHECK_INT(held[i], 0x5a5a);
      CHECK(memcmp(&back[i], (char[4]){0x5a, 0x5a, 0x5a, 0x5a}, 4) == 0);
    }
    // Rows, slices and other shapes of it are narrow too, and lie where they should.
    nf_tensor whole = tensor_as_3(t, 3, 5, 7), slice = tensor_slice(whole, 1), rows = tensor_some_rows(whole, 11, 2);
    CHECK(whole.narrow && slice.narrow && rows.narrow);
    CHECK_INT(tensor_count(slice), 35);
    CHECK_INT(tensor_count(rows), 14);
    float many[35], few[14];
    for (int i = 0; i < 35; i++) many[i] = (float)(100 + i);
    for (int i = 0; i < 14; i++) few[i] = (float)(-1 - i);
    context_upload_to(&context, slice, many);
    context_upload_to(&context, rows, few);
    context_download(&context, back, whole);
    for (int i = 0; i < 105; i++)
      if (i >= 35 && i < 70) CHECK_NEAR(back[i], 100 + i - 35, 0);
      else if (i >= 77 && i < 91) CHECK_NEAR(back[i], -1 - (i - 77), 0);
      else CHECK(memcmp((char *)&back[i] + 2, &cases[i % CASES].narrow, 2) == 0);
    // Floats pass as they are.
    nf_tensor floats = tensor_1(t.data, N / 2);
    context_upload_to(&context, floats, values);
    context_download(&context, back, floats);
    CHECK(memcmp(back, values, N / 2 * sizeof *values) == 0);
    ops->release(t.data);
    // What a context gives as narrow is so where the device has it.
    bool has = ops->narrow && ops->narrow();
    CHECK(has == CONTEXT_NARROW_3(&context, 3, 5, 7).narrow);
    CHECK_INT(context.used, has ? 256 : 448);
    if (ops->host_memory) CHECK(!has);
  }
}

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

static void call_linear_in_place(nf_context *context, void *args, nf_tensor y) {
  op_linear a = *(op_linear *)args;
  a.x = a.y = y;
  context->ops->linear(context, &a);
}
// As the network reads and writes pair representations: projections to another one or to floats, the recycled one in place,
// templates added, logits of bins (the distogram's in a context that is not reduced).
TEST(linear_of_narrow) {
  static const int sizes[][3] = {{1, 8, 4}, {31, 17, 33}, {113, 64, 64}, {257, 33, 64}, {129, 128, 64}, {1681, 64, 128},
                                 {1680, 128, 128}, {4489, 128, 128}, {300, 512, 512}};
  enum { TO_FLOAT, TO_NARROW, IN_PLACE, ADDED, AS_IT_IS, FORMS };
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (int form = 0; form < FORMS; form++) {
      int64_t m = sizes[s][0], n = sizes[s][1], k = sizes[s][2];
      if (form == IN_PLACE && n != k) continue;
      if (m > 2000 && !gpu()) continue;
      nf_arena *arena = nf_arena_create();
      op_linear a = {.w = draw_weight(arena, 2, k, 2, k, n, 1)};
      nf_tensor y = draw(arena, 6, 0, 1, 2, m, n, 1, 1);
      if (form != IN_PLACE) a.x = narrow(arena, draw(arena, 1, 0.1f, 1, 2, m, k, 1, 1));
      if (form == TO_NARROW || form == IN_PLACE || form == ADDED) y = narrow(arena, y);
      if (form == TO_FLOAT || form == TO_NARROW || form == IN_PLACE) a.normalise = true, a.norm = draw_norm(arena, 3, k);
      if (form == ADDED) a.relu_input = a.add = true;
      if (form == IN_PLACE) compare_narrow("linear in place", arena, call_linear_in_place, &a, y);
      else if (form != AS_IT_IS) compare_narrow("linear of narrow", arena, call_linear, &a, y);
      else compare_all("linear of narrow", arena, call_linear, &a, sizeof a, y, TF32 | TF32_NARROW | BF16_NARROW, false, false);
      nf_arena_free(arena);
    }
}

// Layers of one block or two; the arguments hold them, so that a GPU finds its copies of them.
typedef struct {
  nf_tensor x;
  int n_blocks, n;
  linear_layer layers[10];
} linears_arguments;
static void call_linears(nf_context *context, void *args, nf_tensor y) {
  const linears_arguments *a = args;
  OP(context, linears, .x = a->x, .n_blocks = a->n_blocks, .n = a->n, .layers = a->layers, .y = y);
}
TEST(linears) {
  static const int sizes[][3] = {{1, 1, 4}, {13, 31, 17}, {1, 128, 128}, {127, 128, 128}, {129, 256, 384}, {41, 768, 384}, {1500, 768, 128}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (int form = 0; form < 3; form++) {  // two blocks; one, all of whose layers read the norm; one, none of whose does
      int64_t m = sizes[s][0], n = sizes[s][1], k = sizes[s][2];
      if (m > 1000 && !gpu()) continue;
      nf_arena *arena = nf_arena_create();
      linears_arguments a = {.x = draw(arena, 1, 0.1f, 1, 2, m, k, 1, 1), .n_blocks = form == 0 ? 2 : 1, .n = form == 0 ? 5 : 2};
      int scaled = form == 0 ? 3 : form == 1 ? 2 : 0;
      for (int i = 0; i < a.n_blocks * a.n; i++) {
        linear_layer *l = &a.layers[i];
        uint32_t seed = (uint32_t)(2 + 3 * i);
        l->w = draw_weight(arena, seed, k, 2, k, n, 1);
        if (i % a.n < scaled) l->scale = draw(arena, seed + 1, 1, 0.2f, 1, k, 1, 1, 1);
        if (i % 3 == 0) l->bias = draw(arena, seed + 2, 0, 1, 1, n, 1, 1, 1);
        l->sigmoid_output = i % 4 >= 2;
      }
      compare("linears", arena, call_linears, &a, draw(arena, 99, 0, 1, 3, a.n_blocks * a.n, m, n, 1));
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
      nf_tensor x = draw(arena, 9, 0, 1, 2, m, c, 1, 1);
      // Tokens and atoms are float, as is the single representation; pairs and MSAs, of 64 and 128 channels as a rule, are not.
      if (conditional) compare("transition", arena, call_transition, &a, x);
      else
        compare_all("transition", arena, call_transition, &a, sizeof a, narrow(arena, x),
                    TF32 | BF16_NARROW | (c == 64 || c == 128 ? 0 : BF16), false, false);
      nf_arena_free(arena);
    }
}

static void call_triangle_multiply(nf_context *context, void *args, nf_tensor x) {
  op_triangle_multiply a = *(op_triangle_multiply *)args;
  a.x = x;
  context->ops->triangle_multiply(context, &a);
}
static op_triangle_multiply draw_triangle_multiply(nf_arena *arena, int64_t n, int64_t c, bool outgoing) {
  return (op_triangle_multiply){.mask = draw_mask(arena, 1, n), .norm = draw_norm(arena, 2, c),
                                .norm_center = draw_norm(arena, 4, c), .w_gate = draw_weight(arena, 6, c, 2, c, 2 * c, 1),
                                .w_projection = draw_weight(arena, 7, c, 2, c, 2 * c, 1),
                                .w_gating = draw_weight(arena, 8, c, 2, c, c, 1),
                                .w_out = draw_weight(arena, 9, c, 2, c, c, 1), .outgoing = outgoing};
}
TEST(triangle_multiply) {
  static const int sizes[][2] = {{1, 8}, {7, 5}, {15, 32}, {33, 16}, {41, 128}, {197, 8}, {1, 64}, {1, 128}, {7, 64}, {7, 128},
                                 {33, 64}, {33, 128}, {63, 64}, {63, 128}, {65, 64}, {65, 128}, {67, 64}, {67, 128}, {127, 64},
                                 {129, 64}, {129, 128}, {193, 128}, {200, 64}, {200, 128}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (int outgoing = 0; outgoing < 2; outgoing++) {
      int64_t n = sizes[s][0], c = sizes[s][1];
      if (n > 60 && n * c > 65 * 64 && !gpu()) continue;  // the plain loops would take long
      nf_arena *arena = nf_arena_create();
      op_triangle_multiply a = draw_triangle_multiply(arena, n, c, outgoing);
      compare_narrow("triangle_multiply", arena, call_triangle_multiply, &a, narrow(arena, draw(arena, 10, 0, 1, 3, n, n, c, 1)));
      nf_arena_free(arena);
    }
}

static void call_triangle_attention(nf_context *context, void *args, nf_tensor x) {
  op_triangle_attention a = *(op_triangle_attention *)args;
  a.x = x;
  context->ops->triangle_attention(context, &a);
}
static op_triangle_attention draw_triangle_attention(nf_arena *arena, int64_t n, int64_t c, int64_t h, int64_t d, bool ending) {
  return (op_triangle_attention){.mask = draw_mask(arena, 1, n), .norm = draw_norm(arena, 2, c),
                                 .w_bias = draw_weight(arena, 4, c, 2, c, h, 1), .wq = draw_weight(arena, 5, c, 3, h, d, c),
                                 .wk = draw_weight(arena, 6, c, 3, h, d, c), .wv = draw_weight(arena, 7, c, 3, c, h, d),
                                 .wg = draw_weight(arena, 8, c, 2, h * d, c, 1),
                                 .wo = draw_weight(arena, 9, c, 2, h * d, c, 1), .ending = ending};
}
TEST(triangle_attention) {
  static const int sizes[][4] = {{1, 8, 1, 8}, {7, 5, 2, 3}, {15, 32, 2, 16}, {33, 16, 4, 16}, {41, 128, 4, 32},
                                 {1, 64, 4, 16}, {1, 128, 4, 32}, {7, 64, 4, 16}, {7, 128, 4, 32}, {33, 64, 4, 16},
                                 {33, 128, 4, 32}, {63, 64, 4, 16}, {63, 128, 4, 32}, {65, 64, 4, 16}, {65, 128, 4, 32},
                                 {67, 64, 4, 16}, {67, 128, 4, 32}, {127, 128, 4, 32}, {129, 64, 4, 16}, {129, 128, 4, 32},
                                 {137, 128, 4, 32}, {200, 64, 4, 16}, {200, 128, 4, 32}, {259, 64, 4, 16}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (int ending = 0; ending < 2; ending++) {
      int64_t n = sizes[s][0], c = sizes[s][1], h = sizes[s][2], d = sizes[s][3];
      if (n > 60 && n * c > 65 * 64 && !gpu()) continue;
      nf_arena *arena = nf_arena_create();
      op_triangle_attention a = draw_triangle_attention(arena, n, c, h, d, ending);
      compare_narrow("triangle_attention", arena, call_triangle_attention, &a, narrow(arena, draw(arena, 10, 0, 1, 3, n, n, c, 1)));
      nf_arena_free(arena);
    }
}

// Larger than the other cases, for which a GPU's own library may multiply pieces otherwise than the whole; the same bits in pieces
// and streamed, no truth beside them.
TEST(streamed_triangles) {
  if (!gpu()) SKIP("no GPU");
  if (!gpu()->narrow()) SKIP("representations are in fp32");
  static const int sizes[][2] = {{521, 128}, {391, 64}};
  enum { HEADS = 4 };
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (int form = 0; form < 5; form++) {
      nf_arena *arena = nf_arena_create();
      int64_t n = sizes[s][0], c = sizes[s][1], flops = 0;
      nf_tensor x = tensor_3(nf_arena_alloc(arena, (size_t)(n * n * c) * sizeof(float)), n, n, c), result = x;
      uint32_t state = 1;
      for (int64_t i = 0; i < n * n * c; i++) {
        state = state * 1664525u + 1013904223u;
        x.data[i] = (float)(state >> 24) / 64 - 2;
      }
      result.data = nf_arena_alloc(arena, (size_t)(n * n * c) * sizeof(float));
      x.narrow = true;
      if (form < 2) {
        op_triangle_multiply a = draw_triangle_multiply(arena, n, c, form == 0);
        run_on_gpu(call_triangle_multiply, &a, sizeof a, true, true, true, x, result, &flops);
      } else if (form < 4) {
        op_triangle_attention a = draw_triangle_attention(arena, n, c, HEADS, c / HEADS, form == 3);
        run_on_gpu(call_triangle_attention, &a, sizeof a, true, true, true, x, result, &flops);
      } else {
        op_transition a = {.norm = draw_norm(arena, 3, c), .w1 = draw_weight(arena, 1, c, 2, c, 8 * c, 1), .w2 = draw_weight(arena, 2, 4 * c, 2, 4 * c, c, 1)};
        run_on_gpu(call_transition, &a, sizeof a, true, true, true, x, result, &flops);
      }
      CHECK(test_relative_l2(result.data, x.data, n * n * c) > 0.01);
      n_drawn = 0;
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
                                 {1, 197, 3, 8, 4}, {1, 1, 1, 128, 16}, {1, 67, 67, 128, 16}, {1, 33, 33, 64, 6}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    nf_arena *arena = nf_arena_create();
    int64_t b = sizes[s][0], q = sizes[s][1], k = sizes[s][2], c = sizes[s][3], h = sizes[s][4];
    op_pair_logits a = {.x = narrow(arena, draw(arena, 1, 0, 1, 4, b, q, k, c)), .w = draw_weight(arena, 2, c, 2, c, h, 1),
                        .norm.scale = draw(arena, 3, 1, 0.3f, 1, c, 1, 1, 1)};
    compare_narrow("pair_logits", arena, call_pair_logits, &a, draw(arena, 4, 9, 1, 4, b, h, k, q));
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

// Logits of rows that are kept for them, where the device has such a form.
static nf_tensor kept_rows_logits(nf_context *context, const op_pair_logits *logits, nf_tensor out) {
  op_pair_logits a = *logits;
  int64_t c = a.x.shape[3], m = tensor_rows(a.x), own = context->ops->kept_rows(c);
  if (own > 0) {
    nf_tensor rows = streamed ? context_away(context, false, 2, m, own, 1, 1) : CONTEXT_2(context, m, own);
    OP(context, keep_rows, .x = tensor_2(a.x.data, m, c), .out = rows);
    a.kept_rows = true;
    a.x = tensor_shaped(rows, 4, 1, a.x.shape[1], a.x.shape[2], own);
  }
  a.out = out;
  context->ops->pair_logits(context, &a);
  return out;
}
static void call_kept_rows(nf_context *context, void *args, nf_tensor out) {
  size_t mark = context_here(context), away = context_away_here(context);
  kept_rows_logits(context, args, out);
  context_reset(context, mark);
  context_away_reset(context, away);
}
TEST(kept_rows) {
  // Queries, keys, channels, all heads, the first wanted, how many.
  static const int sizes[][6] = {{1, 1, 128, 4, 0, 0}, {41, 41, 128, 64, 0, 0}, {41, 41, 128, 64, 16, 16},
                                 {65, 64, 128, 20, 3, 9}, {32, 63, 128, 70, 1, 66}, {67, 130, 128, 16, 0, 0}, {33, 33, 64, 6, 2, 3}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    nf_arena *arena = nf_arena_create();
    int64_t q = sizes[s][0], k = sizes[s][1], c = sizes[s][2], all = sizes[s][3], h = sizes[s][5] ? sizes[s][5] : all;
    op_pair_logits a = {.x = draw(arena, 1, 0.5f, 3, 4, 1, q, k, c), .w = draw_weight(arena, 2, c, 2, c, all, 1),
                        .norm.scale = draw(arena, 3, 1, 0.3f, 1, c, 1, 1, 1), .first_head = sizes[s][4],
                        .n_head = sizes[s][5]};
    compare_all("pair_logits of kept rows", arena, call_kept_rows, &a, sizeof a, draw(arena, 4, 9, 1, 4, 1, h, k, q), TF32 | BF16, false,
                true);
    nf_arena_free(arena);
  }
}

// Attention whose logits are made of such rows, in its own form at once.
typedef struct {
  op_pair_logits logits;
  op_attention attention;
} remade_attention;
static void call_remade_attention(nf_context *context, void *args, nf_tensor x) {
  remade_attention a = *(remade_attention *)args;
  size_t mark = context_here(context);
  int64_t heads = pair_logits_heads(&a.logits), n = a.attention.mask.shape[0],
          own = context->ops->kept_logits(n, tensor_last(x), a.attention.wq.shape[2]);
  nf_tensor logits = CONTEXT_2(context, heads, own > 0 ? own : n * n);
  if (own > 0) a.logits.mask = a.attention.mask;
  kept_rows_logits(context, &a.logits, own > 0 ? logits : tensor_4(logits.data, 1, heads, n, n));
  a.attention.x = x;
  a.attention.logits = own > 0 ? logits : tensor_3(logits.data, heads, n, n);
  context->ops->attention(context, &a.attention);
  context_reset(context, mark);
}
TEST(remade_attention) {
  // Samples, tokens, channels, heads, channels of a head, channels of the pair, all heads, the first of these.
  static const int sizes[][8] = {{2, 1, 128, 2, 48, 128, 2, 0}, {2, 63, 384, 3, 24, 128, 9, 6}, {1, 64, 768, 16, 48, 128, 64, 32},
                                 {2, 65, 256, 2, 48, 64, 4, 2}, {1, 130, 768, 16, 48, 128, 16, 0}, {1, 33, 48, 3, 16, 128, 6, 1}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    nf_arena *arena = nf_arena_create();
    int64_t b = sizes[s][0], n = sizes[s][1], c = sizes[s][2], h = sizes[s][3], d = sizes[s][4], c_z = sizes[s][5],
            all = sizes[s][6];
    remade_attention a = {.logits = {.x = draw(arena, 20, 0.5f, 3, 4, 1, n, n, c_z),
                                     .w = draw_weight(arena, 21, c_z, 2, c_z, all, 1),
                                     .norm.scale = draw(arena, 22, 1, 0.3f, 1, c_z, 1, 1, 1), .first_head = sizes[s][7],
                                     .n_head = (int)h},
                          .attention = {.wq = draw_weight(arena, 1, c, 3, c, h, d), .bq = draw(arena, 2, 0, 0.3f, 2, h, d, 1, 1),
                                        .wk = draw_weight(arena, 3, c, 3, c, h, d), .wv = draw_weight(arena, 4, c, 3, c, h, d),
                                        .wg = draw_weight(arena, 5, c, 2, c, h * d, 1),
                                        .wo = draw_weight(arena, 6, c, 2, h * d, c, 1),
                                        .condition = draw_condition(arena, 9, n, c), .mask = draw_mask(arena, 8, n)}};
    compare("attention, remade logits", arena, call_remade_attention, &a, draw(arena, 12, 0, 1, 3, b, n, c, 1));
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

// The pair representation comes in pieces of a few tokens.
static void call_atom_pair(nf_context *context, void *args, nf_tensor y) {
  op_atom_pair a = *(op_atom_pair *)args;
  nf_tensor all = a.token_pair;
  int64_t n = all.shape[0], c = all.shape[2];
  a.y = y;
  for (int64_t first = 0; first < n; first += 3) {
    int64_t count = n - first < 3 ? n - first : 3;
    a.token_pair = tensor_as_3(tensor_some_rows(all, first * n, count * n), count, n, c);
    a.first_token = first;
    context->ops->atom_pair(context, &a);
  }
}
TEST(atom_pair) {
  static const int sizes[][5] = {{1, 1, 1, 1, 4}, {2, 8, 24, 7, 16}, {3, 32, 128, 41, 16}, {2, 5, 7, 6, 33}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    nf_arena *arena = nf_arena_create();
    int64_t n_s = sizes[s][0], n_q = sizes[s][1], n_k = sizes[s][2], n = sizes[s][3], c = sizes[s][4], m = n_s * n_q;
    op_atom_pair a = {.row = draw(arena, 1, 0, 1, 2, m, c, 1, 1), .col = draw(arena, 2, 0, 1, 2, m, c, 1, 1),
                      .col_none = draw(arena, 3, 0, 1, 1, c, 1, 1, 1), .token_pair = draw(arena, 4, 0, 1, 3, n, n, c, 1),
                      .query_token = draw_integers(arena, 5, m, -1, (int)n - 1),
                      .key_token = draw_integers(arena, 6, n_s * n_k, -1, (int)n - 1),
                      .key_index = draw_integers(arena, 7, n_s * n_k, -1, (int)m - 1),
                      .positions = draw(arena, 8, 0, 3, 2, m, 3, 1, 1),
                      .query_space = draw_integers(arena, 9, m, 0, 2), .key_space = draw_integers(arena, 10, n_s * n_k, 0, 2),
                      .w_offsets = draw_weight(arena, 11, 3, 2, 3, c, 1), .w_distances = draw_weight(arena, 12, 1, 2, 1, c, 1),
                      .w_valid = draw_weight(arena, 13, 1, 2, 1, c, 1),
                      .w_mlp = {draw_weight(arena, 14, c, 2, c, c, 1), draw_weight(arena, 15, c, 2, c, c, 1),
                                draw_weight(arena, 16, c, 2, c, c, 1)}};
    compare("atom_pair", arena, call_atom_pair, &a, draw(arena, 17, 0, 1, 4, n_s, n_q, n_k, c));
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
    op_outer_product_mean a = {.msa = narrow(arena, draw(arena, 1, 0, 1, 3, r, n, c_m, 1)), .norm = draw_norm(arena, 2, c_m),
                               .mask = draw_mask(arena, 4, r * n), .w_left = draw_weight(arena, 5, c_m, 2, c_m, e, 1),
                               .w_right = draw_weight(arena, 6, c_m, 2, c_m, e, 1),
                               .w = draw_weight(arena, 7, e * e, 3, e, e, c), .b = draw(arena, 8, 0, 1, 1, c, 1, 1, 1)};
    compare_narrow("outer_product_mean", arena, call_outer_product_mean, &a, narrow(arena, draw(arena, 9, 0, 1, 3, n, n, c, 1)));
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
    op_pair_average a = {.pair = narrow(arena, draw(arena, 1, 0, 1, 3, n, n, c, 1)), .norm = draw_norm(arena, 2, c_m),
                         .norm_pair = draw_norm(arena, 4, c), .column_mask = draw_mask(arena, 6, n),
                         .w_logits = draw_weight(arena, 7, c, 2, c, h, 1), .wv = draw_weight(arena, 8, c_m, 3, c_m, h, d),
                         .wg = draw_weight(arena, 9, c_m, 2, c_m, h * d, 1),
                         .wo = draw_weight(arena, 10, h * d, 2, h * d, c_m, 1)};
    compare_narrow("pair_average", arena, call_pair_average, &a, narrow(arena, draw(arena, 11, 0, 1, 3, r, n, c_m, 1)));
    nf_arena_free(arena);
  }
}

static void call_layer_norm(nf_context *context, void *args, nf_tensor y) {
  op_layer_norm a = *(op_layer_norm *)args;
  if (!tensor_given(a.x)) a.x = y;
  a.y = y;
  context->ops->layer_norm(context, &a);
}
TEST(layer_norm) {
  static const int sizes[][2] = {{1, 4}, {31, 17}, {113, 64}, {257, 128}, {1681, 64}, {65, 384}, {30, 768}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (int in_place = 0; in_place < 2; in_place++) {
      nf_arena *arena = nf_arena_create();
      int64_t m = sizes[s][0], c = sizes[s][1];
      op_layer_norm a = {.norm = draw_norm(arena, 1, c)};
      if (!in_place) a.x = narrow(arena, draw(arena, 3, 0.3f, 2, 2, m, c, 1, 1));
      compare_exact("layer_norm", arena, call_layer_norm, &a, narrow(arena, draw(arena, 4, 0.1f, 1, 2, m, c, 1, 1)),
                    TF32 | BF16 | BF16_NARROW);
      nf_arena_free(arena);
    }
}

static void call_scale(nf_context *context, void *args, nf_tensor y) {
  op_scale a = *(op_scale *)args;
  if (!tensor_given(a.x)) a.x = y;
  a.y = y;
  context->ops->scale(context, &a);
}
TEST(scale) {
  static const int sizes[][2] = {{1, 1}, {7, 5}, {113, 64}, {1681, 128}, {4489, 64}};
  enum { COPIED, MULTIPLIED, ADDED, IN_PLACE, ZEROED, FORMS };
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (int form = 0; form < FORMS; form++) {
      nf_arena *arena = nf_arena_create();
      int64_t m = sizes[s][0], c = sizes[s][1];
      op_scale a = {.factor = form == COPIED ? 1 : form == ZEROED ? 0 : 0.37f, .add = form == ADDED};
      if (form != IN_PLACE) a.x = narrow(arena, draw(arena, 1, 0, 1, 2, m, c, 1, 1));
      if (form == ZEROED) a.x.data[0] = INFINITY;  // zeros whatever it holds
      compare_exact("scale", arena, call_scale, &a, narrow(arena, draw(arena, 2, 0.1f, 1, 2, m, c, 1, 1)),
                    TF32 | BF16 | TF32_NARROW | BF16_NARROW);
      nf_arena_free(arena);
    }
}

// What fills pair, template and MSA representations, and reads the pair's.
static void call_outer_sum(nf_context *context, void *args, nf_tensor pair) {
  op_outer_sum a = *(op_outer_sum *)args;
  a.pair = pair;
  context->ops->outer_sum(context, &a);
}
static void call_relative_embed(nf_context *context, void *args, nf_tensor pair) {
  op_relative_embed a = *(op_relative_embed *)args;
  a.pair = pair;
  context->ops->relative_embed(context, &a);
}
static void call_relative_concat(nf_context *context, void *args, nf_tensor out) {
  op_relative_concat a = *(op_relative_concat *)args;
  a.out = out;
  context->ops->relative_concat(context, &a);
}
static void call_add_rows(nf_context *context, void *args, nf_tensor x) {
  op_add_rows a = *(op_add_rows *)args;
  a.x = x;
  context->ops->add_rows(context, &a);
}
static void call_msa_embed(nf_context *context, void *args, nf_tensor msa) {
  op_msa_embed a = *(op_msa_embed *)args;
  a.msa = msa;
  context->ops->msa_embed(context, &a);
}
static void call_distance_embed(nf_context *context, void *args, nf_tensor y) {
  op_distance_embed a = *(op_distance_embed *)args;
  a.y = y;
  context->ops->distance_embed(context, &a);
}
static void call_template_embed(nf_context *context, void *args, nf_tensor y) {
  op_template_embed a = *(op_template_embed *)args;
  a.y = y;
  context->ops->template_embed(context, &a);
}
static op_relative draw_relative(nf_arena *arena, uint32_t seed, int64_t n) {
  return (op_relative){.residue_index = draw_integers(arena, seed, n, -45, 45),
                       .token_index = draw_integers(arena, seed + 1, n, 0, 90),
                       .asym_id = draw_integers(arena, seed + 2, n, 1, 3),
                       .entity_id = draw_integers(arena, seed + 3, n, 1, 2),
                       .sym_id = draw_integers(arena, seed + 4, n, 1, 6)};
}
static const int embedded[][2] = {{1, 4}, {7, 5}, {33, 64}, {41, 128}, {67, 128}, {65, 64}, {13, 512}};  // N, C
enum { N_EMBEDDED = sizeof embedded / sizeof *embedded };

TEST(outer_sum) {
  for (int s = 0; s < N_EMBEDDED; s++)
    for (int add = 0; add < 2; add++) {
      nf_arena *arena = nf_arena_create();
      int64_t n = embedded[s][0], c = embedded[s][1];
      op_outer_sum a = {.left = draw(arena, 1, 0, 1, 2, n, c, 1, 1), .right = draw(arena, 2, 0, 1, 2, n, c, 1, 1), .add = add};
      compare_exact("outer_sum", arena, call_outer_sum, &a, narrow(arena, draw(arena, 3, 0, 1, 3, n, n, c, 1)),
                    TF32 | BF16_NARROW);
      nf_arena_free(arena);
    }
}
TEST(relative) {
  for (int s = 0; s < N_EMBEDDED; s++) {
    nf_arena *arena = nf_arena_create();
    int64_t n = embedded[s][0], c = embedded[s][1];
    op_relative_embed embed = {.relative = draw_relative(arena, 1, n), .w = draw(arena, 6, 0, 1, 2, RELATIVE_CLASSES, c, 1, 1)};
    compare_exact("relative_embed", arena, call_relative_embed, &embed, narrow(arena, draw(arena, 7, 0, 1, 3, n, n, c, 1)),
                  TF32 | BF16_NARROW);
    // The diffusion reads the pair in a context that is not reduced, and some rows at once.
    op_relative_concat concat = {.relative = draw_relative(arena, 1, n), .first = n / 3, .n = n - n / 3 - n / 5,
                                 .pair = narrow(arena, draw(arena, 8, 0, 1, 3, n, n, c, 1))};
    compare_exact("relative_concat", arena, call_relative_concat, &concat,
                  draw(arena, 9, 0, 1, 3, concat.n, n, c + RELATIVE_CLASSES, 1), TF32 | TF32_NARROW | BF16_NARROW);
    nf_arena_free(arena);
  }
}
TEST(add_rows) {
  for (int s = 0; s < N_EMBEDDED; s++) {
    nf_arena *arena = nf_arena_create();
    int64_t m = embedded[s][0] * embedded[s][0], c = embedded[s][1], count = (m + 2) / 3;
    int64_t *index = remember(nf_arena_alloc(arena, (size_t)count * sizeof *index), (size_t)count * sizeof *index);
    for (int64_t i = 0; i < count; i++) index[i] = 3 * (count - 1 - i);
    op_add_rows a = {.index = index, .n = count, .w = draw(arena, 1, 0, 1, 1, c, 1, 1, 1)};
    compare_exact("add_rows", arena, call_add_rows, &a, narrow(arena, draw(arena, 2, 0, 1, 2, m, c, 1, 1)), TF32 | BF16_NARROW);
    nf_arena_free(arena);
  }
}
TEST(msa_embed) {
  static const int sizes[][3] = {{1, 1, 4}, {3, 7, 5}, {16, 41, 64}, {37, 67, 64}, {5, 33, 256}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    nf_arena *arena = nf_arena_create();
    int64_t r = sizes[s][0], n = sizes[s][1], c = sizes[s][2];
    int8_t *rows = remember(nf_arena_alloc(arena, (size_t)(r * n)), (size_t)(r * n)),
           *deletions = remember(nf_arena_alloc(arena, (size_t)(r * n)), (size_t)(r * n));
    for (int64_t i = 0; i < r * n; i++) {
      rows[i] = (int8_t)(nf_random_bits(nf_key_from_seed(1), (uint64_t)i) % 32);
      deletions[i] = (int8_t)(i % 3 ? 0 : nf_random_bits(nf_key_from_seed(2), (uint64_t)i) % 128);
    }
    op_msa_embed a = {.rows = rows, .deletions = deletions, .w = draw(arena, 3, 0, 1, 2, 34, c, 1, 1),
                      .target = draw(arena, 4, 0, 1, 2, n, c, 1, 1)};
    compare_exact("msa_embed", arena, call_msa_embed, &a, narrow(arena, draw(arena, 5, 0, 1, 3, r, n, c, 1)), TF32 | BF16_NARROW);
    nf_arena_free(arena);
  }
}
TEST(distance_embed) {
  for (int s = 1; s < N_EMBEDDED; s++)  // a position has no distance to itself
    for (int grouped = 0; grouped < 2; grouped++) {
      nf_arena *arena = nf_arena_create();
      int64_t n = embedded[s][0], c = embedded[s][1];
      op_distance_embed a = {.positions = draw(arena, 1, 0, 25, 2, n, 3, 1, 1), .mask = draw_mask(arena, 2, n),
                             .w = draw(arena, 3, 0, 1, 2, 39, c, 1, 1)};
      if (grouped) a.group = draw_integers(arena, 4, n, 1, 2);
      compare_exact("distance_embed", arena, call_distance_embed, &a, narrow(arena, draw(arena, 5, 0, 1, 3, n, n, c, 1)),
                    TF32 | BF16_NARROW);
      nf_arena_free(arena);
    }
}
TEST(template_embed) {
  for (int s = 0; s < N_EMBEDDED; s++) {
    nf_arena *arena = nf_arena_create();
    int64_t n = embedded[s][0], c = embedded[s][1];
    op_template_embed a = {.residue_class = draw_integers(arena, 1, n, 0, 31), .asym_id = draw_integers(arena, 2, n, 1, 2),
                           .beta_mask = draw_mask(arena, 3, n), .frame_mask = draw_mask(arena, 4, n),
                           .frame = draw(arena, 5, 0, 1, 2, n, 12, 1, 1), .w_beta_mask = draw(arena, 6, 0, 1, 1, c, 1, 1, 1),
                           .w_class_j = draw(arena, 7, 0, 1, 2, 31, c, 1, 1), .w_class_i = draw(arena, 8, 0, 1, 2, 31, c, 1, 1),
                           .w_frame_mask = draw(arena, 9, 0, 1, 1, c, 1, 1, 1)};
    for (int k = 0; k < 3; k++) a.w_direction[k] = draw(arena, (uint32_t)(10 + k), 0, 1, 1, c, 1, 1, 1);
    for (int64_t i = 0; i < n; i++)
      for (int k = 9; k < 12; k++) a.frame.data[i * 12 + k] *= 20;  // origins, in angstrom
    compare_exact("template_embed", arena, call_template_embed, &a, narrow(arena, draw(arena, 13, 0, 1, 3, n, n, c, 1)),
                  TF32 | BF16_NARROW);
    nf_arena_free(arena);
  }
}

// The expectation of a head's logits: those become symmetric, here what is compared, and the last bin's logits the expectations.
static void call_expectation(nf_context *context, void *args, nf_tensor logits) {
  op_expectation a = *(op_expectation *)args;
  size_t mark = context_here(context);
  int64_t m = tensor_rows(logits);
  a.logits = logits;
  a.out[0] = CONTEXT_1(context, m);
  context->ops->expectation(context, &a);
  OP(context, copy_columns, .x = tensor_as_2(a.out[0], m, 1), .column = tensor_last(logits) - 1, .y = tensor_as_2(logits, m, tensor_last(logits)));
  context_reset(context, mark);
}
TEST(expectation) {
  static const int sizes[][2] = {{1, 2}, {7, 5}, {33, 64}, {41, 64}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (int symmetric = 0; symmetric < 2; symmetric++) {
      nf_arena *arena = nf_arena_create();
      int64_t n = sizes[s][0], bins = sizes[s][1];
      op_expectation a = {.symmetric = symmetric, .n_outputs = 1, .values = {draw(arena, 1, 3, 2, 1, bins, 1, 1, 1).data}};
      compare_all("expectation", arena, call_expectation, &a, sizeof a, draw(arena, 2, 0, 4, 3, n, n, bins, 1), TF32 | BF16, true, true);
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

// Layers that are made in fp32 everywhere: of few rows, and of few tiles.
TEST(exact_linear) {
  static const int sizes[][3] = {{1, 384, 256}, {4, 64, 68}, {5, 68, 64}, {200, 768, 384}};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
    for (int form = 0; form < 3; form++) {
      nf_arena *arena = nf_arena_create();
      int64_t m = sizes[s][0], n = sizes[s][1], k = sizes[s][2];
      op_linear a = {.x = draw(arena, 1, 0.1f, 1, 2, m, k, 1, 1), .w = draw_weight(arena, 2, k, 2, k, n, 1), .exact = true};
      if (form != 1) a.normalise = true, a.norm = draw_norm(arena, 3, k);
      if (form == 2) a.add = true, a.bias = draw(arena, 5, 0, 1, 1, n, 1, 1, 1);
      compare_exact("exact linear", arena, call_linear, &a, draw(arena, 6, 0, 1, 2, m, n, 1, 1), TF32);
      nf_arena_free(arena);
    }
}

// What moves rows of several samples about, four channels at a time or one.
static void call_gather(nf_context *context, void *args, nf_tensor y) {
  op_gather a = *(op_gather *)args;
  a.y = y;
  context->ops->gather(context, &a);
}
static void call_atoms_to_tokens(nf_context *context, void *args, nf_tensor y) {
  op_atoms_to_tokens a = *(op_atoms_to_tokens *)args;
  a.y = y;
  context->ops->atoms_to_tokens(context, &a);
}
TEST(rows_of_samples) {
  static const int channels[] = {1, 3, 4, 68, 128};
  enum { SAMPLES = 3, TOKENS = 7, SLOTS = 11, ATOMS = 40 };
  for (size_t s = 0; s < sizeof channels / sizeof *channels; s++)
    for (int add = 0; add < 2; add++) {
      nf_arena *arena = nf_arena_create();
      int64_t c = channels[s];
      op_gather gather = {.x = draw(arena, 1, 0, 1, 3, SAMPLES, ATOMS, c, 1), .index = draw_integers(arena, 2, 2 * ATOMS, -5, ATOMS - 1), .add = add};
      compare_exact("gather", arena, call_gather, &gather, draw(arena, 3, 0, 1, 3, SAMPLES, 2 * ATOMS, c, 1), TF32);
      // Rows of x and factors that serve all samples.
      op_scale scale = {.x = draw(arena, 1, 0, 1, 2, ATOMS, c, 1, 1), .factor = 0.7f, .row_factor = draw(arena, 2, 0, 1, 1, ATOMS, 1, 1, 1), .add = add};
      compare_exact("scale of samples", arena, call_scale, &scale, draw(arena, 3, 0, 1, 2, SAMPLES * ATOMS, c, 1, 1), TF32);
      op_atoms_to_tokens tokens = {.x = draw(arena, 1, 0, 1, 3, SAMPLES, ATOMS, c, 1), .index = draw_integers(arena, 2, TOKENS * SLOTS, -5, ATOMS - 1),
                                   .n_slot = SLOTS};
      uint8_t *mask = remember(nf_arena_alloc(arena, TOKENS * SLOTS), TOKENS * SLOTS);
      for (int i = 0; i < TOKENS * SLOTS; i++) mask[i] = i / SLOTS != 2 && i % 3 != 0;  // one token has none
      tokens.mask = mask;
      compare_exact("atoms to tokens", arena, call_atoms_to_tokens, &tokens, draw(arena, 3, 0, 1, 3, SAMPLES, TOKENS, c, 1), TF32);
      nf_arena_free(arena);
    }
}
