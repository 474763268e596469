// Which tokens have a frame to measure errors in: every residue of a polymer, and every ligand atom that is not in
// line with its two nearest neighbours. The neighbours come from a reference structure drawn with a fixed seed, so
// that the mask does not depend on the job's.
#include <math.h>

#include "features/stages.h"

static const uint32_t FRAME_SEED = 12312837;
static const float COLLINEAR = 0.0937f;  // 1 - |cos|: less than 25 degrees off the line
static const double NO_CHOICE = 1e8;     // added to the distance of what must not be chosen

static float norm3(const float v[3]) { return sqrtf(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]); }

// atoms: positions (n, 3) of the residue's atoms, one a token; known: whether each has a reference position.
static bool has_frame(const float *atoms, int n, int self) {
  if (n < 3) return false;
  // The two smallest costs; the first index wins where they are equal.
  int nearest[2] = {-1, -1};
  double cost[2] = {INFINITY, INFINITY};
  for (int i = 0; i < n; i++) {
    float d[3];
    for (int k = 0; k < 3; k++) d[k] = atoms[3 * self + k] - atoms[3 * i + k];
    double c = norm3(d) + (i == self ? NO_CHOICE : 0);
    if (c < cost[0]) {
      nearest[1] = nearest[0], cost[1] = cost[0];
      nearest[0] = i, cost[0] = c;
    } else if (c < cost[1]) {
      nearest[1] = i, cost[1] = c;
    }
  }
  float v[2][3];
  for (int j = 0; j < 2; j++) {
    for (int k = 0; k < 3; k++) v[j][k] = atoms[3 * nearest[j] + k] - atoms[3 * self + k];
    float length = norm3(v[j]);
    if (length <= 1e-8f) return false;  // the same place: no direction
    for (int k = 0; k < 3; k++) v[j][k] /= length;
  }
  float cosine = v[0][0] * v[1][0] + v[0][1] * v[1][1] + v[0][2] * v[1][2];
  return !(1.0f - fabsf(cosine) < COLLINEAR);
}

nf_status frame_features(const nf_job *job, const nf_layout *l, const features_options *options, nf_arena *arena,
                         nf_batch *b) {
  features_options fixed = *options;
  fixed.conformer_max_iterations = 0;  // this pass is the same for every job and option
  reference_structure reference;
  NF_TRY(reference_create(job, l, FRAME_SEED, &fixed, true, arena, &reference));
  for (int t = 0; t < l->n_tokens; t++) {
    const layout_token *token = &l->tokens[t];
    const layout_residue *residue = &l->residues[token->residue];
    b->frames_mask[t] =
        l->chains[token->chain].sequence != NULL ||
        has_frame(&reference.positions[3 * residue->first_atom], residue->n_atoms, t - residue->first_token);
  }
  return NF_OK;
}
