// Algorithm 1, lines 1 to 14: features to single and pair representation, recycled.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "model/network.h"

// Algorithm 2 with 5: residue class, profile and deletion mean, then what the reference conformers' atoms give.
void input_embedder(nf_context *context, const nf_model *model, const model_inputs *inputs, const nf_trace *trace,
                    nf_tensor target) {
  const atom_encoder_weights *w = &model->encoder;
  int64_t n = inputs->n_token, c_act = tensor_last(w->aggregate), c_base = tensor_last(target) - c_act,
          m = inputs->n_subset * inputs->n_query, c_atom = tensor_last(w->ref_pos);
  size_t mark = context_here(context);
  nf_tensor act = CONTEXT_2(context, n, c_act);
  nf_tensor base = tensor_2(context_upload(context, inputs->token_features, (size_t)(n * c_base) * 4), n, c_base);
  atom_features f = atom_encoder_features(context, w, inputs);
  nf_tensor logits = atom_logits_place(context, &w->transformer, inputs), x = CONTEXT_3(context, 1, m, c_atom);
  atom_logits(context, &w->transformer, &f, logits);
  block_conditions conditions[ATOM_BLOCKS_MAX];
  diffusion_conditions(context, w->transformer.blocks, w->transformer.n_blocks, f.cond, conditions);
  OP(context, scale, .x = f.cond, .factor = 1, .y = tensor_2(x.data, m, c_atom));
  atom_transformer(context, &w->transformer, &f, logits, conditions, x);
  OP(context, scale, .x = tensor_2(x.data, m, c_atom), .factor = 1, .row_factor = f.query_mask,
     .y = tensor_2(x.data, m, c_atom));
  nf_tensor wide = CONTEXT_3(context, 1, m, c_act);
  OP(context, linear, .x = tensor_2(x.data, m, c_atom), .w = w->aggregate, .y = tensor_2(wide.data, m, c_act));
  const uint8_t *atom_mask = context_upload(context, inputs->batch ? inputs->batch->pred_dense_atom_mask : NULL,
                                            (size_t)(n * inputs->n_slot));
  OP(context, atoms_to_tokens, .x = wide, .index = f.token_atom, .mask = atom_mask, .n_slot = inputs->n_slot,
     .y = tensor_3(act.data, 1, n, c_act));
  const char *prefix = "enc_evoformer_conditioning_";
  int64_t n_s = inputs->n_subset, n_q = inputs->n_query, all = inputs->n_subset_full;
  trace_subsets(context, trace, prefix, "pair_cond", f.pair, all);
  trace_subsets(context, trace, prefix, "queries_single_cond", tensor_3(f.cond.data, n_s, n_q, c_atom), all);
  trace_subsets(context, trace, prefix, "skip_connection", tensor_3(x.data, n_s, n_q, c_atom), all);
  trace_tensor(context, trace, prefix, "token_act", act);
  OP(context, copy_columns, .x = base, .column = 0, .y = target);
  OP(context, copy_columns, .x = act, .column = c_base, .y = target);
  trace_tensor(context, trace, "", "target_feat", target);
  context_reset(context, mark);
}

// The MSA rows that a pass reads: host arrays, filled for each pass.
typedef struct {
  int64_t most;   // rows that the pass may need
  int64_t n_row;  // rows that count
  int8_t *rows, *deletions;  // (n_row, N)
  float *mask;               // (n_row, N)
  float *column_mask;        // (N)
  int32_t *order;            // (R)
} msa_rows;

typedef struct {
  const nf_model *model;
  const model_inputs *inputs;
  const trunk_options *options;
  msa_rows msa;
  nf_arena *arena;        // host scratch
  trunk_output *output;   // NULL in a dry run
  nf_repetition *blocks;  // [n_pairformer_blocks]: of every pass; NULL in a dry run, and if pieces come from the host
  int64_t flops_before;   // FLOPs before the first pass
  void *away;             // of the host, for the sum over templates; NULL: it is not wanted
  bool stopped;           // by the keeper
} trunk_arguments;

static void tick(const nf_context *context, const nf_ticker *ticker) {
  if (!context->dry && ticker) ticker->step(ticker->context, 1);
}

