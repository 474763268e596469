// The same result resident, in pieces and with parts on the host, bit for bit; stages left and taken up again; plans.
#include "base/memory.h"
#include "model/network.h"
#include "model/plan.h"
#include "tests/model/apart.h"

static nf_weights *weights;
static nf_model *model;

static bool ready(void) {
  if (model) return true;
  char path[512];
  snprintf(path, sizeof path, "%s/tiny.nfw", test_dir());
  if (weights_write_random(test_source("data/manifest_tiny.tsv"), path) != NF_OK || weights_open(path, &weights) != NF_OK ||
      model_create(weights, "cpu", &model) != NF_OK) {
    test_fail(__FILE__, __LINE__, "%s", nf_message());
    return false;
  }
  return true;
}

typedef struct {
  nf_arena *arena;
  nf_batch batch;
  trunk_output trunk;
  trunk_arrays arrays;
  distogram_output distogram;
  float *positions;
  confidence_output confidence;
} outcome;

enum { SAMPLES = 3, STEPS = 3 };

// Two templates: helices of different widths.
static void make_templates(nf_batch *b) {
  enum { ATOMS = 5 };
  for (int k = 0; k < 2; k++)
    for (int i = 0; i < b->n_token; i++) {
      size_t row = (size_t)k * (size_t)b->n_token + (size_t)i;
      b->template_aatype[row] = b->aatype[i];
      for (size_t a = 0; a < ATOMS; a++) {
        double angle = 1.745 * i + 0.6 * (double)a, radius = 2.3 + 0.5 * k + 0.3 * (double)a;
        float *at = b->template_atom_positions + (row * (size_t)b->n_slot + a) * 3;
        at[0] = (float)(radius * cos(angle)), at[1] = (float)(radius * sin(angle)), at[2] = 1.5f * (float)i + 0.4f * (float)a;
        b->template_atom_mask[row * (size_t)b->n_slot + a] = 1;
      }
    }
}

static void free_outcome(outcome *o) {
  trunk_free(&o->trunk);
  nf_arena_free(o->arena);
}

// A whole run on made-up tokens, under a plan and with a keeper, if given.
static nf_status run_with(int n_token, bool templates, const memory_plan *plan, const nf_keeper *keeper, outcome *o) {
  *o = (outcome){0};
  o->arena = nf_arena_create();
  model_made_up_batch(n_token, 5, o->arena, &o->batch);
  // Some tokens are padding, and chains differ.
  for (int i = 0; i < n_token; i++) {
    o->batch.asym_id[i] = 1 + (i > n_token / 2);
    o->batch.seq_mask[i] = i < n_token - 2;
  }
  if (templates) make_templates(&o->batch);
  trunk_options options = {.num_recycles = 1, .num_msa = 4, .key = {{0, 1}}, .keeper = keeper, .plan = plan};
  NF_TRY(trunk_run(model, &o->batch, &options, o->arena, &o->trunk));
  NF_TRY(distogram_run(model, &o->batch, &o->trunk, true, o->arena, &o->distogram));
  diffusion_options sampling = {.steps = STEPS, .n_samples = SAMPLES, .key = {{0, 2}}, .keeper = keeper};
  NF_TRY(diffusion_run(model, &o->batch, &o->trunk, &sampling, o->arena, &o->positions));
  NF_TRY(confidence_run(model, &o->batch, &o->trunk, o->positions, NULL, o->arena, &o->confidence));
  o->arrays = trunk_on_host(&o->trunk, o->arena);
  return NF_OK;
}
static nf_status run(int n_token, const memory_plan *plan, const nf_keeper *keeper, outcome *o) {
  return run_with(n_token, false, plan, keeper, o);
}

