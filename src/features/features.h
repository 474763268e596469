// Featurisation: job and dictionary to layout and batch, for one seed.
#ifndef NF_FEATURES_FEATURES_H
#define NF_FEATURES_FEATURES_H

#include "features/batch.h"
#include "features/layout.h"

typedef struct {
  int conformer_max_iterations;  // 0: RDKit's default
  int n_buckets;                 // 0: no padding of tokens
  const int *buckets;            // ascending
  bool fix_standalone_glycans;
  bool resolve_msa_overlaps;  // default true
  int ref_max_modified_date;  // yyyymmdd; model coordinates serve as conformers only for components older than this
} features_options;
void features_default_options(features_options *options);

// Whether the job's components, SMILES ligands and bonds can be laid out, without making features: what is refused here
// is refused by features_create too, so a run can check all jobs before it starts.
NF_CHECKED nf_status features_check(const nf_job *job, const nf_ccd *ccd, const features_options *options);

// The whole of features/: calls layout, token, msa, template, reference, bonds and frames in order.
NF_CHECKED nf_status features_create(const nf_job *job, const nf_ccd *ccd, uint32_t seed,
                                     const features_options *options, nf_arena *arena, nf_layout *ret_layout,
                                     nf_batch *ret_batch);

// Bytes of a batch's arrays.
int64_t features_bytes(int n_token);

#endif