// Rows without any unmasked position change nothing that the pair representation sees: they are left out.
static void choose_rows(const nf_batch *batch, int num_msa, const int32_t *order, msa_rows *msa) {
  int64_t n = batch->n_token;
  msa->n_row = 0;
  memset(msa->column_mask, 0, (size_t)n * sizeof(float));
  for (int64_t r = 0; r < num_msa; r++) {
    // Reading beyond the MSA gives its last row again, as the reference does.
    int64_t row = order[r < batch->n_row ? r : batch->n_row - 1];
    bool any = false;
    for (int64_t i = 0; i < n && !any; i++) any = batch->msa_mask[row * n + i];
    if (!any) continue;
    for (int64_t i = 0; i < n; i++) {
      int64_t to = msa->n_row * n + i;
      msa->rows[to] = batch->msa[row * n + i];
      msa->deletions[to] = batch->deletion_matrix[row * n + i];
      msa->mask[to] = batch->msa_mask[row * n + i];
      if (batch->msa_mask[row * n + i]) msa->column_mask[i] = 1;
    }
    msa->n_row++;
  }
  if (msa->n_row == 0) {  // one masked row stands for all
    memset(msa->rows, 0, (size_t)n);
    memset(msa->deletions, 0, (size_t)n);
    memset(msa->mask, 0, (size_t)n * sizeof(float));
    msa->n_row = 1;
  }
}

static void msa_module(nf_context *context, const trunk_arguments *a, nf_tensor msa_target, nf_tensor pair, nf_tensor mask) {
  const nf_model *model = a->model;
  int64_t n = a->inputs->n_token, r = a->msa.n_row, c_m = model->dims.c_m;
  size_t mark = context_here(context);
  nf_tensor msa = CONTEXT_NARROW_3(context, r, n, c_m);
  nf_tensor msa_mask = tensor_2(context_upload(context, a->msa.mask, (size_t)(r * n) * 4), r, n);
  nf_tensor column_mask = tensor_1(context_upload(context, a->msa.column_mask, (size_t)n * 4), n);
  OP(context, msa_embed, .rows = context_upload(context, a->msa.rows, (size_t)(r * n)),
     .deletions = context_upload(context, a->msa.deletions, (size_t)(r * n)), .w = model->msa, .target = msa_target,
     .msa = msa);
  for (int i = 0; i < model->dims.n_msa_blocks; i++)
    msa_block(context, &model->msa_blocks[i], msa, pair, msa_mask, column_mask, mask);
  context_reset(context, mark);
}

typedef struct {
  const pairformer_weights *weights;
  nf_tensor pair, single, mask;
} block_arguments;
static void run_block(nf_context *context, void *arguments) {
  block_arguments *a = arguments;
  pairformer_block(context, a->weights, a->pair, a->single, a->mask);
}