static void check_same(const outcome *a, const outcome *b, const char *what) {
  size_t n = (size_t)a->batch.n_token, f = sizeof(float), slots = (size_t)a->batch.n_slot;
  const struct {
    const char *name;
    const float *a, *b;
    size_t bytes;
  } seams[] = {
      {"single", a->arrays.single, b->arrays.single, n * (size_t)model_dimensions(model)->c_s * f},
      {"pair", a->arrays.pair, b->arrays.pair, n * n * (size_t)model_dimensions(model)->c_z * f},
      {"contacts", a->distogram.contact_probs, b->distogram.contact_probs, n * n * f},
      {"positions", a->positions, b->positions, SAMPLES * n * slots * 3 * f},
      {"pLDDT", a->confidence.predicted_lddt, b->confidence.predicted_lddt, n * slots * f},
      {"PAE", a->confidence.full_pae, b->confidence.full_pae, n * n * f},
      {"PDE", a->confidence.full_pde, b->confidence.full_pde, n * n * f},
  };
  for (size_t i = 0; i < sizeof seams / sizeof *seams; i++)
    if (memcmp(seams[i].a, seams[i].b, seams[i].bytes) != 0) test_fail(__FILE__, __LINE__, "%s: %s differs", what, seams[i].name);
}

TEST(pieces_give_the_same_bits) {
  if (!ready()) return;
  // Around the edges of a piece of 64 and of 128 rows; parts of 192 columns.
  static const int sizes[] = {65, 130, 201};
  for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
    outcome resident, pieces;
    REQUIRE_OK(run(sizes[s], NULL, NULL, &resident));
    for (int i = 0; i < SAMPLES * sizes[s] * resident.batch.n_slot * 3; i++)
      if (!isfinite(resident.positions[i])) test_fail(__FILE__, __LINE__, "position %d is not finite", i);
    static const memory_plan plans[] = {{.chunk_rows = 64},
                                        {.chunk_rows = 128, .logits_remade = true, .samples_at_once = 2},
                                        {.chunk_rows = 64, .logits_remade = true, .samples_at_once = 1, .logits_by_block = true}};
    for (size_t p = 0; p < sizeof plans / sizeof *plans; p++) {
      char what[64];
      snprintf(what, sizeof what, "%d tokens, plan %d", sizes[s], (int)p);
      REQUIRE_OK(run(sizes[s], &plans[p], NULL, &pieces));
      check_same(&resident, &pieces, what);
      free_outcome(&pieces);
    }
    free_outcome(&resident);
  }
}

// Where host and device memory are two, more than pieces differs from plan to plan.
static const memory_plan plans_apart[] = {
    {0},
    {.chunk_rows = 64},
    {.chunk_rows = 192, .sum_away = true, .logits_remade = true},
    {.chunk_rows = 320, .sum_away = true, .logits_remade = true, .pair_lent = true},
    {.chunk_rows = 64, .sum_away = true, .logits_remade = true, .pair_lent = true, .logits_by_block = true},
    {.streamed = true, .chunk_rows = 192},
    {.streamed = true, .chunk_rows = 64, .plane_channels = 64, .rows_away = true},
    {.streamed = true, .chunk_rows = 128, .plane_channels = 64, .logits_remade = true},
    {.streamed = true, .chunk_rows = 64, .logits_remade = true, .rows_away = true, .samples_at_once = 1},
    {.streamed = true, .chunk_rows = 64, .plane_channels = 64, .logits_remade = true, .rows_away = true, .logits_by_block = true}};

static void check_plans_apart(nf_model *on, const int *sizes, int n_sizes) {
  nf_model *before = model;
  model = on;
  for (int s = 0; s < n_sizes; s++) {
    outcome resident, other;
    REQUIRE_OK(run_with(sizes[s], true, NULL, NULL, &resident));
    for (size_t p = 0; p < sizeof plans_apart / sizeof *plans_apart; p++) {
      char what[64];
      snprintf(what, sizeof what, "%d tokens, plan %d", sizes[s], (int)p);
      REQUIRE_OK(run_with(sizes[s], true, &plans_apart[p], NULL, &other));
      check_same(&resident, &other, what);
      free_outcome(&other);
    }
    free_outcome(&resident);
  }
  model = before;
}

