// What a job costs, before it runs.
#include "model/plan.h"

#include <math.h>
#include <string.h>

#include "model/network.h"

enum { TEMPLATES = 4 };

static model_inputs made_inputs(const nf_model *model, int n_token, int n_subset, int n_template) {
  // The reference's layout: windows of 32 queries and 128 keys.
  model_inputs inputs = inputs_dry(n_token, model->confidence.plddt.shape[1], n_subset, 32, 128, TEMPLATES);
  inputs.n_distinct_templates = n_template < TEMPLATES ? n_template : TEMPLATES;
  return inputs;
}

static void count(const nf_model *model, const memory_plan *plan, const model_inputs *inputs, int n_row, int n_samples,
                  model_costs *ret_costs) {
  ret_costs->trunk = trunk_count(model, plan, inputs, n_row);
  ret_costs->diffusion = diffusion_count(model, plan, inputs, n_samples);
  ret_costs->confidence = confidence_count(model, plan, inputs);
}

void model_count(const nf_model *model, int n_token, int n_subset, int n_row, int n_samples, model_costs *ret_costs) {
  model_inputs inputs = made_inputs(model, n_token, n_subset, TEMPLATES);
  count(model, NULL, &inputs, n_row, n_samples, ret_costs);
}

static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

// What stages hold beside the working memory that their dry runs count: results, and the inputs in the network's form.
typedef struct {
  int64_t trunk, diffusion, confidence, distogram;
} held_bytes;

static held_bytes count_held(const nf_model *model, const memory_plan *plan, const model_inputs *inputs, int n_row, int n_samples) {
  int64_t n = inputs->n_token, f = sizeof(float), slots = n * inputs->n_slot, bins = tensor_last(model->distogram),
          sizes = (2 * n + 1) * tensor_last(model->confidence.pae);
  int64_t trunk = trunk_bytes(model, plan, n);
  int64_t positions = n_samples * slots * 3 * f, contacts = n * n * f, confidences = (4 * n * n + 2 * slots) * f;
  int64_t msa = (int64_t)n_row * n * (2 + f) + n * f, in = inputs_bytes(inputs);
  return (held_bytes){.trunk = trunk + in + msa,
                      .distogram = trunk + contacts + n * n * bins * f,
                      .diffusion = trunk + contacts + positions + in,
                      .confidence = trunk + contacts + positions + confidences + (sizes + n * n + n) * f};
}

int64_t model_peak_bytes(const nf_model *model, int n_token, int n_subset, int n_row, int n_samples) {
  model_inputs inputs = made_inputs(model, n_token, n_subset, TEMPLATES);
  model_costs costs;
  count(model, NULL, &inputs, n_row, n_samples, &costs);
  held_bytes held = count_held(model, NULL, &inputs, n_row, n_samples);
  return most(most(held.trunk + costs.trunk.bytes, held.diffusion + costs.diffusion.bytes),
              most(held.confidence + costs.confidence.bytes,
                   held.distogram + distogram_count(model, NULL, n_token).bytes));
}

