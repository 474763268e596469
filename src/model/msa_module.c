// Algorithm 8, one block, and the order in which a pass reads the MSA.
#include <stdlib.h>

#include "model/network.h"

void msa_block(nf_context *context, const msa_block_weights *w, nf_tensor msa, nf_tensor pair, nf_tensor msa_mask,
               nf_tensor column_mask, nf_tensor mask) {
  OP(context, outer_product_mean, .msa = msa, .mask = msa_mask, .norm = w->outer_norm, .w_left = w->outer_left,
     .w_right = w->outer_right, .w = w->outer_w, .b = w->outer_b, .pair = pair);
  OP(context, pair_average, .msa = msa, .column_mask = column_mask, .pair = pair, .norm = w->norm,
     .norm_pair = w->norm_pair, .w_logits = w->logits, .wv = w->v, .wg = w->g, .wo = w->o);
  OP(context, transition, .x = msa, .norm = w->transition.norm, .w1 = w->transition.w1, .w2 = w->transition.w2);
  pair_block(context, &w->pair, pair, mask);
}

typedef struct {
  float score;
  int32_t row;
} scored_row;

static int by_score_falling(const void *a, const void *b) {
  const scored_row *x = a, *y = b;
  if (x->score != y->score) return x->score < y->score ? 1 : -1;
  return x->row < y->row ? 1 : -1;
}

void msa_order(const nf_batch *batch, nf_key key, nf_arena *arena, int32_t *order) {
  int n = batch->n_row, n_token = batch->n_token;
  nf_arena_mark mark = nf_arena_here(arena);
  scored_row *rows = NF_NEW(arena, scored_row, n);
  for (int r = 0; r < n; r++) {
    bool any = false;
    for (int i = 0; i < n_token && !any; i++) any = batch->msa_mask[(int64_t)r * n_token + i];
    // A key of its own for each row, so that padding changes nothing.
    float noise = nf_random_gumbel(nf_key_fold_in(key, (uint32_t)r), 0);
    rows[r] = (scored_row){(any ? 0.0f : -1e6f) + noise, r};
  }
  qsort(rows, (size_t)n, sizeof *rows, by_score_falling);
  for (int r = 0; r < n; r++) order[r] = rows[r].row;
  nf_arena_reset(arena, mark);
}
