// The batch in the form that the modules read: gathers as plain indices, masks as numbers, windows without atoms left
// out.
#include <math.h>
#include <string.h>

#include "model/network.h"

// How many windows hold atoms; keys may look into later ones, which then count too.
static int64_t used_subsets(const nf_batch *batch) {
  int64_t n_q = batch->n_query, n_k = batch->n_key, used = 1;
  for (int64_t i = 0; i < (int64_t)batch->n_subset * n_q; i++)
    if (batch->token_atoms_to_queries_mask[i] && i / n_q + 1 > used) used = i / n_q + 1;
  for (int64_t i = 0; i < (int64_t)batch->n_token * batch->n_slot; i++) {
    int64_t row = batch->queries_to_token_atoms_idxs[i];
    if (batch->queries_to_token_atoms_mask[i] && row / n_q + 1 > used) used = row / n_q + 1;
  }
  for (int64_t i = 0; i < used * n_k; i++) {
    int64_t row = batch->queries_to_keys_idxs[i];
    if (batch->queries_to_keys_mask[i] && row / n_q + 1 > used) used = row / n_q + 1;
  }
  return used;
}

static nf_status check_gather(const char *name, const int32_t *index, const uint8_t *mask, int64_t n, int64_t source) {
  for (int64_t i = 0; i < n; i++)
    if (mask[i] && (index[i] < 0 || index[i] >= source))
      return nf_fail(NF_INPUT, "features: %s:gather_idxs holds %d, but its source has %lld entries", name, index[i],
                     (long long)source);
  return NF_OK;
}

// Dense atom slots, by residue class: the pseudo-beta atom (CB, CA of glycine; C4 of purines, C2 of pyrimidines), and
// C, CA, N of the backbone frame (C1', C3', C4' of nucleotides).
enum { N_CLASS = 31 };
static const uint8_t beta_slot[N_CLASS] = {4, 4, 4, 4, 4, 4, 4,  1,  4,  4,  4,  4,  4,  4,  4, 4,
                                           4, 4, 4, 4, 0, 0, 22, 23, 14, 14, 21, 22, 13, 13, 0};
static void frame_slots(int class, int slots[3]) {
  static const int protein[3] = {2, 1, 0}, nucleotide[3] = {12, 8, 6};
  memset(slots, 0, 3 * sizeof(int));
  if (class < 20)
    memcpy(slots, protein, sizeof protein);
  else if (class >= 22 && class < 30)
    memcpy(slots, nucleotide, sizeof nucleotide);
}

static void normalise(float v[3]) {
  float square = v[0] * v[0] + v[1] * v[1] + v[2] * v[2], norm = sqrtf(square > 1e-12f ? square : 1e-12f);
  for (int i = 0; i < 3; i++) v[i] /= norm;
}

static void template_residue(const nf_batch *batch, int64_t template, int64_t i, template_features *t) {
  int64_t n_slot = batch->n_slot, row = template * batch->n_token + i;
  const float *atoms = batch->template_atom_positions + row * n_slot * 3;
  const uint8_t *mask = batch->template_atom_mask + row * n_slot;
  int class = batch->template_aatype[row];
  t->residue_class[i] = class;
  if (class < 0) class = 0;
  if (class >= N_CLASS) class = N_CLASS - 1;
  int beta = beta_slot[class] < n_slot ? beta_slot[class] : 0, slots[3];
  frame_slots(class, slots);
  float corner[3][3];
  t->beta_mask[i] = mask[beta];
  t->frame_mask[i] = 1;
  for (int s = 0; s < 3; s++) {
    int slot = slots[s] < n_slot ? slots[s] : 0;
    t->frame_mask[i] *= mask[slot];
    for (int k = 0; k < 3; k++) corner[s][k] = mask[slot] ? atoms[slot * 3 + k] : 0;
  }
  for (int k = 0; k < 3; k++) t->beta[i * 3 + k] = mask[beta] ? atoms[beta * 3 + k] : 0;
  // x axis from the second corner to the first (CA to C), the third (N) in the xy plane.
  float *e0 = t->frame + i * 12, *e1 = e0 + 3, *e2 = e0 + 6, *origin = e0 + 9;
  for (int k = 0; k < 3; k++) {
    e0[k] = corner[0][k] - corner[1][k];
    e1[k] = corner[2][k] - corner[1][k];
    origin[k] = corner[1][k];
  }
  normalise(e0);
  float along = e1[0] * e0[0] + e1[1] * e0[1] + e1[2] * e0[2];
  for (int k = 0; k < 3; k++) e1[k] -= along * e0[k];
  normalise(e1);
  for (int k = 0; k < 3; k++) e2[k] = e0[(k + 1) % 3] * e1[(k + 2) % 3] - e0[(k + 2) % 3] * e1[(k + 1) % 3];
}

