// One sample's scores, put together. The padding ends here: everything below has the real tokens alone.
#include "score/score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double score_ranking(double ptm, double iptm, double fraction_disordered, bool has_clash) {
  // A single chain has no interface.
  double confidence = isnan(iptm) ? ptm : 0.8 * iptm + 0.2 * ptm;
  return confidence + 0.5 * fraction_disordered - 100.0 * has_clash;
}

static int by_value(const void *a, const void *b) {
  int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return (x > y) - (x < y);
}

// Numbers chains 0, 1, ... in the order of their asym_id; returns how many there are.
static int number_chains(int n, const int32_t *asym_id, nf_arena *arena, int *ret_chain) {
  nf_arena_mark mark = nf_arena_here(arena);
  int32_t *sorted = NF_NEW(arena, int32_t, n);
  int c = 0;
  memcpy(sorted, asym_id, (size_t)n * sizeof *sorted);
  qsort(sorted, (size_t)n, sizeof *sorted, by_value);
  for (int i = 0; i < n; i++) {
    if (!c || sorted[i] != sorted[c - 1]) sorted[c++] = sorted[i];
  }
  for (int i = 0; i < n; i++) {
    const int32_t *at = bsearch(&asym_id[i], sorted, (size_t)c, sizeof *sorted, by_value);
    ret_chain[i] = (int)(at - sorted);
  }
  nf_arena_reset(arena, mark);
  return c;
}

// The (n, n) corner of an (N, N) array.
static float *corner(int n, int n_padded, const float *array, nf_arena *arena) {
  float *out = nf_arena_alloc(arena, (size_t)n * (size_t)n * sizeof *out);
  for (int i = 0; i < n; i++) memcpy(out + (size_t)i * n, array + (size_t)i * n_padded, (size_t)n * sizeof *out);
  return out;
}

nf_status score_sample(const nf_layout *layout, const nf_batch *batch, const float *positions,
                       const confidence_output *confidence, const float *contact_probs, nf_arena *arena,
                       nf_scores *ret_scores) {
  int n = layout->n_tokens, n_padded = batch->n_token, n_atoms = layout->n_atoms;
  NF_ASSERT(n > 0 && n <= n_padded);
  nf_scores s = {.n_tokens = n, .n_atoms = n_atoms};
  float *atoms = NF_NEW(arena, float, 3 * (size_t)n_atoms), *plddt = NF_NEW(arena, float, n_atoms);
  for (int i = 0; i < n_atoms; i++) {
    size_t from = (size_t)layout->atoms[i].token * (size_t)batch->n_slot + (size_t)layout->atoms[i].slot;
    memcpy(atoms + 3 * i, positions + 3 * from, 3 * sizeof *atoms);
    plddt[i] = confidence->predicted_lddt[from];
    if (!isfinite(atoms[3 * i]) || !isfinite(atoms[3 * i + 1]) || !isfinite(atoms[3 * i + 2])) {
      return nf_fail(NF_FAILED,
                     "the sampler left atom %s of token %d at no finite place: these weights do not fit this program",
                     layout->atoms[i].name, layout->atoms[i].token + 1);
    }
  }
  s.positions = atoms;
  s.plddt = plddt;
  s.full_pae = corner(n, n_padded, confidence->full_pae, arena);
  s.full_pde = corner(n, n_padded, confidence->full_pde, arena);
  s.contact_probs = corner(n, n_padded, contact_probs, arena);
  int *chain = NF_NEW(arena, int, n);
  int c = s.n_chains = number_chains(n, batch->asym_id, arena, chain);
  const uint8_t *frames = batch->frames_mask;

  size_t pairs = (size_t)c * (size_t)c;
  s.chain_pair_iptm = NF_NEW(arena, double, pairs);
  s.chain_pair_pae_min = NF_NEW(arena, double, pairs);
  s.chain_pair_pde_mean = NF_NEW(arena, double, pairs);
  s.chain_pair_pde_min = NF_NEW(arena, double, pairs);
  s.iptm_ichain = NF_NEW(arena, double, c);
  s.iptm_xchain = NF_NEW(arena, double, c);
  s.pae_ichain = NF_NEW(arena, double, c);
  s.pae_xchain = NF_NEW(arena, double, c);
  s.intra_chain_single_pde = NF_NEW(arena, double, c);
  s.cross_chain_single_pde = NF_NEW(arena, double, c);
  s.chain_plddt = NF_NEW(arena, double, c);

  nf_arena_mark mark = nf_arena_here(arena);
  // pTM and ipTM of the whole read the global TM term; chain pairs the one scaled to each interface.
  const float *tm = corner(n, n_padded, confidence->tmscore_adjusted_pae_global, arena);
  s.ptm = score_ptm(n, tm, chain, frames, false);
  s.iptm = score_ptm(n, tm, chain, frames, true);
  nf_arena_reset(arena, mark);
  tm = corner(n, n_padded, confidence->tmscore_adjusted_pae_interface, arena);
  score_chain_pair_iptm(n, c, tm, chain, frames, s.chain_pair_iptm);
  nf_arena_reset(arena, mark);
  s.ptm_iptm_average = 0.8 * s.iptm + 0.2 * s.ptm;
  s.ranking_confidence = c > 1 ? s.ptm_iptm_average : s.ptm;
  s.ranking_confidence_pae = score_rank_metric(n, s.full_pae, s.contact_probs, frames);

  score_chain_pair_error(n, c, s.full_pae, NULL, chain, frames, NULL, s.chain_pair_pae_min);
  score_chain_pair_error(n, c, s.full_pde, NULL, chain, NULL, s.chain_pair_pde_mean, s.chain_pair_pde_min);
  double *pae_by_contact = NF_NEW(arena, double, pairs);
  score_chain_pair_error(n, c, s.full_pae, s.contact_probs, chain, frames, pae_by_contact, NULL);
  for (int i = 0; i < c; i++) {
    s.iptm_ichain[i] = s.chain_pair_iptm[(size_t)i * c + i];
    s.pae_ichain[i] = pae_by_contact[(size_t)i * c + i];
  }
  score_cross_chain(c, s.chain_pair_iptm, s.iptm_xchain);
  score_cross_chain(c, pae_by_contact, s.pae_xchain);
  score_single_pde(n, c, s.full_pde, s.contact_probs, chain, s.intra_chain_single_pde, s.cross_chain_single_pde);
  s.predicted_distance_error = confidence->average_pde;

  int *count = NF_NEW(arena, int, c);
  for (int i = 0; i < n_atoms; i++) {
    int k = chain[layout->atoms[i].token];
    s.chain_plddt[k] += plddt[i];
    count[k]++;
  }
  for (int i = 0; i < c; i++) s.chain_plddt[i] /= count[i];
  nf_arena_reset(arena, mark);

  score_chirality(layout, batch, atoms, arena, &s.chirality);
  s.has_clash = score_has_clash(layout, atoms);
  s.fraction_disordered = score_fraction_disordered(layout, atoms);
  s.ranking_score = score_ranking(s.ptm, s.iptm, s.fraction_disordered, s.has_clash);
  *ret_scores = s;
  return NF_OK;
}
