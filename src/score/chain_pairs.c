// Averages over tokens, chains and pairs of chains. Sums are double; the small terms in denominators are the
// reference's, which keep an empty average from dividing by zero.
#include <math.h>
#include <stdlib.h>

#include "score/score.h"

// Row sums of an (n, n) array by the column's chain: ret (n, n_chains).
static void sum_rows(int n, int n_chains, const float *array, const int *chain, double *ret) {
#pragma omp parallel for schedule(static)
  for (int i = 0; i < n; i++) {
    double *sums = ret + (size_t)i * n_chains;
    for (int k = 0; k < n_chains; k++) sums[k] = 0;
    for (int j = 0; j < n; j++) sums[chain[j]] += array[(size_t)i * n + j];
  }
}

static double *count_tokens(int n, int n_chains, const int *chain) {
  double *count = nf_calloc((size_t)n_chains, sizeof *count);
  for (int i = 0; i < n; i++) count[chain[i]]++;
  return count;
}

static double larger(double a, double b) { return isnan(a) || b > a ? b : a; }

double score_ptm(int n, const float *tm_adjusted_pae, const int *chain, const uint8_t *frames_mask, bool interface) {
  double best = NAN;
  bool any = false;
  for (int i = 0; i < n; i++) {
    double sum = 0;
    int count = 0;
    for (int j = 0; frames_mask[i] && j < n; j++) {
      if (interface && chain[j] == chain[i]) continue;
      sum += tm_adjusted_pae[(size_t)i * n + j];
      count++;
    }
    any = any || count;
    best = larger(best, sum / (1e-8 + count));
  }
  return any ? best : NAN;
}

void score_chain_pair_iptm(int n, int n_chains, const float *tm_adjusted_pae, const int *chain,
                           const uint8_t *frames_mask, double *ret) {
  double *sums = nf_calloc((size_t)n * (size_t)n_chains, sizeof *sums);
  double *count = count_tokens(n, n_chains, chain);
  sum_rows(n, n_chains, tm_adjusted_pae, chain, sums);
  for (int i = 0; i < n_chains * n_chains; i++) ret[i] = NAN;
  // A pair of chains: the rows of each see the columns of the other; a chain alone sees itself.
  for (int i = 0; i < n; i++) {
    if (!frames_mask[i]) continue;
    for (int k = 0; k < n_chains; k++) {
      double *pair = &ret[(size_t)chain[i] * n_chains + k];
      *pair = larger(*pair, sums[(size_t)i * n_chains + k] / (1e-8 + count[k]));
    }
  }
  for (int a = 0; a < n_chains; a++) {
    for (int b = a + 1; b < n_chains; b++) {
      double *ab = &ret[(size_t)a * n_chains + b], *ba = &ret[(size_t)b * n_chains + a];
      *ab = *ba = isnan(*ba) ? *ab : larger(*ab, *ba);
    }
  }
  free(sums);
  free(count);
}

void score_chain_pair_error(int n, int n_chains, const float *error, const float *weights, const int *chain,
                            const uint8_t *frames_mask, double *ret_mean, double *ret_min) {
  size_t pairs = (size_t)n_chains * (size_t)n_chains;
  double *weighted = nf_calloc(pairs, sizeof *weighted), *weight = nf_calloc(pairs, sizeof *weight);
  double *count = nf_calloc(pairs, sizeof *count), *least = nf_calloc(pairs, sizeof *least);
  for (size_t p = 0; p < pairs; p++) least[p] = NAN;
  for (int i = 0; i < n; i++) {
    if (frames_mask && !frames_mask[i]) continue;
    for (int j = 0; j < n; j++) {
      size_t p = (size_t)chain[i] * (size_t)n_chains + (size_t)chain[j], at = (size_t)i * n + j;
      double w = weights ? weights[at] : 1;
      weighted[p] += w * error[at];
      weight[p] += w;
      count[p]++;
      if (!(error[at] >= least[p])) least[p] = error[at];
    }
  }
  for (size_t p = 0; p < pairs; p++) {
    // A chain of fewer than three atoms, or of three in a line, has no frame.
    if (ret_mean) {
      double small = weights ? 1e-8 : 0;
      ret_mean[p] = count[p] ? (weighted[p] / count[p]) / (small + weight[p] / count[p]) : NAN;
    }
    if (ret_min) ret_min[p] = least[p];
  }
  free(weighted);
  free(weight);
  free(count);
  free(least);
}

// Mean of the pairs of chain i with all others, in its row or its column; NaN pairs aside, NaN if there is none.
static double mean_of_others(int n_chains, const double *pairs, int i, bool in_row) {
  double sum = 0;
  int count = 0;
  for (int k = 0; k < n_chains; k++) {
    double value = in_row ? pairs[(size_t)i * n_chains + k] : pairs[(size_t)k * n_chains + i];
    if (k == i || isnan(value)) continue;
    sum += value;
    count++;
  }
  return count ? sum / count : NAN;
}

void score_cross_chain(int n_chains, const double *pairs, double *ret) {
  for (int i = 0; i < n_chains; i++) {
    double row = mean_of_others(n_chains, pairs, i, true), column = mean_of_others(n_chains, pairs, i, false);
    ret[i] = isnan(row) ? column : isnan(column) ? row : (row + column) / 2;
  }
}

void score_single_pde(int n, int n_chains, const float *full_pde, const float *contact_probs, const int *chain,
                      double *ret_intra, double *ret_cross) {
  double *sums = nf_calloc(4 * (size_t)n_chains, sizeof *sums);  // for each chain: error and weight, intra and cross
  for (int i = 0; i < n; i++) {
    double *of_chain = sums + 4 * chain[i];
    for (int j = 0; j < n; j++) {
      double w = contact_probs[(size_t)i * n + j], *side = of_chain + (chain[j] == chain[i] ? 0 : 2);
      side[0] += w * full_pde[(size_t)i * n + j];
      side[1] += w;
    }
  }
  double all = (double)n * n;
  for (int k = 0; k < n_chains; k++) {
    const double *s = sums + 4 * k;
    ret_intra[k] = s[0] / all / (1e-8 + s[1] / all);
    ret_cross[k] = s[2] / all / (1e-8 + s[3] / all);
  }
  free(sums);
}

double score_rank_metric(int n, const float *error, const float *contact_probs, const uint8_t *frames_mask) {
  double sum = 0, weight = 0;
  for (int i = 0; i < n; i++) {
    for (int j = 0; frames_mask[i] && j < n; j++) {
      size_t at = (size_t)i * n + j;
      sum += (double)error[at] * contact_probs[at];
      weight += contact_probs[at];
    }
  }
  return -sum / (weight + 1e-6);
}