// Fills the needs of a plan whose choices are made.
static void fill(const nf_model *model, const job_size *size, const model_inputs *inputs, job_plan *p) {
  bool one = model->ops->host_memory;
  count(model, &p->memory, inputs, size->n_row, size->n_samples, &p->costs);
  held_bytes held = count_held(model, &p->memory, inputs, size->n_row, size->n_samples);
  int64_t weights = model->dims.n_values * (int64_t)sizeof(float), n = inputs->n_token;  // and what stays beside them
  const model_cost distogram = distogram_count(model, &p->memory, n);
  int64_t base = size->host_used + weights;
  if (!one) {  // the trunk's output stays on the device, and of the weights what the ops keep in 16 bits
    int64_t out = trunk_bytes(model, &p->memory, n);
    weights += out + model->dims.n_values * 2;
    held = (held_bytes){held.trunk - out, held.diffusion - out, held.confidence - out, held.distogram - out};
    if (!size->saves_distogram) held.distogram -= n * n * tensor_last(model->distogram) * (int64_t)sizeof(float);
  }
  // What a sample leaves in the result, and what scores and files of one take.
  int64_t results = size->n_samples * (n * n + 4 * n * inputs->n_slot) * (int64_t)sizeof(float);
  p->features = (memory_need){base, one ? 0 : weights};
  p->trunk = (memory_need){base + most(held.trunk + (one ? p->costs.trunk.bytes : 0), held.distogram),
                           one ? 0 : weights + most(p->costs.trunk.bytes, distogram.bytes)};
  int64_t lent = trunk_lends(model, &p->memory) ? trunk_pair_bytes(model, n) : 0;
  p->trunk.host += p->memory.sum_away && inputs->n_distinct_templates > 1 ? template_sum_bytes(model, n) : 0;
  p->diffusion = (memory_need){base + held.diffusion + lent + (one ? p->costs.diffusion.bytes : 0),
                               one ? 0 : weights + p->costs.diffusion.bytes};
  p->confidence = (memory_need){base + results + held.confidence + lent + (one ? p->costs.confidence.bytes : 0),
                                one ? 0 : weights + p->costs.confidence.bytes};
  if (!one && size->saves_trunk) p->trunk.host += n * n * model->dims.c_z * (int64_t)sizeof(float);
  if (trunk_streams(model, &p->memory)) {  // the pair, and the most that a stage has worked in by then
    int64_t pair = trunk_pair_bytes(model, n), away = most(p->costs.trunk.away_bytes, distogram.away_bytes);
    p->trunk.host += pair + away;
    p->diffusion.host += pair + (away = most(away, p->costs.diffusion.away_bytes));
    p->confidence.host += pair + most(away, p->costs.confidence.away_bytes);
  }
  p->peak = (memory_need){most(most(p->features.host, p->trunk.host), most(p->diffusion.host, p->confidence.host)),
                          most(p->trunk.device, most(p->diffusion.device, p->confidence.device))};
  p->mode = p->memory.streamed                                    ? "streamed"
            : p->memory.pair_lent || p->memory.sum_away           ? "offloaded"
            : p->memory.chunk_rows || p->memory.samples_at_once ? "chunked"
                                                                  : "resident";
}

static bool fits(const memory_ceiling *ceiling, memory_need need) {
  return (!ceiling->host || need.host <= ceiling->host) && (!ceiling->device || need.device <= ceiling->device);
}

// Has the host room for so many bytes beside what the later stages need?
static bool fits_host(const memory_ceiling *ceiling, const job_plan *p, int64_t bytes) {
  return !ceiling->host || (p->memory.pair_lent ? 0 : bytes) + most(p->diffusion.host, p->confidence.host) <= ceiling->host;
}

static double gib(int64_t bytes) { return (double)bytes / (1 << 30); }

// offloading: the plan would fit if parts could be on the host.
static nf_status refuse(const job_plan *p, const job_size *size, const char *name, bool offloading) {
  const memory_ceiling *c = &p->ceiling;
  bool device = c->device && p->peak.device > c->device;
  int64_t need = device ? p->peak.device : p->peak.host, allowed = device ? c->device : c->host;
  const char *limit = device ? c->device_limit : c->host_limit, *flag = device ? "--gpu_memory_gib" : "--host_memory_gib";
  if (!limit) limit = "the machine";
  if (strcmp(limit, flag) == 0)
    return nf_fail(NF_MEMORY, "%s: %d tokens need at least %.2f GiB of %s memory, but %s allows %.2f: raise it to %.2f%s", name,
                   size->n_token, gib(need), device ? "GPU" : "host", flag, gib(allowed), gib(need) + 0.01,
                   device && offloading ? ", or leave --offload=auto" : "");
  if (device)
    return nf_fail(NF_MEMORY,
                   "%s: %d tokens need at least %.1f GiB of GPU memory, but %s has %.1f: %sfold fewer tokens, take a larger "
                   "card, or use --device=cpu",
                   name, size->n_token, gib(need), limit, gib(allowed), offloading ? "leave --offload=auto, " : "");
  if (p->memory.streamed)  // what is page-locked must be there
    return nf_fail(NF_MEMORY,
                   "%s: %d tokens need at least %.1f GiB of host memory, as the GPU holds but pieces of their pair tensors, and %s has "
                   "%.1f: give it more, fold fewer tokens, or take a larger card",
                   name, size->n_token, gib(need), limit, gib(allowed));
  return nf_fail(NF_MEMORY,
                 "%s: %d tokens need at least %.2f GiB of %s memory, but %s has %.2f: give it more, or, to run all the same, "
                 "set %s=%.2f",
                 name, size->n_token, gib(need), device ? "GPU" : "host", limit, gib(allowed), flag, gib(need) + 0.01);
}

