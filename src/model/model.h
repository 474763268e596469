// The network of AlphaFold 3, on the ops of tensor/ops.h. Letters used in every shape comment of this room:
//   N      tokens                       c_s    single channels (384)      S   atom query subsets
//   R      MSA rows read (num_msa)      c_z    pair channels (128)        Q   queries of a subset (32)
//   T      templates (4)                c_m    MSA channels (64)          K   keys of a subset (128)
//   A      atom slots of a token (24)   c_target  target_feat (447)       c_atom, c_atompair  128, 16
//   c_token  diffusion token channels (768)
// Every number in brackets is AlphaFold 3's and is read from the weights, never assumed.
#ifndef NF_MODEL_MODEL_H
#define NF_MODEL_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/status.h"
#include "base/threefry.h"
#include "features/batch.h"
#include "weights/weights.h"

// The network bound to weights; read-only and shared by everything that runs on it.
typedef struct nf_model nf_model;

typedef struct {
  int c_s, c_z, c_m, c_target, c_token, c_atom, c_atompair;
  int n_pairformer_blocks, n_msa_blocks, n_template_blocks, n_diffusion_blocks, n_confidence_blocks;
  int n_pair_heads, n_single_heads, n_diffusion_heads;
  int64_t n_values;  // parameters in all
} model_dims;

// Binds every record to its place. A missing or mis-shaped record is refused by name, with both shapes.
// `weights` must outlive the model. device: "cpu", "cuda" or "auto".
NF_CHECKED nf_status model_create(const nf_weights *weights, const char *device, nf_model **ret_model);
void model_free(nf_model *model);  // NULL is fine
const model_dims *model_dimensions(const nf_model *model);

// Where a seam's values go (`nativefold trace`, golden tests). NULL trace: nothing is kept.
typedef struct {
  void *context;
  // dtype: NF_F32, NF_I32 or NF_BOOL. data is on the host and valid during the call.
  void (*seam)(void *context, const char *name, nf_dtype dtype, int n_dims, const int64_t *shape, const void *data);
} nf_trace;

// Called with the number of steps newly done, for progress; may be NULL.
typedef struct {
  void *context;
  void (*step)(void *context, int steps);
} nf_ticker;

// Where a stage can be left and taken up again with the same result, bit for bit.
typedef struct {
  int32_t part;    // diffusion: the first sample of the group; trunk: 0
  int32_t done;    // whole passes of the trunk, or steps of the diffusion
  int32_t within;  // pairformer blocks of the pass under way
  int n_arrays;    // trunk: target_feat, single, pair; diffusion: positions
  float *arrays[3];  // on the host
  int64_t counts[3];
} stage_state;

// Who keeps such states, and gives them back.
typedef struct {
  void *context;
  // At the start of a stage: fills the arrays and what is done; false if nothing is there for this part.
  bool (*restore)(void *context, stage_state *state);
  // After every block and step: whether the state is to be kept now. At a stage's end it is kept without asking.
  bool (*wanted)(void *context);
  // Keeps the state; false: the stage is to stop, and fails with NF_FAILED.
  bool (*keep)(void *context, const stage_state *state);
} nf_keeper;

// How a job uses memory: chosen before the run (plan.h), followed by every stage. All zero: everything resident. What
// is computed does not depend on it, bit for bit.
typedef struct {
  int64_t chunk_rows;    // rows of a pair tensor that an op's own copies hold at once; 0: all
  bool logits_remade;    // pair logits of the diffusion transformer are made anew in every step, not kept
  int samples_at_once;   // samples that pass the diffusion together; 0: all
  bool pair_lent;        // the trunk's pair goes to the host while later stages work where it lay, where they can
  bool logits_by_block;  // what is made anew, a block's logits at a time; else those of a super-block's blocks together
  bool sum_away;         // the sum over templates waits on the host while one of them is embedded
  bool streamed;         // pair tensors lie in the host's memory; ops bring them over in pieces of chunk_rows rows
  int plane_channels;    // then: channels of triangle multiplication's whole factor on the device at once; 0: all
  bool rows_away;        // then: so do the rows from which the diffusion's pair logits are made
} memory_plan;

typedef struct {
  int num_recycles;  // additional passes; 10
  int num_msa;       // rows of the MSA read in each pass; 1024
  nf_key key;        // what the reference calls the model's key
  const nf_trace *trace;
  const nf_ticker *ticker;  // one step a pairformer block (and one for the rest of a pass)
  const nf_keeper *keeper;  // NULL: no states are kept
  const memory_plan *plan;  // NULL: all resident. Later stages follow it too
} trunk_options;

// On the model's device, where the later stages read it: in the arena if host and device memory are one, else in
// memory of the device's own, which trunk_free gives back. The pair may be in the host's, by the plan.
typedef struct {
  float *target_feat;    // (N, c_target)
  float *single;         // (N, c_s)
  float *pair;           // (N, N, c_z)
  bool narrow;           // values at `pair` are bf16, two bytes each
  struct pair_loan *loan;  // of the pair's memory to later stages (network.h); NULL: it is never lent
  const memory_plan *plan;
  const nf_model *model;
  int n_token;
} trunk_output;
void trunk_free(trunk_output *trunk);  // zeroed is fine
// The three arrays on the host, floats: themselves, or copies in the arena.
typedef struct {
  const float *target_feat, *single, *pair;
} trunk_arrays;
trunk_arrays trunk_on_host(const trunk_output *trunk, nf_arena *arena);

