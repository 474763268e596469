// Files: the directory that AlphaFold 3 leaves, each file whole or not at all.
#ifndef NF_OUTPUT_OUTPUT_H
#define NF_OUTPUT_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/status.h"
#include "features/layout.h"
#include "input/job.h"
#include "model/model.h"
#include "score/score.h"

// What the files say of their maker.
typedef struct {
  const char *model_name;   // "AlphaFold 3" only with its own weights
  bool is_alphafold3;       // then its terms of use and citation go into the files
  const char *model_notice; // one sentence on what these weights can and cannot do; "" for none
  uint8_t model_id[64];
  bool has_model_id;
} output_origin;

typedef struct {
  bool compress;            // --compress_large_output_files: model.cif.zst, confidences.json.zst
  bool save_terms_of_use;   // default true
} output_options;

// DIR/prefix_model.cif, _confidences.json, _summary_confidences.json (and TERMS_OF_USE.md where it applies).
NF_CHECKED nf_status output_write_sample(const char *dir, const char *prefix, const nf_job *job, const nf_layout *layout,
                                         const nf_batch *batch, const nf_scores *scores, const output_origin *origin,
                                         const output_options *options);

typedef struct {
  uint32_t seed;
  int sample;
  double ranking_score;
} output_rank;
// DIR/NAME_ranking_scores.csv: seed,sample,ranking_score in the order given.
NF_CHECKED nf_status output_write_ranking(const char *dir, const char *name, const output_rank *ranks, int n);
// Index of the best sample (highest ranking score, first on ties); -1 if n is 0.
int output_best(const output_rank *ranks, int n);

// DIR/prefix_embeddings.npz: single_embeddings (n, c_s), pair_embeddings (n, n, c_z), float16.
NF_CHECKED nf_status output_write_embeddings(const char *dir, const char *prefix, int n_tokens, int n_padded, int c_s,
                                             int c_z, const float *single, const float *pair);
// DIR/prefix_distogram.npz: distogram (n, n, bins), float16.
NF_CHECKED nf_status output_write_distogram(const char *dir, const char *prefix, int n_tokens, int n_padded, int n_bins,
                                            const float *logits);

// The directory for a job: OUTPUT_DIR/NAME, or with a time stamp appended when that one holds files already and
// force is false (as the reference does). Creates it.
NF_CHECKED nf_status output_job_dir(const char *output_dir, const char *name, bool force, nf_arena *arena,
                                    const char **ret_dir);

#endif
