// The same result resident and in pieces, bit for bit; stages left and taken up again; plans.
#include "base/memory.h"
#include "model/network.h"
#include "model/plan.h"
#include "tests/test.h"

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
  distogram_output distogram;
  float *positions;
  confidence_output confidence;
} outcome;

enum { SAMPLES = 3, STEPS = 3 };

// A whole run on made-up tokens, under a plan and with a keeper, if given.
static nf_status run(int n_token, const memory_plan *plan, const nf_keeper *keeper, outcome *o) {
  o->arena = nf_arena_create();
  model_made_up_batch(n_token, 5, o->arena, &o->batch);
  // Some tokens are padding, and chains differ.
  for (int i = 0; i < n_token; i++) {
    o->batch.asym_id[i] = 1 + (i > n_token / 2);
    o->batch.seq_mask[i] = i < n_token - 2;
  }
  trunk_options options = {.num_recycles = 1, .num_msa = 4, .key = {{0, 1}}, .keeper = keeper, .plan = plan};
  NF_TRY(trunk_run(model, &o->batch, &options, o->arena, &o->trunk));
  NF_TRY(distogram_run(model, &o->batch, &o->trunk, o->arena, &o->distogram));
  diffusion_options sampling = {.steps = STEPS, .n_samples = SAMPLES, .key = {{0, 2}}, .keeper = keeper};
  NF_TRY(diffusion_run(model, &o->batch, &o->trunk, &sampling, o->arena, &o->positions));
  return confidence_run(model, &o->batch, &o->trunk, o->positions, NULL, o->arena, &o->confidence);
}

static void check_same(const outcome *a, const outcome *b, const char *what) {
  size_t n = (size_t)a->batch.n_token, f = sizeof(float), slots = (size_t)a->batch.n_slot;
  const struct {
    const char *name;
    const float *a, *b;
    size_t bytes;
  } seams[] = {
      {"single", a->trunk.single, b->trunk.single, n * (size_t)model_dimensions(model)->c_s * f},
      {"pair", a->trunk.pair, b->trunk.pair, n * n * (size_t)model_dimensions(model)->c_z * f},
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
    static const memory_plan plans[] = {{64, false, 0}, {128, true, 2}, {64, true, 1}};
    for (size_t p = 0; p < sizeof plans / sizeof *plans; p++) {
      char what[64];
      snprintf(what, sizeof what, "%d tokens, plan %d", sizes[s], (int)p);
      REQUIRE_OK(run(sizes[s], &plans[p], NULL, &pieces));
      check_same(&resident, &pieces, what);
      nf_arena_free(pieces.arena);
    }
    nf_arena_free(resident.arena);
  }
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

TEST(stages_go_on_where_they_were_left) {
  if (!ready()) return;
  static const memory_plan plan = {0, false, 2};
  outcome whole, pieces;
  memory_keeper counter = {.stop_at = -1};
  REQUIRE_OK(run(33, &plan, &(nf_keeper){&counter, restore, wanted, keep}, &whole));
  // Two passes of the pairformer, and two groups of samples.
  CHECK_INT(counter.asked, 2 * model_dimensions(model)->n_pairformer_blocks + 2 * STEPS);
  for (int stop = 1; stop <= counter.asked; stop++) {
    memory_keeper k = {.stop_at = stop};
    nf_keeper keeper = {&k, restore, wanted, keep};
    CHECK_INT(run(33, &plan, &keeper, &pieces), NF_FAILED);
    CHECK(strstr(nf_message(), "stopped") != NULL);
    nf_arena_free(pieces.arena);
    k.stop_at = -1;
    int before = k.asked;
    REQUIRE_OK(run(33, &plan, &keeper, &pieces));
    CHECK_INT(k.asked, counter.asked);  // nothing was done twice, nothing left out
    CHECK(before == stop);
    check_same(&whole, &pieces, "taken up again");
    nf_arena_free(pieces.arena);
    for (int s = 0; s < 2; s++)
      for (int p = 0; p < SAMPLES; p++)
        for (int i = 0; i < 3; i++) free(k.kept[s][p].arrays[i]);
  }
  for (int s = 0; s < 2; s++)
    for (int p = 0; p < SAMPLES; p++)
      for (int i = 0; i < 3; i++) free(counter.kept[s][p].arrays[i]);
  nf_arena_free(whole.arena);
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