static bool same_template(const nf_batch *batch, int64_t a, int64_t b) {
  size_t n = (size_t)batch->n_token, slots = n * (size_t)batch->n_slot;
  return memcmp(batch->template_aatype + a * (int64_t)n, batch->template_aatype + b * (int64_t)n,
                n * sizeof(int32_t)) == 0 &&
         memcmp(batch->template_atom_mask + a * (int64_t)slots, batch->template_atom_mask + b * (int64_t)slots,
                slots) == 0 &&
         memcmp(batch->template_atom_positions + a * (int64_t)slots * 3,
                batch->template_atom_positions + b * (int64_t)slots * 3, slots * 3 * sizeof(float)) == 0;
}

static void make_templates(const nf_batch *batch, nf_arena *arena, model_inputs *inputs) {
  int64_t n = batch->n_token;
  inputs->templates = NF_NEW(arena, template_features, batch->n_template);
  int64_t *source = NF_NEW(arena, int64_t, batch->n_template);
  for (int64_t k = 0; k < batch->n_template; k++) {
    int found = -1;
    for (int d = 0; d < inputs->n_distinct_templates && found < 0; d++)
      if (same_template(batch, source[d], k)) found = d;
    if (found >= 0) {
      inputs->templates[found].count++;
      continue;
    }
    template_features *t = &inputs->templates[inputs->n_distinct_templates];
    source[inputs->n_distinct_templates++] = k;
    t->count = 1;
    t->residue_class = NF_NEW(arena, int32_t, n);
    t->beta = NF_NEW(arena, float, n * 3);
    t->beta_mask = NF_NEW(arena, float, n);
    t->frame = NF_NEW(arena, float, n * 12);
    t->frame_mask = NF_NEW(arena, float, n);
    for (int64_t i = 0; i < n; i++) template_residue(batch, k, i, t);
  }
}

// A bond names two tokens and is used if both ends are real; the pair (0, 0) is what masked ones are set to, and is
// cleared.
static void add_bonds(const int32_t *index, const uint8_t *mask, int64_t n, int64_t n_token, uint8_t *seen,
                      model_inputs *inputs) {
  for (int64_t b = 0; b < n; b++) {
    if (!mask[2 * b] || !mask[2 * b + 1]) continue;
    int64_t i = index[2 * b], j = index[2 * b + 1], flat = i * n_token + j;
    if (i < 0 || j < 0 || i >= n_token || j >= n_token || flat == 0 || seen[flat]) continue;
    seen[flat] = 1;
    inputs->bonds[inputs->n_bonds++] = flat;
  }
}