TEST(plans_give_the_same_bits_on_a_device_with_its_own_memory) {
  if (!ready()) return;
  nf_model *apart;
  REQUIRE_OK(model_create_on(weights, apart_ops(), &apart));
  CHECK(diffusion_borrows(apart, &plans_apart[3]));
  CHECK(!diffusion_borrows(apart, &plans_apart[2]));
  CHECK(!diffusion_borrows(model, &plans_apart[3]));
  CHECK(trunk_streams(apart, &plans_apart[5]) && !trunk_streams(model, &plans_apart[5]) && !trunk_streams(apart, &plans_apart[4]));
  static const int sizes[] = {33, 130};
  apart_lent = 0;
  check_plans_apart(apart, sizes, 2);
  // A size: under three plans the sum over two templates and an absent one comes back twice within a pass and once at its
  // end, in two passes; under two the pair does, for the confidence and the arrays.
  CHECK_INT(apart_lent, 2 * (3 * 2 * 3 + 2 * 2));
  CHECK_INT(apart_host_bytes, 0);
  // Near the CPU's, which has no bf16.
  outcome floats, rounded;
  REQUIRE_OK(run_with(33, true, NULL, NULL, &floats));
  nf_model *before = model;
  model = apart;
  REQUIRE_OK(run_with(33, true, NULL, NULL, &rounded));
  model = before;
  int64_t n = 33 * 33 * model_dimensions(model)->c_z;
  double error = test_relative_l2(rounded.arrays.pair, floats.arrays.pair, n);
  if (!(error > 1e-4 && error < 5e-2)) test_fail(__FILE__, __LINE__, "the pair's error is %.2g", error);
  free_outcome(&floats);
  free_outcome(&rounded);
  model_free(apart);
}

// What a streamed run takes of the host's memory is what its dry runs count: the pair, and what the greatest stage works in.
TEST(memory_away_is_what_was_counted) {
  if (!ready()) return;
  nf_model *apart, *before = model;
  REQUIRE_OK(model_create_on(weights, apart_ops(), &apart));
  const int64_t n = 70, c_z = model_dimensions(model)->c_z, n_bins = tensor_last(model->distogram);
  model = apart;
  for (size_t p = 0; p < sizeof plans_apart / sizeof *plans_apart; p++) {
    const memory_plan *plan = &plans_apart[p];
    if (!plan->streamed) continue;
    outcome o;
    apart_host_peak = 0;
    REQUIRE_OK(run_with((int)n, true, plan, NULL, &o));
    const model_inputs inputs = inputs_dry(n, o.batch.n_slot, o.batch.n_subset, 32, 128, 4);
    const int64_t trunk = trunk_count(apart, plan, &inputs, 4).away_bytes, distogram = distogram_count(apart, plan, n).away_bytes,
                  diffusion = diffusion_count(apart, plan, &inputs, SAMPLES).away_bytes,
                  confidence = confidence_count(apart, plan, &inputs).away_bytes, stages[] = {trunk, distogram, diffusion, confidence};
    int64_t most = 0;
    for (int i = 0; i < 4; i++) most = stages[i] > most ? stages[i] : most;
    CHECK_INT(apart_host_peak, most + n * n * c_z * 2);
    // Two tensors of the template embedder; logits; rows of two bytes; the sample's pair and its PAE's or PDE's logits.
    CHECK(trunk >= 2 * n * n * apart->c_template * 2 && distogram >= n * n * n_bins * 4 && confidence >= n * n * (c_z * 2 + n_bins * 4));
    CHECK(plan->rows_away ? diffusion >= n * n * apart->c_cond_pair * 2 : diffusion == 0);
    free_outcome(&o);
    CHECK_INT(apart_host_bytes, 0);
  }
  model = before;
  model_free(apart);
}

TEST(memory_away_may_be_refused) {
  if (!ready()) return;
  nf_model *apart, *before = model;
  REQUIRE_OK(model_create_on(weights, apart_ops(), &apart));
  const memory_plan plan = {.streamed = true, .chunk_rows = 64, .logits_remade = true, .rows_away = true};
  const int64_t pair = trunk_pair_bytes(apart, 33);
  model = apart;
  outcome o;
  for (int i = 0; i < 2; i++) {
    apart_host_most = i == 0 ? pair - 1 : pair + 4096;
    CHECK_INT(run_with(33, true, &plan, NULL, &o), NF_MEMORY);
    CHECK(strstr(nf_message(), i == 0 ? "page-locked memory for the representation of 33 tokens" : "page-locked memory for pair tensors") != NULL);
    free_outcome(&o);
    CHECK_INT(apart_host_bytes, 0);
  }
  apart_host_most = INT64_MAX;
  model = before;
  model_free(apart);
}