static void trunk_body(nf_context *context, void *arguments) {
  trunk_arguments *a = arguments;
  const nf_model *model = a->model;
  const model_inputs *inputs = a->inputs;
  const nf_batch *batch = inputs->batch;
  const nf_trace *trace = a->options->trace;
  int64_t n = inputs->n_token, c_z = model->dims.c_z;
  const trunk_tensors t = trunk_as_tensors(model, a->options->plan, a->output, n);  // the output is worked on in place
  const nf_tensor target = t.target, single = t.single, pair = t.pair, kept[] = {target, single, pair};
  stage_state state = {.n_arrays = 3};
  nf_tensor left = CONTEXT_2(context, n, c_z), right = CONTEXT_2(context, n, c_z),
            msa_target = CONTEXT_2(context, n, model->dims.c_m);
  nf_tensor mask = tensor_1(context_upload(context, inputs->token_mask, (size_t)n * 4), n);
  const op_relative relative = inputs_relative(context, inputs);
  const int64_t *bonds = context_upload(context, inputs->bonds, (size_t)inputs->n_bonds * sizeof(int64_t));
  nf_tensor flat = tensor_as_2(pair, n * n, c_z);

  int passes = context->dry ? 1 : a->options->num_recycles + 1;  // every pass takes the same memory: one is enough to count
  // A state that says what no run of these options says is none: what it left in the tensors is made anew.
  bool restored = keeper_restore(context, a->options->keeper, kept, &state) && state.done >= 0 && state.within >= 0 &&
                  state.within < model->dims.n_pairformer_blocks && state.done + (state.within > 0) <= passes;
  if (!restored) input_embedder(context, model, inputs, trace, target);
  context->reduced = true;  // from here on, as in the reference
  OP(context, linear, .x = target, .w = model->left_single, .y = left);
  OP(context, linear, .x = target, .w = model->right_single, .y = right);
  OP(context, linear, .x = target, .w = model->msa_target, .y = msa_target);
  if (!restored) {
    OP(context, scale, .x = flat, .factor = 0, .y = flat);
    OP(context, scale, .x = single, .factor = 0, .y = single);
  }

  a->flops_before = context->flops;
  nf_key key = a->options->key;
  for (int pass = 0; pass < passes; pass++) {
    char prefix[32];
    snprintf(prefix, sizeof prefix, "recycle%d_", pass);
    nf_key halves[2], parts[2];
    nf_key_split(key, 2, halves);
    key = halves[0];
    nf_key_split(halves[1], 2, parts);  // the second goes to the templates, which draw nothing
    nf_key_split(parts[0], 2, parts);   // the second shuffles the MSA
    int from = restored && pass == state.done ? state.within : 0;  // blocks of a pass that was left
    if (restored && (pass < state.done || from > 0)) {
      for (int i = 0; i <= (pass < state.done ? model->dims.n_pairformer_blocks : from); i++) tick(context, a->options->ticker);
      if (pass < state.done) continue;
      goto blocks;
    }
    if (!context->dry) {
      msa_order(batch, parts[1], a->arena, a->msa.order);
      choose_rows(batch, a->options->num_msa, a->msa.order, &a->msa);
      if (trace) {
        char name[48];
        int64_t shape[1] = {batch->n_row};
        snprintf(name, sizeof name, "%smsa_row_order", prefix);
        trace->seam(trace->context, name, NF_I32, 1, shape, a->msa.order);
      }
    }
    OP(context, linear, .x = flat, .normalise = true, .norm = model->prev_norm, .w = model->prev, .y = flat);
    OP(context, outer_sum, .left = left, .right = right, .add = true, .pair = pair);
    OP(context, relative_embed, .relative = relative, .w = model->relative, .pair = pair);
    OP(context, add_rows, .index = bonds, .n = inputs->n_bonds, .w = model->bonds, .x = flat);
    trace_tensor(context, trace, prefix, "pair_before_template", pair);
    template_embedder(context, model, inputs, pair, mask, a->away);
    trace_tensor(context, trace, prefix, "pair_after_template", pair);
    msa_module(context, a, msa_target, pair, mask);
    trace_tensor(context, trace, prefix, "pair_after_msa_stack", pair);
    OP(context, linear, .x = single, .normalise = true, .norm = model->prev_single_norm, .w = model->prev_single,
       .y = single);
    OP(context, linear, .x = target, .w = model->single, .add = true, .y = single);
    tick(context, a->options->ticker);
  blocks:
    for (int i = from; i < model->dims.n_pairformer_blocks; i++) {
      block_arguments block = {&model->pairformer[i], pair, single, mask};
      if (a->blocks) context_repeat(context, &a->blocks[i], run_block, &block);
      else run_block(context, &block);
      tick(context, a->options->ticker);
      bool ends = i + 1 == model->dims.n_pairformer_blocks;
      stage_state now = {.done = pass + ends, .within = ends ? 0 : i + 1, .n_arrays = 3};
      a->stopped = !keeper_keep(context, a->options->keeper, now.done == passes, kept, &now);
      if (a->stopped) goto done;
    }
    trace_tensor(context, trace, prefix, "single", single);
    trace_tensor(context, trace, prefix, "pair", pair);
  }
done:
  for (int i = 0; a->blocks && i < model->dims.n_pairformer_blocks; i++) context_end_repeat(context, &a->blocks[i]);
}

// Where the arrays of a trunk's output lie, in bytes from its start. The pair comes first: it is what must lie well. Or it is
// away, in memory of its own.
typedef struct {
  bool narrow, away;  // the pair, where the device has it so
  int64_t pair_bytes, single, target, all;
} output_places;
static output_places places_of(const nf_model *model, const memory_plan *plan, int64_t n) {
  enum { APART = 256, FLOAT = sizeof(float) };
  output_places p = {.narrow = model->ops->narrow && model->ops->narrow(), .away = trunk_streams(model, plan)};
  p.pair_bytes = n * n * model->dims.c_z * (p.narrow ? 2 : FLOAT);
  p.single = p.away ? 0 : (p.pair_bytes + APART - 1) / APART * APART;
  p.target = (p.single + n * model->dims.c_s * FLOAT + APART - 1) / APART * APART;
  p.all = p.target + n * model->dims.c_target * FLOAT;
  return p;
}