// Algorithm 1, lines 1 to 14: embedding, templates, MSA, pairformer, recycled. trunk_free is due if it succeeded.
NF_CHECKED nf_status trunk_run(const nf_model *model, const nf_batch *batch, const trunk_options *options,
                               nf_arena *arena, trunk_output *ret_trunk);

typedef struct {
  int steps;          // 200
  int n_samples;      // 5
  nf_key key;         // the sampler's key
  int noise_tokens;   // tokens of the bucket that noise is indexed by (>= N); 0: N itself
  const nf_trace *trace;
  const nf_ticker *ticker;  // one step a noise step (all samples, or those of a group)
  const nf_keeper *keeper;  // NULL: no states are kept
} diffusion_options;

// Algorithm 18 for all samples at once. positions: (n_samples, N, A, 3), angstrom.
NF_CHECKED nf_status diffusion_run(const nf_model *model, const nf_batch *batch, const trunk_output *trunk,
                                   const diffusion_options *options, nf_arena *arena, float **ret_positions);

// One call of the denoiser (algorithm 20) at a noise level, for `trace --denoise`. prefix names its seams:
// "denoise_hi" gives denoise_hi_out, denoise_hi_diff_single_cond, ...
NF_CHECKED nf_status diffusion_denoise(const nf_model *model, const nf_batch *batch, const trunk_output *trunk,
                                       const float *positions_noisy, float noise_level, const char *prefix,
                                       const nf_trace *trace, nf_arena *arena, float *positions_out);

typedef struct {
  float *predicted_lddt;                  // (N, A), 0 to 100
  float *predicted_experimentally_resolved;  // (N, A)
  float *full_pae;                        // (N, N), angstrom
  float *full_pde;                        // (N, N), angstrom
  float *tmscore_adjusted_pae_global;     // (N, N)
  float *tmscore_adjusted_pae_interface;  // (N, N)
  float average_pde;                      // angstrom
} confidence_output;

// Algorithm 31 for one sample's positions (N, A, 3). Seam names get no sample index.
NF_CHECKED nf_status confidence_run(const nf_model *model, const nf_batch *batch, const trunk_output *trunk,
                                    const float *positions, const nf_trace *trace, nf_arena *arena,
                                    confidence_output *ret_confidence);

typedef struct {
  int n_bins;
  float *bin_edges;      // (n_bins - 1), angstrom
  float *contact_probs;  // (N, N)
  float *logits;         // (N, N, n_bins)
} distogram_output;
// logits_wanted: false if nobody reads them; they may be NULL then.
NF_CHECKED nf_status distogram_run(const nf_model *model, const nf_batch *batch, const trunk_output *trunk, bool logits_wanted,
                                   nf_arena *arena, distogram_output *ret_distogram);

// The keys that the reference's production order gives for a seed: model(PRNGKey(seed), batch) with haiku's
// next_rng_key sequence. The sampler's key depends on the recycles and on the numbers of layer stacks.
void model_keys(const nf_model *model, uint32_t seed, int num_recycles, nf_key *ret_trunk_key, nf_key *ret_sample_key);
// The same from a given haiku key, with the trunk key given instead of drawn (as the goldens were made): see trace.
void model_sample_key(const nf_model *model, nf_key rng_key, bool trunk_key_drawn, int num_recycles, nf_key *ret_sample_key);

// What a part of a job costs, counted by a dry run of the same code.
typedef struct {
  int64_t bytes;        // of working memory at its peak, on the device
  int64_t flops_once;   // matrix products before the first pass, step or sample
  int64_t flops_each;   // of one pass of the trunk, one step of all samples, one sample's confidence
  int64_t away_bytes;   // of working memory in the host's page-locked memory at its peak
} model_cost;
typedef struct {
  model_cost trunk, diffusion, confidence;
} model_costs;
// n_row: MSA rows that hold anything (no more than num_msa). n_subset: windows of the batch that hold atoms. Counted
// with everything resident.
void model_count(const nf_model *model, int n_token, int n_subset, int n_row, int n_samples, model_costs *ret_costs);

// Bytes that trunk, diffusion, distogram and confidence need at their peak beside weights and batch, results included,
// counted before anything runs, with everything resident.
int64_t model_peak_bytes(const nf_model *model, int n_token, int n_subset, int n_row, int n_samples);

// For `nativefold bench`: one run over the first n_blocks blocks (all if 0) on made-up values.
typedef struct {
  double seconds;
  int64_t flops;  // of matrix products, two a multiply-add
} model_timing;
NF_CHECKED nf_status model_time_pairformer(const nf_model *model, int n_token, int n_blocks, nf_arena *arena,
                                           model_timing *ret_timing);
NF_CHECKED nf_status model_time_diffusion_transformer(const nf_model *model, int n_token, int n_samples, int n_blocks,
                                                      nf_arena *arena, model_timing *ret_timing);
// Waits for what the device still computes.
void model_wait(const nf_model *model);
// The most bytes of the device's memory that were in use at once, weights included, since the last reset; 0 on the CPU.
int64_t model_device_peak(const nf_model *model, bool reset);
bool model_on_gpu(const nf_model *model);
// A batch of n_token made-up amino acids of eight atoms and n_row MSA rows, for timing whole passes.
void model_made_up_batch(int n_token, int n_row, nf_arena *arena, nf_batch *ret_batch);
// The device's fp32 peak of matrix products, FLOP/s, measured; and what the device is.
double model_measured_peak(const nf_model *model);
const char *model_device(const nf_model *model);

#endif