// Plans of that device, from much memory to little: each fits, takes less than the one before, and says how.
TEST(plans_of_a_device_with_its_own_memory) {
  if (!ready()) return;
  nf_model *apart;
  REQUIRE_OK(model_create_on(weights, apart_ops(), &apart));
  job_size size = {.n_token = 1000, .n_subset = 250, .n_row = 100, .n_samples = 5, .n_template = 4};
  job_plan plan, least;
  memory_ceiling ceiling = {.device = 1, .device_limit = "the GPU"};
  CHECK_INT(model_plan(apart, &size, &ceiling, "job", &least), NF_MEMORY);
  CHECK(strstr(nf_message(), "GPU memory") != NULL);
  ceiling.device = 0;
  REQUIRE_OK(model_plan(apart, &size, &ceiling, "job", &plan));
  CHECK(strcmp(plan.mode, "resident") == 0);
  CHECK(plan.peak.device > least.peak.device);
  int64_t resident = plan.peak.device, host = plan.peak.host, last = resident + 1;
  // Rank of the ways: resident, chunked, offloaded, streamed.
  int rank = 0;
  int64_t host_streamed = 0, rows = size.n_token;
  enum { STEPS_DOWN = 40 };
  for (int step = 0; step <= STEPS_DOWN; step++) {
    ceiling.device = resident - (resident - least.peak.device) * step / STEPS_DOWN;
    REQUIRE_OK(model_plan(apart, &size, &ceiling, "job", &plan));
    CHECK(plan.peak.device <= ceiling.device && plan.peak.device <= last);
    last = plan.peak.device;
    bool waits = plan.memory.pair_lent || plan.memory.sum_away;
    static const char *const modes[] = {"resident", "chunked", "offloaded", "streamed"};
    int now = plan.memory.streamed ? 3 : waits ? 2 : plan.memory.chunk_rows || plan.memory.samples_at_once ? 1 : 0;
    CHECK_STR(plan.mode, modes[now]);
    CHECK(now >= rank && !(waits && plan.memory.streamed));
    if (now == 2) {
      CHECK(plan.peak.host > host);
      // Where the host has not even that, it is asked for no more.
      job_plan refused;
      const memory_ceiling little = {.device = ceiling.device, .host = 1 << 20, .device_limit = "the GPU", .host_limit = "the machine"};
      CHECK_INT(model_plan(apart, &size, &little, "job", &refused), NF_MEMORY);
      CHECK(strstr(nf_message(), "host memory") && strstr(nf_message(), "the machine has"));
      CHECK_STR(refused.mode, "offloaded");
      CHECK_INT(refused.peak.host, plan.peak.host);
      CHECK_INT(refused.ceiling.host, little.host);
    }
    if (now == 3) {
      CHECK(plan.memory.chunk_rows >= 64 && plan.memory.chunk_rows <= rows && plan.trunk.host >= host + trunk_pair_bytes(apart, size.n_token));
      rows = plan.memory.chunk_rows;
      if (!host_streamed) host_streamed = plan.peak.host;
      CHECK(plan.peak.host >= host_streamed);
    }
    rank = now;
  }
  CHECK(rank == 3 && last == least.peak.device && rows == 64 && plan.memory.rows_away);
  // Nothing is streamed into memory that the host has not.
  ceiling.host = plan.peak.host;
  REQUIRE_OK(model_plan(apart, &size, &ceiling, "job", &plan));
  ceiling.host = plan.peak.host - 1, ceiling.host_limit = "the machine";
  CHECK_INT(model_plan(apart, &size, &ceiling, "job", &plan), NF_MEMORY);
  CHECK(strstr(nf_message(), "host memory") && strstr(nf_message(), "pieces of their pair tensors") && strstr(nf_message(), "the machine has"));
  ceiling.host_limit = "--host_memory_gib";
  CHECK_INT(model_plan(apart, &size, &ceiling, "job", &plan), NF_MEMORY);
  CHECK(strstr(nf_message(), "host memory") && strstr(nf_message(), "--host_memory_gib") && strstr(nf_message(), "raise it"));
  ceiling.host = 0;
  // Never, and always.
  ceiling.offload = OFFLOAD_OFF;
  CHECK_INT(model_plan(apart, &size, &ceiling, "job", &plan), NF_MEMORY);
  CHECK(!plan.memory.pair_lent && !plan.memory.sum_away && !plan.memory.streamed);
  CHECK(strstr(nf_message(), "GPU memory") && strstr(nf_message(), "leave --offload=auto"));
  ceiling.device = 1;
  CHECK_INT(model_plan(apart, &size, &ceiling, "job", &plan), NF_MEMORY);
  CHECK(strstr(nf_message(), "GPU memory") && !strstr(nf_message(), "--offload"));
  ceiling = (memory_ceiling){.offload = OFFLOAD_HOST};
  REQUIRE_OK(model_plan(apart, &size, &ceiling, "job", &plan));
  CHECK(plan.memory.streamed && plan.memory.logits_remade && plan.memory.rows_away && plan.memory.chunk_rows > 64);
  CHECK_STR(plan.mode, "streamed");
  // What is saved of the trunk passes through the host as floats.
  host = plan.trunk.host;
  size.saves_trunk = true;
  REQUIRE_OK(model_plan(apart, &size, &ceiling, "job", &plan));
  CHECK_INT(plan.trunk.host - host, (int64_t)size.n_token * size.n_token * model_dimensions(model)->c_z * 4);
  model_free(apart);
}

