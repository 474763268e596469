// Scores: what a person reads, from the confidence head's numbers and the predicted atoms.
#ifndef NF_SCORE_SCORE_H
#define NF_SCORE_SCORE_H

#include <stdbool.h>

#include "base/memory.h"
#include "base/status.h"
#include "features/batch.h"
#include "features/layout.h"
#include "model/model.h"

// Everything the reference derives for one sample; NaN where it is undefined. n is the number of real tokens,
// c the number of chains. Arrays live in the arena given to score_sample.
typedef struct {
  int n_tokens, n_chains, n_atoms;
  const float *positions;         // (n_atoms, 3) in the output's atom order
  const float *plddt;             // (n_atoms) 0 to 100
  const float *full_pae;          // (n, n)
  const float *full_pde;          // (n, n)
  const float *contact_probs;     // (n, n)
  double ptm, iptm, ptm_iptm_average;
  double ranking_score, ranking_confidence, ranking_confidence_pae;
  double fraction_disordered;
  bool has_clash;
  double predicted_distance_error;
  double *chain_pair_iptm;        // (c, c)
  double *chain_pair_pae_min;     // (c, c)
  double *chain_pair_pde_mean, *chain_pair_pde_min;  // (c, c)
  double *iptm_ichain, *iptm_xchain;                 // (c)
  double *pae_ichain, *pae_xchain;                   // (c)
  double *intra_chain_single_pde, *cross_chain_single_pde;  // (c)
  double *chain_plddt;            // (c) mean over the chain's atoms, for the table on screen
} nf_scores;

// positions (N, A, 3) of one sample, as the sampler left them.
NF_CHECKED nf_status score_sample(const nf_layout *layout, const nf_batch *batch, const float *positions,
                                  const confidence_output *confidence, const float *contact_probs, nf_arena *arena,
                                  nf_scores *ret_scores);

// The parts, for tests; all as in the reference's confidences.py.
double score_ptm(int n, const float *tm_adjusted_pae, const int32_t *asym_id, const uint8_t *pair_mask, bool interface);
// Clash: more than 100 atoms, or more than half of the smaller chain's, within 1.1 angstrom of another polymer chain.
bool score_has_clash(const nf_layout *layout, const float *positions);
// Share of residues whose solvent accessibility, smoothed over 25 residues, exceeds 0.581 of its maximum.
double score_fraction_disordered(const nf_layout *layout, const float *positions);
double score_ranking(double ptm, double iptm, double fraction_disordered, bool has_clash);

#endif