struct pair_loan {
  void *copy;   // of the pair, on the host; NULL: it was not lent yet
  bool locked;  // the copy is in page-locked memory
  bool out;     // what lies there now is the borrower's
};

nf_status trunk_run(const nf_model *model, const nf_batch *batch, const trunk_options *options, nf_arena *arena,
                    trunk_output *ret_trunk) {
  if (options->num_msa < 1) return nf_fail(NF_INPUT, "num_msa is %d, but the model reads at least one row", options->num_msa);
  if (options->num_recycles < 0) return nf_fail(NF_INPUT, "num_recycles is %d, but it counts from 0", options->num_recycles);
  int64_t n = batch->n_token;
  const output_places places = places_of(model, options->plan, n);
  size_t bytes = (size_t)places.all;
  char *memory = model->ops->host_memory ? nf_arena_alloc(arena, bytes) : model->ops->allocate(bytes);
  if (!memory)
    return nf_fail(NF_MEMORY,
                   "the GPU has not the %.1f GiB that the representation of %lld tokens takes: fold fewer tokens, raise "
                   "--gpu_memory_gib if it is set, or use --device=cpu",
                   (double)bytes / (1 << 30), (long long)n);
  *ret_trunk = (trunk_output){.pair = places.away ? model->ops->host_allocate((size_t)places.pair_bytes) : (float *)memory,
                              .narrow = places.narrow,
                              .single = (float *)(memory + places.single),
                              .target_feat = (float *)(memory + places.target),
                              .plan = options->plan,
                              .model = model,
                              .n_token = (int)n};
  nf_arena_mark mark = nf_arena_here(arena);
  model_inputs inputs;
  nf_status status = ret_trunk->pair ? inputs_create(model, batch, arena, &inputs)
                                     : nf_fail(NF_MEMORY,
                                               "the system refused %.1f GiB of page-locked memory for the representation of %lld "
                                               "tokens: see nativefold plan",
                                               (double)places.pair_bytes / (1 << 30), (long long)n);
  if (status != NF_OK) {
    trunk_free(ret_trunk);
    return status;
  }
  trunk_arguments a = {.model = model, .inputs = &inputs, .options = options, .arena = arena, .output = ret_trunk};
  a.msa.most = options->num_msa;
  // Rows that count, at most: those with a mask, and the last one as often as the reference repeats it.
  int64_t n_valid = 0;
  for (int64_t r = 0; r < batch->n_row; r++) {
    bool any = false;
    for (int64_t i = 0; i < n && !any; i++) any = batch->msa_mask[r * n + i];
    n_valid += any;
  }
  if (options->num_msa <= batch->n_row && n_valid < a.msa.most) a.msa.most = n_valid > 0 ? n_valid : 1;
  a.msa.n_row = a.msa.most;
  a.msa.rows = nf_arena_alloc(arena, (size_t)(a.msa.most * n));
  a.msa.deletions = nf_arena_alloc(arena, (size_t)(a.msa.most * n));
  a.msa.mask = nf_arena_alloc(arena, (size_t)(a.msa.most * n) * sizeof(float));
  a.msa.column_mask = nf_arena_alloc(arena, (size_t)n * sizeof(float));
  a.msa.order = nf_arena_alloc(arena, (size_t)batch->n_row * sizeof(int32_t));
  if (!places.away) a.blocks = NF_NEW(arena, nf_repetition, model->dims.n_pairformer_blocks);
  if (trunk_lends(model, options->plan)) ret_trunk->loan = nf_calloc(1, sizeof *ret_trunk->loan);
  bool away = options->plan && options->plan->sum_away && !model->ops->host_memory && !places.away && inputs.n_distinct_templates > 1;
  if (away) {
    int64_t sum = template_sum_bytes(model, n);
    a.away = model->ops->host_allocate((size_t)sum);
    if (!a.away)
      status = nf_fail(NF_MEMORY, "the system refused %.1f GiB of page-locked memory for the templates: see nativefold plan",
                       (double)sum / (1 << 30));
  }
  if (status == NF_OK) status = model_run_body(model, options->plan, trunk_body, &a);
  if (away) model->ops->host_release(a.away);
  if (status == NF_OK && a.stopped) status = nf_fail(NF_FAILED, "the trunk was stopped on request");
  if (status != NF_OK) trunk_free(ret_trunk);
  nf_arena_reset(arena, mark);
  return status;
}

