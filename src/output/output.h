// Files: the directory that AlphaFold 3 leaves, each file whole or not at all.
#ifndef NF_OUTPUT_OUTPUT_H
#define NF_OUTPUT_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/status.h"
#include "features/batch.h"
#include "features/layout.h"
#include "input/job.h"
#include "score/score.h"

// What the files say of their maker.
typedef struct {
  const char *model_name;    // "AlphaFold 3" only with its own weights
  bool is_alphafold3;        // then its name, citation and terms of use go into the files
  const char *model_notice;  // one sentence on what these weights can and cannot do; "" for none
  uint8_t model_id[64];      // the identifier that the weights carry, as text
  bool has_model_id;
  const char *version;  // of this program: "0.1.0"; NULL: not told
} output_origin;

typedef struct {
  bool compress;           // --compress_large_output_files: model.cif.zst, confidences.json.zst
  bool save_terms_of_use;  // --save_terms_of_use: AlphaFold 3's terms as a file, and its licence in the mmCIF
  bool pdb;                // --output_format=cif,pdb: model.pdb beside model.cif
  bool save_pde;           // --save_pde: PDE in confidences.json
} output_options;

// DIR/prefix_model.cif, _confidences.json, _summary_confidences.json and on request _model.pdb, which is left out with a
// warning where the structure does not fit into it; DIR is made if need be. All are written before the first is put in
// place. The positions and confidences must be finite (else NF_FAILED).
NF_CHECKED nf_status output_write_sample(const char *dir, const char *prefix, const nf_job *job,
                                         const nf_layout *layout, const nf_batch *batch, const nf_scores *scores,
                                         const output_origin *origin, const output_options *options);

// DIR/TERMS_OF_USE.md, once per job, in its own directory: only for AlphaFold 3's weights, and only if asked for.
NF_CHECKED nf_status output_write_terms(const char *dir, const output_origin *origin, const output_options *options);

typedef struct {
  uint32_t seed;
  int sample;
  double ranking_score;
} output_rank;
// DIR/NAME_ranking_scores.csv: seed,sample,ranking_score in the order given.
NF_CHECKED nf_status output_write_ranking(const char *dir, const char *name, const output_rank *ranks, int n);
// Index of the best sample (highest ranking score, first on ties, NaN last); -1 if n is 0.
int output_best(const output_rank *ranks, int n);

// DIR/prefix_embeddings.npz: single_embeddings (n, c_s), pair_embeddings (n, n, c_z), float16.
// single: (n_padded, c_s), pair: (n_padded, n_padded, c_z). DIR exists.
NF_CHECKED nf_status output_write_embeddings(const char *dir, const char *prefix, int n_tokens, int n_padded, int c_s,
                                             int c_z, const float *single, const float *pair);
// DIR/prefix_distogram.npz: distogram (n, n, bins), float16. logits: (n_padded, n_padded, bins). DIR exists.
NF_CHECKED nf_status output_write_distogram(const char *dir, const char *prefix, int n_tokens, int n_padded, int n_bins,
                                            const float *logits);

// The directory for a job: OUTPUT_DIR/NAME, or with a time stamp appended when that one holds files already and
// force is false (as the reference does). Creates it.
NF_CHECKED nf_status output_job_dir(const char *output_dir, const char *name, bool force, nf_arena *arena,
                                    const char **ret_dir);

// The table at the end of a run: a line per sample, best first, '-' for what is undefined. scores and ranks: (n), in
// the same order. Of nf_scores only the scalars and chain_plddt are read, of the layout only its chains.
void output_print_table(FILE *stream, const nf_layout *layout, const nf_scores *const *scores, const output_rank *ranks,
                        int n);

#endif
