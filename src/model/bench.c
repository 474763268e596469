// Timing of the parts that take the time, on made-up values.
#include "base/log.h"
#include "features/batch.h"
#include "model/network.h"

typedef struct {
  const nf_model *model;
  int64_t n_token, n_samples;
  int n_blocks;
  model_timing timing;
} bench_arguments;

static nf_tensor made_up(nf_context *context, nf_tensor t) {
  if (context->dry) return t;
  int64_t count = tensor_count(t);
  enum { AT_ONCE = 1 << 16 };
  float values[AT_ONCE];
  for (int64_t i = 0; i < count; i += AT_ONCE) {
    int64_t n = count - i < AT_ONCE ? count - i : AT_ONCE;
    for (int64_t l = 0; l < n; l++) values[l] = (float)((i + l) * 2654435761u % 1999) / 1000.0f - 1.0f;
    nf_tensor piece = tensor_shaped(t, 1, n, 1, 1, 1);
    piece.data = tensor_at(t, i);
    context_upload_to(context, piece, values);
  }
  return t;
}

static nf_tensor ones(nf_context *context, int64_t n) {
  nf_tensor t = CONTEXT_1(context, n);
  if (context->dry) return t;
  const float one = 1;
  for (int64_t i = 0; i < n; i++) context->ops->upload(t.data + i, &one, sizeof one);
  return t;
}

// Waits for what a device still computes.
static void finish(nf_context *context, nf_tensor t) {
  float value;
  if (!context->dry) context->ops->download(&value, t.data, sizeof value);
}

static void pairformer_body(nf_context *context, void *arguments) {
  bench_arguments *a = arguments;
  int64_t n = a->n_token;
  nf_tensor pair = made_up(context, CONTEXT_NARROW_3(context, n, n, a->model->dims.c_z)),
            single = made_up(context, CONTEXT_2(context, n, a->model->dims.c_s)), mask = ones(context, n);
  context->reduced = true;
  double start = nf_seconds();
  for (int i = 0; i < a->n_blocks; i++) pairformer_block(context, &a->model->pairformer[i], pair, single, mask);
  finish(context, pair);
  a->timing = (model_timing){nf_seconds() - start, context->flops};
}

static void transformer_body(nf_context *context, void *arguments) {
  bench_arguments *a = arguments;
  int64_t n = a->n_token, heads = a->model->dims.n_diffusion_heads;
  nf_tensor act = made_up(context, CONTEXT_3(context, a->n_samples, n, a->model->dims.c_token)),
            cond = made_up(context, CONTEXT_2(context, n, a->model->c_cond)),
            logits = made_up(context, CONTEXT_3(context, heads, n, n)), mask = ones(context, n);
  double start = nf_seconds();
  for (int i = 0; i < a->n_blocks; i++) {
    size_t mark = context_here(context);
    const diffusion_block_weights *w = &a->model->diffusion.blocks[i];
    block_conditions conditions;
    diffusion_conditions(context, w, 1, cond, &conditions);
    diffusion_block_attention(context, w, &conditions, act, logits, mask);
    diffusion_block_transition(context, w, &conditions, act);
    context_reset(context, mark);
  }
  finish(context, act);
  a->timing = (model_timing){nf_seconds() - start, context->flops};
}

static int blocks_of(int asked, int all) { return asked > 0 && asked < all ? asked : all; }

nf_status model_time_pairformer(const nf_model *model, int n_token, int n_blocks, nf_arena *arena, model_timing *ret_timing) {
  bench_arguments a = {.model = model, .n_token = n_token, .n_samples = 1,
                       .n_blocks = blocks_of(n_blocks, model->dims.n_pairformer_blocks)};
  nf_status status = model_run_body(model, NULL, pairformer_body, &a);
  *ret_timing = a.timing;
  return status;
}

nf_status model_time_diffusion_transformer(const nf_model *model, int n_token, int n_samples, int n_blocks, nf_arena *arena,
                                           model_timing *ret_timing) {
  bench_arguments a = {.model = model, .n_token = n_token, .n_samples = n_samples,
                       .n_blocks = blocks_of(n_blocks, model->dims.n_diffusion_blocks)};
  nf_status status = model_run_body(model, NULL, transformer_body, &a);
  *ret_timing = a.timing;
  return status;
}