int64_t trunk_bytes(const nf_model *model, const memory_plan *plan, int64_t n) { return places_of(model, plan, n).all; }

trunk_tensors trunk_as_tensors(const nf_model *model, const memory_plan *plan, const trunk_output *trunk, int64_t n) {
  const trunk_output none = {.narrow = places_of(model, plan, n).narrow}, *t = trunk ? trunk : &none;
  nf_tensor pair = tensor_3(t->pair, n, n, model->dims.c_z);
  pair.narrow = t->narrow;
  pair.away = trunk_streams(model, plan);
  return (trunk_tensors){tensor_2(t->target_feat, n, model->dims.c_target), tensor_2(t->single, n, model->dims.c_s), pair};
}

int64_t trunk_pair_bytes(const nf_model *model, int64_t n) { return places_of(model, NULL, n).pair_bytes; }
int64_t template_sum_bytes(const nf_model *model, int64_t n) {
  return n * n * tensor_last(model->templates.query) * (places_of(model, NULL, n).narrow ? 2 : (int64_t)sizeof(float));
}

// ---- the pair's memory, lent

bool trunk_streams(const nf_model *model, const memory_plan *plan) { return plan && plan->streamed && !model->ops->host_memory; }
bool trunk_lends(const nf_model *model, const memory_plan *plan) {
  return plan && plan->pair_lent && !plan->streamed && !model->ops->host_memory;
}

void trunk_return_pair(const trunk_output *t) {
  if (!t->loan || !t->loan->out) return;
  size_t bytes = (size_t)trunk_pair_bytes(t->model, t->n_token);
  if (t->loan->locked) t->model->ops->bring_back(t->pair, t->loan->copy, bytes);
  else t->model->ops->upload(t->pair, t->loan->copy, bytes);
  t->loan->out = false;
}

void trunk_lend_pair(const trunk_output *t) {
  size_t bytes = (size_t)trunk_pair_bytes(t->model, t->n_token);
  trunk_return_pair(t);
  if (!t->loan->copy) {
    t->loan->copy = t->model->ops->host_allocate(bytes);
    t->loan->locked = t->loan->copy != NULL;
    if (!t->loan->locked) t->loan->copy = nf_alloc(bytes);
    if (t->loan->locked) t->model->ops->put_away(t->loan->copy, t->pair, bytes);
    else t->model->ops->download(t->loan->copy, t->pair, bytes);
  }
  t->loan->out = true;
}

void trunk_free(trunk_output *trunk) {
  if (trunk->loan && trunk->loan->locked) trunk->model->ops->host_release(trunk->loan->copy);
  else if (trunk->loan) free(trunk->loan->copy);
  free(trunk->loan);
  if (trunk->model && !trunk->model->ops->host_memory) {
    const nf_ops *ops = trunk->model->ops;
    bool away = trunk_streams(trunk->model, trunk->plan);
    ops->release(away ? trunk->single : trunk->pair);
    if (away) ops->host_release(trunk->pair);
    model_release_away(trunk->model);
  }
  *trunk = (trunk_output){0};
}

trunk_arrays trunk_on_host(const trunk_output *trunk, nf_arena *arena) {
  if (trunk->model->ops->host_memory) return (trunk_arrays){trunk->target_feat, trunk->single, trunk->pair};
  trunk_return_pair(trunk);
  const trunk_tensors t = trunk_as_tensors(trunk->model, trunk->plan, trunk, trunk->n_token);
  const nf_tensor all[] = {t.target, t.single, t.pair};
  const nf_context context = context_create(trunk->model->ops, NULL, 0);
  float *copies[3];
  for (int i = 0; i < 3; i++) {
    copies[i] = nf_arena_alloc(arena, (size_t)tensor_count(all[i]) * sizeof(float));
    context_download(&context, copies[i], all[i]);
  }
  return (trunk_arrays){copies[0], copies[1], copies[2]};
}

model_cost trunk_count(const nf_model *model, const memory_plan *plan, const model_inputs *inputs, int64_t n_row) {
  trunk_options options = {.num_msa = (int)n_row, .plan = plan};
  trunk_arguments a = {.model = model, .inputs = inputs, .options = &options, .msa = {.most = n_row, .n_row = n_row}};
  nf_context context = model_dry_context(model, plan);
  trunk_body(&context, &a);
  return (model_cost){(int64_t)context.peak, a.flops_before, context.flops - a.flops_before, (int64_t)context.host_peak};
}