nf_status inputs_create(const nf_model *model, const nf_batch *batch, nf_arena *arena, model_inputs *ret_inputs) {
  int64_t n = batch->n_token, n_slot = batch->n_slot, n_q = batch->n_query, n_k = batch->n_key,
          all = batch->n_subset * n_q;
  if (n < 1 || n_slot < 1 || n_q < 1 || n_k < 1 || batch->n_subset < 1 || batch->n_row < 1)
    return nf_fail(NF_INPUT, "features: there are no tokens, atoms or MSA rows to read");
  if (batch->n_class != N_CLASS)
    return nf_fail(NF_INPUT, "features: profile has %d residue classes, but the model reads %d", batch->n_class,
                   N_CLASS);
  if (n_slot != model->confidence.plddt.shape[1])
    return nf_fail(NF_INPUT, "features: a token has %lld atom slots, but the model predicts %lld", (long long)n_slot,
                   (long long)model->confidence.plddt.shape[1]);
  NF_TRY(check_gather("token_atoms_to_queries", batch->token_atoms_to_queries_idxs, batch->token_atoms_to_queries_mask,
                      all, n * n_slot));
  NF_TRY(check_gather("tokens_to_queries", batch->tokens_to_queries_idxs, batch->tokens_to_queries_mask, all, n));
  NF_TRY(
      check_gather("tokens_to_keys", batch->tokens_to_keys_idxs, batch->tokens_to_keys_mask, batch->n_subset * n_k, n));
  NF_TRY(check_gather("queries_to_keys", batch->queries_to_keys_idxs, batch->queries_to_keys_mask,
                      batch->n_subset * n_k, all));
  NF_TRY(check_gather("queries_to_token_atoms", batch->queries_to_token_atoms_idxs, batch->queries_to_token_atoms_mask,
                      n * n_slot, all));
  NF_TRY(check_gather("token_atoms_to_pseudo_beta", batch->pseudo_beta_idxs, batch->pseudo_beta_mask, n, n * n_slot));
  int64_t n_s = used_subsets(batch), m = n_s * n_q;
  model_inputs in = {.batch = batch,
                     .n_token = n,
                     .n_slot = n_slot,
                     .n_subset = n_s,
                     .n_subset_full = batch->n_subset,
                     .n_query = n_q,
                     .n_key = n_k,
                     .n_template = batch->n_template};
  in.token_mask = NF_NEW(arena, float, n);
  in.atom_mask = NF_NEW(arena, float, n *n_slot);
  in.atom_index = NF_NEW(arena, int32_t, m);
  in.atom_token = NF_NEW(arena, int32_t, m);
  in.query_token = NF_NEW(arena, int32_t, m);
  in.query_mask = NF_NEW(arena, float, m);
  in.query_positions = NF_NEW(arena, float, m * 3);
  in.query_space = NF_NEW(arena, int32_t, m);
  in.key_token = NF_NEW(arena, int32_t, n_s * n_k);
  in.key_index = NF_NEW(arena, int32_t, n_s * n_k);
  in.key_mask = NF_NEW(arena, float, n_s *n_k);
  in.key_space = NF_NEW(arena, int32_t, n_s * n_k);
  in.token_atom = NF_NEW(arena, int32_t, n * n_slot);
  in.token_features = NF_NEW(arena, float, n *(2 * N_CLASS + 1));
  for (int64_t i = 0; i < n; i++) {
    float *to = in.token_features + i * (2 * N_CLASS + 1);
    int32_t class = batch->aatype[i];
    if (class >= 0 && class < N_CLASS) to[class] = 1;
    memcpy(to + N_CLASS, batch->profile + i * N_CLASS, N_CLASS * sizeof(float));
    to[2 * N_CLASS] = batch->deletion_mean[i];
    in.token_mask[i] = batch->seq_mask[i];
  }
  for (int64_t i = 0; i < n * n_slot; i++) {
    in.atom_mask[i] = batch->pred_dense_atom_mask[i];
    in.token_atom[i] = batch->queries_to_token_atoms_mask[i] && batch->pred_dense_atom_mask[i] ? batch->queries_to_token_atoms_idxs[i] : -1;
  }
  for (int64_t i = 0; i < m; i++) {
    int32_t atom = batch->token_atoms_to_queries_mask[i] ? batch->token_atoms_to_queries_idxs[i] : -1;
    in.atom_index[i] = atom;
    in.atom_token[i] = atom < 0 || in.atom_mask[atom] == 0 ? -1 : atom / (int32_t)n_slot;
    in.query_token[i] = batch->tokens_to_queries_mask[i] ? batch->tokens_to_queries_idxs[i] : -1;
    if (atom < 0) continue;
    in.query_mask[i] = in.atom_mask[atom];
    in.query_space[i] = batch->ref_space_uid[atom];
    for (int s = 0; s < 3; s++) in.query_positions[i * 3 + s] = batch->ref_pos[atom * 3 + s];
  }
  for (int64_t i = 0; i < n_s * n_k; i++) {
    int32_t row = batch->queries_to_keys_mask[i] ? batch->queries_to_keys_idxs[i] : -1;
    in.key_index[i] = row;
    in.key_token[i] = batch->tokens_to_keys_mask[i] ? batch->tokens_to_keys_idxs[i] : -1;
    if (row < 0) continue;
    in.key_mask[i] = in.query_mask[row];
    // The reference looks a query's row up among token atoms, another layout, and its weights were trained so.
    int64_t last = n * n_slot - 1;
    in.key_space[i] = batch->ref_space_uid[row < last ? row : last];
  }
  uint8_t *seen = NF_NEW(arena, uint8_t, n * n);
  in.bonds = NF_NEW(arena, int64_t, batch->n_polymer_ligand + batch->n_ligand_ligand);
  add_bonds(batch->polymer_ligand_idxs, batch->polymer_ligand_mask, batch->n_polymer_ligand, n, seen, &in);
  add_bonds(batch->ligand_ligand_idxs, batch->ligand_ligand_mask, batch->n_ligand_ligand, n, seen, &in);
  make_templates(batch, arena, &in);
  *ret_inputs = in;
  return NF_OK;
}

model_inputs inputs_dry(int64_t n_token, int64_t n_slot, int64_t n_subset, int64_t n_query, int64_t n_key,
                        int64_t n_template) {
  return (model_inputs){.n_token = n_token,
                        .n_slot = n_slot,
                        .n_subset = n_subset,
                        .n_subset_full = n_subset,
                        .n_query = n_query,
                        .n_key = n_key,
                        .n_template = n_template,
                        .n_distinct_templates = (int)n_template};
}

int64_t inputs_bytes(const model_inputs *in) {
  int64_t n = in->n_token, m = in->n_subset * in->n_query, k = in->n_subset * in->n_key;
  int64_t tokens = n * (2 + 2 * N_CLASS) * 4 + n * in->n_slot * 8 + n * n, atoms = m * (5 * 4 + 12), keys = k * 16;
  return tokens + atoms + keys + in->n_template * n * (4 + 12 + 4 + 48 + 4) + 64 * (14 + 5 * in->n_template);
}

op_relative inputs_relative(nf_context *context, const model_inputs *inputs) {
  const nf_batch *batch = inputs->batch;
  int64_t n = inputs->n_token;
  return (op_relative){
      .residue_index = context_upload(context, batch ? batch->residue_index : NULL, (size_t)n * 4),
      .token_index = context_upload(context, batch ? batch->token_index : NULL, (size_t)n * 4),
      .asym_id = context_upload(context, batch ? batch->asym_id : NULL, (size_t)n * 4),
      .entity_id = context_upload(context, batch ? batch->entity_id : NULL, (size_t)n * 4),
      .sym_id = context_upload(context, batch ? batch->sym_id : NULL, (size_t)n * 4)};
}