void model_made_up_batch(int n_token, int n_row, nf_arena *arena, nf_batch *ret_batch) {
  enum { SLOTS = 24, QUERIES = 32, KEYS = 128, ATOMS = 8, CLASSES = 31, TEMPLATES = 4 };
  nf_batch b = {.n_token = n_token, .n_slot = SLOTS, .n_subset = (SLOTS * n_token + QUERIES - 1) / QUERIES,
                .n_query = QUERIES, .n_key = KEYS, .n_row = n_row, .n_class = CLASSES, .n_template = TEMPLATES};
  batch_allocate(&b, arena);
  int n_atom = n_token * ATOMS;
  b.seq_length[0] = n_token;
  b.num_alignments[0] = n_row;
  // What each gather reads from.
  int32_t *const from_atoms[] = {b.pseudo_beta_shape, b.token_atoms_to_queries_shape, b.polymer_ligand_atom_shape},
                 *const from_queries[] = {b.queries_to_keys_shape, b.queries_to_token_atoms_shape},
                 *const from_tokens[] = {b.tokens_to_queries_shape, b.tokens_to_keys_shape, b.polymer_ligand_shape,
                                         b.ligand_ligand_shape};
  for (int i = 0; i < 3; i++) from_atoms[i][0] = n_token, from_atoms[i][1] = SLOTS;
  for (int i = 0; i < 2; i++) from_queries[i][0] = b.n_subset, from_queries[i][1] = QUERIES;
  for (int i = 0; i < 4; i++) from_tokens[i][0] = n_token;
  for (int i = 0; i < n_token; i++) {
    b.residue_index[i] = b.token_index[i] = i + 1;
    b.aatype[i] = i * 7 % 20;
    b.seq_mask[i] = b.is_protein[i] = b.frames_mask[i] = 1;
    b.entity_id[i] = b.asym_id[i] = b.sym_id[i] = 1;
    b.pseudo_beta_idxs[i] = i * SLOTS + 4;
    b.pseudo_beta_mask[i] = 1;
    b.profile[i * CLASSES + b.aatype[i]] = 1;
    for (int r = 0; r < n_row; r++) {
      b.msa[(int64_t)r * n_token + i] = (int8_t)((i * 7 + r) % 20);
      b.msa_mask[(int64_t)r * n_token + i] = 1;
    }
    for (int k = 0; k < ATOMS; k++) {
      int slot = i * SLOTS + k, atom = i * ATOMS + k;
      b.pred_dense_atom_mask[slot] = b.ref_mask[slot] = b.queries_to_token_atoms_mask[slot] = 1;
      b.queries_to_token_atoms_idxs[slot] = atom;
      b.token_atoms_to_queries_idxs[atom] = slot;
      b.tokens_to_queries_idxs[atom] = i;
      b.token_atoms_to_queries_mask[atom] = b.tokens_to_queries_mask[atom] = 1;
      b.ref_element[slot] = 6;
      b.ref_space_uid[slot] = i;
      for (int s = 0; s < 3; s++) b.ref_pos[slot * 3 + s] = (float)((k * (s + 3) * 5) % 11) * 0.3f;
      for (int s = 0; s < 4; s++) b.ref_atom_name_chars[slot * 4 + s] = (k + s) % 64;
    }
  }
  for (int s = 0; s < b.n_subset; s++) {
    // Keys lie around the middle of the queries, shifted to lie among the atoms.
    int first = s * QUERIES + QUERIES / 2 - KEYS / 2;
    if (first > n_atom - KEYS) first = n_atom - KEYS;
    if (first < 0) first = 0;
    for (int k = 0; k < KEYS; k++) {
      int atom = first + k < n_atom ? first + k : n_atom - 1;
      b.queries_to_keys_idxs[s * KEYS + k] = atom;
      b.tokens_to_keys_idxs[s * KEYS + k] = atom / ATOMS;
      b.queries_to_keys_mask[s * KEYS + k] = b.tokens_to_keys_mask[s * KEYS + k] = 1;
    }
  }
  *ret_batch = b;
}

void model_wait(const nf_model *model) {
  float value;
  if (model->copies) model->ops->download(&value, model->copies, sizeof value);
}
int64_t model_device_peak(const nf_model *model, bool reset) { return model->ops->memory_peak(reset); }

bool model_on_gpu(const nf_model *model) { return !model->ops->host_memory; }

double model_measured_peak(const nf_model *model) { return device_measure_peak(model->ops); }
const char *model_device(const nf_model *model) { return device_description(model->ops); }