int64_t model_device_room(const nf_model *model) { return model->ops->memory_room(); }

int plan_distinct_templates(const nf_batch *batch) {
  int64_t slots = (int64_t)batch->n_token * batch->n_slot;
  int n = 0;
  bool empty = false;
  for (int t = 0; t < batch->n_template; t++) {
    bool any = memchr(batch->template_atom_mask + t * slots, 1, (size_t)slots) != NULL;
    n += any;
    empty = empty || !any;
  }
  return n + empty;
}

enum { LEAST_ROWS = 64, FAST_ROWS = 256 };  // FAST_ROWS: pieces that hardly cost time

// Smaller and smaller pieces, down to `least` rows, until the trunk (and the confidence head) fit; false: they do not.
static bool make_pieces(const nf_model *model, const job_size *size, const model_inputs *inputs, int64_t least, bool with_confidence,
                        job_plan *p) {
  const memory_ceiling *ceiling = &p->ceiling;
  int64_t rows = p->memory.chunk_rows ? p->memory.chunk_rows : size->n_token;
  while (!fits(ceiling, p->trunk) || (with_confidence && !fits(ceiling, p->confidence))) {
    if (rows <= least) return false;
    rows = rows > 2 * least ? (rows / 2 + LEAST_ROWS - 1) / LEAST_ROWS * LEAST_ROWS : least;
    p->memory.chunk_rows = rows;
    fill(model, size, inputs, p);
  }
  return true;
}

// Samples in smaller and smaller groups, until the diffusion fits.
static void group_samples(const nf_model *model, const job_size *size, const model_inputs *inputs, job_plan *p) {
  for (int group = size->n_samples; group > 1 && !fits(&p->ceiling, p->diffusion);) {
    group = (group + 1) / 2;
    p->memory.samples_at_once = group;
    fill(model, size, inputs, p);
  }
}

// Pair tensors in the host's memory, their pieces on the device as large as fit.
static job_plan stream(const nf_model *model, const job_size *size, const model_inputs *inputs, const memory_ceiling *ceiling) {
  enum { PIECES = 8, PLANES = 64 };
  // Ways to the diffusion's pair logits, from the fastest on: those that read rows over the bus in every step come last.
  static const struct {
    bool remade, by_block, rows_away;
  } ways[] = {{false, false, false}, {false, false, true}, {true, false, false}, {true, true, false}, {true, false, true}, {true, true, true}};
  enum { N_WAYS = sizeof ways / sizeof *ways, FIRST_AWAY = 4 };
  bool all_away = ceiling->offload == OFFLOAD_HOST;
  job_plan p = {.ceiling = *ceiling};
  // Half of a factor's channels at a time read everything twice, but pieces of few rows read the other factor more often.
  for (int planes = 0; planes <= (model->dims.c_z > PLANES ? PLANES : 0); planes += PLANES) {
    p.memory = (memory_plan){.streamed = true, .plane_channels = planes, .logits_remade = all_away, .rows_away = all_away};
    p.memory.chunk_rows = (size->n_token / PIECES + LEAST_ROWS) / LEAST_ROWS * LEAST_ROWS;
    fill(model, size, inputs, &p);
    if (make_pieces(model, size, inputs, LEAST_ROWS, true, &p)) break;
  }
  for (int i = all_away ? FIRST_AWAY : 0; i < N_WAYS && !fits(ceiling, p.diffusion); i++) {
    p.memory.logits_remade = ways[i].remade, p.memory.logits_by_block = ways[i].by_block, p.memory.rows_away = ways[i].rows_away;
    fill(model, size, inputs, &p);
  }
  group_samples(model, size, inputs, &p);
  return p;
}

