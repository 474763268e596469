// Algorithm 16: templates into the pair representation.
#include "model/network.h"

// away += factor * act, some rows at a time; away = instead, if it is the first.
static void add_away(nf_context *context, nf_tensor act, float factor, bool is_first, char *away) {
  enum { AT_ONCE = 1 << 18 };
  int64_t m = tensor_rows(act), c = tensor_last(act);
  size_t mark = context_here(context);
  nf_tensor sum = context_narrow(context, 2, m < AT_ONCE ? m : AT_ONCE, c, 1, 1);
  for (int64_t first = 0; first < m && !context->dry; first += AT_ONCE) {
    int64_t count = m - first < AT_ONCE ? m - first : AT_ONCE;
    nf_tensor part = tensor_some_rows(sum, 0, count);
    char *there = away + first * c * tensor_value_bytes(sum);
    if (is_first) OP(context, scale, .x = part, .factor = 0, .y = part);
    else context->ops->bring_back(part.data, there, (size_t)tensor_bytes(part));
    OP(context, scale, .x = tensor_some_rows(act, first, count), .factor = factor, .add = true, .y = part);
    context->ops->put_away(there, part.data, (size_t)tensor_bytes(part));
  }
  context_reset(context, mark);
}

void template_embedder(nf_context *context, const nf_model *model, const model_inputs *inputs, nf_tensor pair,
                       nf_tensor mask, void *away) {
  const template_weights *w = &model->templates;
  int64_t n = inputs->n_token, c = tensor_last(w->query), c_z = tensor_last(pair);
  size_t mark = context_here(context), mark_away = context_away_here(context);
  bool alone = inputs->n_distinct_templates == 1;  // then it is its own sum
  bool waits = context->offload && !alone && !pair.away;
  // Where the pair is, they are.
  nf_tensor act = pair.away ? context_away(context, true, 3, n, n, c, 1) : CONTEXT_NARROW_3(context, n, n, c);
  nf_tensor sum = alone || waits ? act : pair.away ? context_away(context, true, 3, n, n, c, 1) : CONTEXT_NARROW_3(context, n, n, c);
  const int32_t *asym_id = context_upload(context, inputs->batch ? inputs->batch->asym_id : NULL, (size_t)n * 4);
  if (!alone && !waits) OP(context, scale, .x = sum, .factor = 0, .y = sum);
  // The absent templates count as well: the mean is over all of them.
  for (int k = 0; k < inputs->n_distinct_templates; k++) {
    const template_features *t = inputs->templates ? &inputs->templates[k] : &(template_features){0};
    size_t inner = context_here(context);
    nf_tensor beta_mask = tensor_1(context_upload(context, t->beta_mask, (size_t)n * 4), n);
    // Made anew for each: as cheap as a copy, and one tensor less.
    OP(context, linear, .x = tensor_as_2(pair, n * n, c_z), .normalise = true, .norm = w->query_norm, .w = w->query,
       .y = tensor_as_2(act, n * n, c));
    OP(context, distance_embed, .positions = tensor_2(context_upload(context, t->beta, (size_t)n * 12), n, 3),
       .mask = beta_mask, .group = asym_id, .w = w->distance, .y = act);
    OP(context, template_embed, .residue_class = context_upload(context, t->residue_class, (size_t)n * 4),
       .asym_id = asym_id, .beta_mask = beta_mask,
       .frame_mask = tensor_1(context_upload(context, t->frame_mask, (size_t)n * 4), n),
       .frame = tensor_2(context_upload(context, t->frame, (size_t)n * 48), n, 12), .w_beta_mask = w->beta_mask,
       .w_class_j = w->class_j, .w_class_i = w->class_i,
       .w_direction = {w->direction[0], w->direction[1], w->direction[2]}, .w_frame_mask = w->frame_mask, .y = act);
    for (int i = 0; i < model->dims.n_template_blocks; i++) pair_block(context, &w->blocks[i], act, mask);
    OP(context, layer_norm, .x = act, .norm = w->out_norm, .y = act);
    if (waits) add_away(context, act, (float)t->count, k == 0, away);
    else OP(context, scale, .x = act, .factor = (float)t->count, .add = !alone, .y = sum);
    context_reset(context, inner);
  }
  if (waits && !context->dry) context->ops->bring_back(sum.data, away, (size_t)tensor_bytes(sum));
  OP(context, scale, .x = sum, .factor = 1.0f / (1e-7f + (float)inputs->n_template), .y = sum);
  OP(context, linear, .x = tensor_as_2(sum, n * n, c), .relu_input = true, .w = w->out, .add = true,
     .y = tensor_as_2(pair, n * n, c_z));
  context_reset(context, mark);
  context_away_reset(context, mark_away);
}
