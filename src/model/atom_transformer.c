// Algorithms 5 to 7 as far as they are shared: features of atoms, their pair logits, the transformer in windows.
#include "model/network.h"

atom_features atom_encoder_single(nf_context *context, const atom_encoder_weights *w, const model_inputs *inputs,
                                  nf_tensor trunk_single) {
  const nf_batch *batch = inputs->batch;
  int64_t n = inputs->n_token, atoms = n * inputs->n_slot, n_s = inputs->n_subset, n_k = inputs->n_key, m = n_s * inputs->n_query,
          c = tensor_last(w->ref_pos);
  atom_features f = {.cond = CONTEXT_2(context, m, c)};
  f.query_mask = tensor_1(context_upload(context, inputs->query_mask, (size_t)m * 4), m);
  f.key_mask = tensor_2(context_upload(context, inputs->key_mask, (size_t)(n_s * n_k) * 4), n_s, n_k);
  f.key_index = context_upload(context, inputs->key_index, (size_t)(n_s * n_k) * 4);
  f.atom_index = context_upload(context, inputs->atom_index, (size_t)m * 4);
  f.token_atom = context_upload(context, inputs->token_atom, (size_t)atoms * 4);
  f.query_token = context_upload(context, inputs->query_token, (size_t)m * 4);

  size_t mark = context_here(context);
  OP(context, atom_embed, .index = f.atom_index,
     .positions = context_upload(context, batch ? batch->ref_pos : NULL, (size_t)atoms * 12),
     .mask = context_upload(context, batch ? batch->ref_mask : NULL, (size_t)atoms),
     .element = context_upload(context, batch ? batch->ref_element : NULL, (size_t)atoms * 4),
     .charge = context_upload(context, batch ? batch->ref_charge : NULL, (size_t)atoms * 4),
     .name = context_upload(context, batch ? batch->ref_atom_name_chars : NULL, (size_t)atoms * 16),
     .w_positions = w->ref_pos, .w_mask = w->ref_mask, .w_element = w->ref_element, .w_charge = w->ref_charge,
     .w_name = w->ref_name, .y = f.cond);
  if (tensor_given(trunk_single)) {
    nf_tensor single = CONTEXT_2(context, n, c);
    OP(context, linear, .x = trunk_single, .normalise = true, .norm.scale = w->single_norm, .w = w->single,
       .exact = true, .y = single);
    OP(context, gather, .x = tensor_3(single.data, 1, n, c), .index = f.query_token, .add = true,
       .y = tensor_3(f.cond.data, 1, m, c));
  }
  context_reset(context, mark);
  return f;
}

op_atom_pair atom_encoder_pair(nf_context *context, const atom_encoder_weights *w, const model_inputs *inputs,
                               const atom_features *features) {
  int64_t n_s = inputs->n_subset, n_k = inputs->n_key, m = n_s * inputs->n_query, c_pair = tensor_last(w->row);
  nf_tensor row = CONTEXT_2(context, m, c_pair), col = CONTEXT_2(context, m, c_pair), none = CONTEXT_1(context, c_pair);
  OP(context, linear, .x = features->cond, .relu_input = true, .w = w->row, .y = row);
  OP(context, linear, .x = features->cond, .relu_input = true, .w = w->col, .y = col);
  OP(context, scale, .x = none, .factor = 0, .y = none);
  return (op_atom_pair){.row = row,
                        .col = col,
                        .col_none = none,
                        .query_token = features->query_token,
                        .key_token = context_upload(context, inputs->key_token, (size_t)(n_s * n_k) * 4),
                        .key_index = features->key_index,
                        .positions = tensor_2(context_upload(context, inputs->query_positions, (size_t)m * 12), m, 3),
                        .query_space = context_upload(context, inputs->query_space, (size_t)m * 4),
                        .key_space = context_upload(context, inputs->key_space, (size_t)(n_s * n_k) * 4),
                        .w_offsets = w->offsets,
                        .w_distances = w->distances,
                        .w_valid = w->valid,
                        .w_mlp = {w->mlp[0], w->mlp[1], w->mlp[2]},
                        .y = features->pair};
}

atom_features atom_encoder_features(nf_context *context, const atom_encoder_weights *w, const model_inputs *inputs) {
  atom_features f = atom_encoder_single(context, w, inputs, (nf_tensor){0});
  f.pair = CONTEXT_4(context, inputs->n_subset, inputs->n_query, inputs->n_key, tensor_last(w->row));
  size_t mark = context_here(context);
  op_atom_pair pair = atom_encoder_pair(context, w, inputs, &f);
  context->ops->atom_pair(context, &pair);
  context_reset(context, mark);
  return f;
}

nf_tensor atom_logits_place(nf_context *context, const atom_transformer_weights *w, const model_inputs *inputs) {
  int64_t heads = tensor_count(w->logits) / w->logits.shape[0];
  return CONTEXT_4(context, inputs->n_subset, heads, inputs->n_key, inputs->n_query);
}
void atom_logits(nf_context *context, const atom_transformer_weights *w, const atom_features *features, nf_tensor logits) {
  OP(context, pair_logits, .x = features->pair, .norm.scale = w->logits_norm, .w = w->logits, .out = logits);
}

void atom_transformer(nf_context *context, const atom_transformer_weights *w, const atom_features *features,
                      nf_tensor logits, const block_conditions *conditions, nf_tensor x) {
  for (int i = 0; i < w->n_blocks; i++) {
    const diffusion_block_weights *b = &w->blocks[i];
    OP(context, atom_attention, .x = x, .query = conditions[i].query, .key = conditions[i].key, .wq = b->q, .bq = b->bq,
       .wk = b->k, .wv = b->v, .wg = b->g, .wo = b->o, .logits = logits, .first_head = i * (int)b->q.shape[1],
       .key_index = features->key_index, .query_mask = features->query_mask, .key_mask = features->key_mask);
    diffusion_block_transition(context, b, &conditions[i], x);
  }
}
