// Scores: what a person reads, from the confidence head's numbers and the predicted atoms.
#ifndef NF_SCORE_SCORE_H
#define NF_SCORE_SCORE_H

#include <stdbool.h>

#include "base/memory.h"
#include "base/status.h"
#include "features/batch.h"
#include "features/layout.h"
#include "model/model.h"

// How many stereo centres could be compared with their reference, and which of them are inverted. c: chains.
typedef struct {
  int *chain_checked, *chain_errors;      // (c)
  int n_ligand_checked, n_ligand_errors;  // in ligands
  const int *ligand_errors;               // (n_ligand_errors) output atoms
} nf_chirality;

// Everything the reference derives for one sample; NaN where it is undefined. n is the number of real tokens,
// c the number of chains. Arrays live in the arena given to score_sample.
typedef struct {
  int n_tokens, n_chains, n_atoms;
  const float *positions;      // (n_atoms, 3) in the output's atom order
  const float *plddt;          // (n_atoms) 0 to 100
  const float *full_pae;       // (n, n)
  const float *full_pde;       // (n, n)
  const float *contact_probs;  // (n, n)
  double ptm, iptm, ptm_iptm_average;
  double ranking_score, ranking_confidence, ranking_confidence_pae;
  double fraction_disordered;
  bool has_clash;
  double predicted_distance_error;
  double *chain_pair_iptm;                                  // (c, c)
  double *chain_pair_pae_min;                               // (c, c)
  double *chain_pair_pde_mean, *chain_pair_pde_min;         // (c, c)
  double *iptm_ichain, *iptm_xchain;                        // (c)
  double *pae_ichain, *pae_xchain;                          // (c)
  double *intra_chain_single_pde, *cross_chain_single_pde;  // (c)
  double *chain_plddt;                                      // (c) mean over the chain's atoms, for the table on screen
  nf_chirality chirality;
} nf_scores;

// positions (N, A, 3) of one sample, as the sampler left them. Positions that are not finite are NF_FAILED.
NF_CHECKED nf_status score_sample(const nf_layout *layout, const nf_batch *batch, const float *positions,
                                  const confidence_output *confidence, const float *contact_probs, nf_arena *arena,
                                  nf_scores *ret_scores);

// The parts; all as in the reference's confidences.py. Chains are numbered 0 to n_chains - 1 here.

// Predicted TM score of `tm_adjusted_pae` (n, n): the best row's mean, over columns of other chains if `interface`,
// among rows that have a frame. NaN if there is no such pair.
double score_ptm(int n, const float *tm_adjusted_pae, const int *chain, const uint8_t *frames_mask, bool interface);
// The same for every pair of chains alone: ret (n_chains, n_chains), symmetric, each chain's own pTM on the diagonal.
void score_chain_pair_iptm(int n, int n_chains, const float *tm_adjusted_pae, const int *chain,
                           const uint8_t *frames_mask, double *ret);

// Means and minima of an (n, n) error over pairs of chains, row chain first. weights (n, n) NULL: all 1. Rows without a
// frame are left out; frames_mask NULL: none is. NaN where no row is left. Either result may be NULL.
void score_chain_pair_error(int n, int n_chains, const float *error, const float *weights, const int *chain,
                            const uint8_t *frames_mask, double *ret_mean, double *ret_min);
// A chain's mean over its pairs with the other chains, from both sides, NaN aside: pairs (c, c) -> ret (c).
void score_cross_chain(int n_chains, const double *pairs, double *ret);
// Mean PDE of each chain's tokens among themselves, and against all others, weighted by contact probability.
void score_single_pde(int n, int n_chains, const float *full_pde, const float *contact_probs, const int *chain,
                      double *ret_intra, double *ret_cross);
// Minus the mean error weighted by contact probability, over rows that have a frame.
double score_rank_metric(int n, const float *error, const float *contact_probs, const uint8_t *frames_mask);

// Clash: whether any polymer chain has more than 100 atoms, or more than half of its atoms, within 1.1 angstrom of a
// polymer atom of another chain, or of the same chain beyond the neighbouring residues. positions: (n_atoms, 3).
bool score_has_clash(const nf_layout *layout, const float *positions);
// Share of protein residues whose solvent accessibility (each chain alone), relative to its residue's maximum and
// smoothed over 25 residues, exceeds 0.581. Chains of equal sequence count as the first of them. positions: (n_atoms,
// 3).
double score_fraction_disordered(const nf_layout *layout, const float *positions);
// Compares every stereo centre of the sample, positions (n_atoms, 3), with the component that its residue is made of.
// Passed over: centres whose neighbours are not all there, phosphorus and others with two like ends, nitrogens that
// invert, and residues whose component is not known.
void score_chirality(const nf_layout *layout, const nf_batch *batch, const float *positions, nf_arena *arena,
                     nf_chirality *ret_chirality);
// What --rank_chirality takes off the ranking score: 100 times the share of the ligands' centres that are inverted.
double score_chirality_penalty(const nf_chirality *chirality);
double score_ranking(double ptm, double iptm, double fraction_disordered, bool has_clash);

#endif