// The full-size network.
TEST(plans_give_the_same_bits_on_a_gpu) {
  if (!device_ops("cuda")) SKIP("no GPU");
  nf_weights *full;
  nf_model *on_gpu;
  char path[512];
  const char *seeded = getenv("NATIVEFOLD_SEEDED_WEIGHTS");
  if (seeded) snprintf(path, sizeof path, "%s", seeded);
  else snprintf(path, sizeof path, "%s/full.nfw", test_dir());
  if (!seeded) REQUIRE_OK(weights_write_random(test_source("data/manifest_full.tsv"), path));
  REQUIRE_OK(weights_open(path, &full));
  REQUIRE_OK(model_create(full, "cuda", &on_gpu));
  static const int sizes[] = {130, 600};
  check_plans_apart(on_gpu, sizes, 2);
  model_free(on_gpu);
  weights_close(full);
}

// A keeper in memory that stops the run at its `stop_at`th question, and goes on from there the next time.
typedef struct {
  int asked, stop_at;
  bool wants;  // at the last question
  struct {
    bool is_there;
    stage_state state;
    float *arrays[3];
  } kept[2][SAMPLES];  // trunk, diffusion; by part
} memory_keeper;

static bool wanted(void *context) {
  memory_keeper *k = context;
  k->wants = ++k->asked == k->stop_at;
  return k->wants;
}
static bool keep(void *context, const stage_state *s) {
  memory_keeper *k = context;
  int stage = s->n_arrays == 3 ? 0 : 1;
  k->kept[stage][s->part].is_there = true;
  k->kept[stage][s->part].state = *s;
  for (int i = 0; i < s->n_arrays; i++) {
    float **to = &k->kept[stage][s->part].arrays[i];
    *to = nf_realloc(*to, (size_t)s->counts[i], sizeof(float));
    memcpy(*to, s->arrays[i], (size_t)s->counts[i] * sizeof(float));
  }
  return !k->wants;
}
static bool restore(void *context, stage_state *s) {
  memory_keeper *k = context;
  int stage = s->n_arrays == 3 ? 0 : 1;
  if (!k->kept[stage][s->part].is_there) return false;
  s->done = k->kept[stage][s->part].state.done;
  s->within = k->kept[stage][s->part].state.within;
  for (int i = 0; i < s->n_arrays; i++)
    memcpy(s->arrays[i], k->kept[stage][s->part].arrays[i], (size_t)s->counts[i] * sizeof(float));
  return true;
}