static job_plan choose(const nf_model *model, const job_size *size, const memory_ceiling *ceiling) {
  model_inputs inputs = made_inputs(model, size->n_token, size->n_subset, size->n_template);
  bool may_offload = !model->ops->host_memory && ceiling->offload != OFFLOAD_OFF;
  if (may_offload && ceiling->offload == OFFLOAD_HOST) return stream(model, size, &inputs, ceiling);
  job_plan p = {.ceiling = *ceiling};
  fill(model, size, &inputs, &p);
  // Pieces as large as fit, since smaller ones read more often; before they get small, the sum over templates goes.
  if (!make_pieces(model, size, &inputs, may_offload ? FAST_ROWS : LEAST_ROWS, false, &p) && may_offload) {
    p.memory.sum_away = true;
    p.memory.chunk_rows = 0;
    fill(model, size, &inputs, &p);
    make_pieces(model, size, &inputs, LEAST_ROWS, false, &p);
  }
  // Copies of the pair to the host and back take less time than smaller pieces.
  if (may_offload && !fits(ceiling, p.confidence) && fits_host(ceiling, &p, trunk_pair_bytes(model, size->n_token))) {
    p.memory.pair_lent = true;
    fill(model, size, &inputs, &p);
  }
  make_pieces(model, size, &inputs, LEAST_ROWS, true, &p);
  if (!fits(ceiling, p.diffusion)) {
    p.memory.logits_remade = true;
    fill(model, size, &inputs, &p);
  }
  // Nor do they take as long as logits by block, which read their rows once a block.
  if (may_offload && !fits(ceiling, p.diffusion) && fits_host(ceiling, &p, trunk_pair_bytes(model, size->n_token))) {
    p.memory.pair_lent = true;
    fill(model, size, &inputs, &p);
  }
  if (!fits(ceiling, p.diffusion)) {
    p.memory.logits_by_block = true;
    fill(model, size, &inputs, &p);
  }
  group_samples(model, size, &inputs, &p);
  if (!may_offload || !ceiling->device || p.peak.device <= ceiling->device) return p;
  const job_plan streamed = stream(model, size, &inputs, ceiling);
  return streamed.peak.device < p.peak.device ? streamed : p;
}

nf_status model_plan(const nf_model *model, const job_size *size, const memory_ceiling *ceiling, const char *name,
                     job_plan *ret_plan) {
  *ret_plan = choose(model, size, ceiling);
  if (fits(ceiling, ret_plan->peak)) return NF_OK;
  // Where the host has too little for what waits there, it is asked for that, and not for all that a streamed job takes.
  if (ceiling->host && !model->ops->host_memory) {
    memory_ceiling more = *ceiling;
    more.host = 0;
    const job_plan waits = choose(model, size, &more);
    if (fits(&more, waits.peak)) *ret_plan = waits;
    ret_plan->ceiling = *ceiling;
  }
  memory_ceiling offloading = *ceiling;
  offloading.offload = OFFLOAD_AUTO;
  bool would_fit = ceiling->offload == OFFLOAD_OFF && fits(ceiling, choose(model, size, &offloading).peak);
  return refuse(ret_plan, size, name, would_fit);
}

// Seconds for page-locking what a streamed job takes of the host's memory.
static double locking_seconds(const nf_model *model, const job_plan *plan, const job_size *size) {
  const double rate = 3e9;
  const model_costs *c = &plan->costs;
  return (double)(trunk_pair_bytes(model, size->n_token) +
                  most(most(c->trunk.away_bytes, c->diffusion.away_bytes), c->confidence.away_bytes)) / rate;
}