// Left under one plan, and taken up under another.
static void check_goes_on(const memory_plan *plan, const memory_plan *later) {
  outcome whole, pieces;
  memory_keeper counter = {.stop_at = -1};
  REQUIRE_OK(run(33, plan, &(nf_keeper){&counter, restore, wanted, keep}, &whole));
  // Two passes of the pairformer, and two groups of samples.
  CHECK_INT(counter.asked, 2 * model_dimensions(model)->n_pairformer_blocks + 2 * STEPS);
  for (int stop = 1; stop <= counter.asked; stop++) {
    memory_keeper k = {.stop_at = stop};
    nf_keeper keeper = {&k, restore, wanted, keep};
    CHECK_INT(run(33, plan, &keeper, &pieces), NF_FAILED);
    CHECK(strstr(nf_message(), "stopped") != NULL);
    free_outcome(&pieces);
    k.stop_at = -1;
    int before = k.asked;
    REQUIRE_OK(run(33, later, &keeper, &pieces));
    CHECK_INT(k.asked, counter.asked);  // nothing was done twice, nothing left out
    CHECK(before == stop);
    check_same(&whole, &pieces, "taken up again");
    free_outcome(&pieces);
    for (int s = 0; s < 2; s++)
      for (int p = 0; p < SAMPLES; p++)
        for (int i = 0; i < 3; i++) free(k.kept[s][p].arrays[i]);
  }
  for (int s = 0; s < 2; s++)
    for (int p = 0; p < SAMPLES; p++)
      for (int i = 0; i < 3; i++) free(counter.kept[s][p].arrays[i]);
  free_outcome(&whole);
}

TEST(stages_go_on_where_they_were_left) {
  if (!ready()) return;
  const memory_plan plain = {.samples_at_once = 2};
  check_goes_on(&plain, &plain);
  nf_model *on_cpu = model, *apart;
  REQUIRE_OK(model_create_on(weights, apart_ops(), &apart));
  model = apart;
  const memory_plan offloaded = {.samples_at_once = 2, .pair_lent = true, .logits_remade = true, .sum_away = true},
                    streamed = {.samples_at_once = 2, .streamed = true, .chunk_rows = 64, .logits_remade = true, .rows_away = true};
  check_goes_on(&offloaded, &offloaded);
  check_goes_on(&streamed, &streamed);
  check_goes_on(&streamed, &plain);
  check_goes_on(&plain, &streamed);
  CHECK_INT(apart_host_bytes, 0);
  model = on_cpu;
  model_free(apart);
}

TEST(plans_fit_or_are_refused) {
  if (!ready()) return;
  job_size size = {.n_token = 1000, .n_subset = 250, .n_row = 100, .n_samples = 8, .n_template = 4, .host_used = 1 << 20};
  job_plan free_plan, p;
  memory_ceiling none = {0};
  REQUIRE_OK(model_plan(model, &size, &none, "job", &free_plan));
  CHECK_STR(free_plan.mode, "resident");
  CHECK_INT(free_plan.memory.chunk_rows, 0);
  CHECK(free_plan.peak.host >= free_plan.trunk.host && free_plan.peak.host >= free_plan.confidence.host);
  CHECK_INT(free_plan.peak.device, 0);
  int64_t last = free_plan.peak.host;
  bool refused = false;
  for (int64_t ceiling = last; ceiling > 1 << 20 && !refused; ceiling -= ceiling / 16) {
    memory_ceiling c = {.host = ceiling, .host_limit = "--host_memory_gib"};
    nf_status status = model_plan(model, &size, &c, "job", &p);
    refused = status == NF_MEMORY;
    if (refused) {
      CHECK(strstr(nf_message(), "1000 tokens") && strstr(nf_message(), "--host_memory_gib") && strstr(nf_message(), "raise"));
      CHECK(p.peak.host > ceiling);
    } else {
      CHECK_INT(status, NF_OK);
      CHECK(p.peak.host <= ceiling);
      if (ceiling < last) CHECK_STR(p.mode, "chunked");
    }
  }
  CHECK(refused);
  CHECK(p.trunk.host < free_plan.trunk.host && p.memory.chunk_rows == 64);
  CHECK(p.costs.trunk.bytes < free_plan.costs.trunk.bytes * 8 / 10);
  memory_ceiling machine = {.host = 1 << 21, .host_limit = "the machine"};
  CHECK_INT(model_plan(model, &size, &machine, "job", &p), NF_MEMORY);
  CHECK(strstr(nf_message(), "the machine") != NULL);
}