// What pieces on the bus add to a pass, a step and a sample of a streamed job, which take `each` otherwise. A block reads the
// pair about ten times and writes it half as often, at the same time; the next piece comes while one is worked on, which
// hides seconds of it, half of those that computing takes.
static stage_seconds on_the_bus(const nf_model *model, const job_plan *plan, const job_size *size, stage_seconds each) {
  const double bus = 45e9, reads = 10, hidden = 0.5;
  const model_dims *d = &model->dims;
  int64_t n = size->n_token;
  double pair = (double)trunk_pair_bytes(model, n), sum = (double)template_sum_bytes(model, n),
         trunk = reads * ((d->n_pairformer_blocks + d->n_msa_blocks) * pair + size->n_template * d->n_template_blocks * sum),
         // Its copy, what is added at first, and logits of two heads, which are written and read as floats.
         sample = reads * (d->n_confidence_blocks + 1) * pair,
         rows = plan->memory.rows_away ? (double)plan->costs.diffusion.away_bytes : 0;
  int blocks = plan->memory.logits_by_block ? d->n_diffusion_blocks : model->diffusion.n_super,
      group = plan->memory.samples_at_once ? plan->memory.samples_at_once : size->n_samples, groups = (size->n_samples + group - 1) / group;
  return (stage_seconds){fmax(trunk / bus - hidden * each.trunk, 0),
                         plan->memory.logits_remade ? fmax(groups * blocks * rows / bus - hidden * each.diffusion, 0) : 0,
                         fmax(sample / bus - hidden * each.confidence, 0)};
}

stage_seconds model_expected_seconds(const nf_model *model, const job_plan *plan, const job_size *size, int passes, int steps) {
  const model_costs *c = &plan->costs;
  double peak = model_measured_peak(model), trunk = (double)c->trunk.flops_each, step = (double)c->diffusion.flops_each,
         sample = (double)c->confidence.flops_each, samples = size->n_samples;
  if (peak <= 0) return (stage_seconds){0, 0, 0};
  if (model->ops->host_memory) {  // shares of the peak that the stages reach
    const double trunk_share = 0.71, diffusion_share = 0.85, confidence_share = 0.68;
    return (stage_seconds){((double)c->trunk.flops_once + passes * trunk) / (peak * trunk_share),
                           ((double)c->diffusion.flops_once + steps * step) / (peak * diffusion_share),
                           ((double)c->confidence.flops_once + samples * sample) / (peak * confidence_share)};
  }
  // On a GPU: the share of large products, what moves a pair's values through memory, and what launches take.
  const double share = 0.97, once_share = 0.04, bus = 10e9;
  double pairs = (double)size->n_token * size->n_token, rate = peak * share,
         lent = plan->memory.pair_lent ? (double)trunk_pair_bytes(model, size->n_token) / bus : 0,
         pieces = plan->memory.chunk_rows ? 1 + 10.0 / (double)plan->memory.chunk_rows : 1,
         remade = !plan->memory.logits_remade ? 0 : plan->memory.logits_by_block ? 2.5e-9 : 0.7e-9,
         away = plan->memory.sum_away ? 2.0 * size->n_template * (double)template_sum_bytes(model, size->n_token) / (4 * bus) : 0;
  // What a pass takes with an empty template and with four differs; FLOPs say so.
  stage_seconds each = {(trunk / rate + pairs * 9.5e-8) * pieces + 0.02 + away, step / rate + pairs * (1.5e-10 + remade) + 0.0015,
                        (sample / rate + pairs * 9e-9) * pieces + lent / 4 + 0.002},
                more = plan->memory.streamed ? on_the_bus(model, plan, size, each) : (stage_seconds){0};
  double locked = plan->memory.streamed ? locking_seconds(model, plan, size) : 0;
  return (stage_seconds){(double)c->trunk.flops_once / (peak * once_share) + locked + passes * (each.trunk + more.trunk),
                         (double)c->diffusion.flops_once / (peak * once_share) + lent + steps * (each.diffusion + more.diffusion),
                         samples * (each.confidence + more.confidence)};
}
