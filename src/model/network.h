// The inside of this room: the weights of every module, one line a tensor, and the modules as functions.
// Published names are those of AlphaFold 3's record file; "stack" names in brackets give blocks along the first axis.
#ifndef NF_MODEL_NETWORK_H
#define NF_MODEL_NETWORK_H

#include "model/model.h"
#include "tensor/ops.h"

typedef struct {
  op_norm norm;                  // left_norm_input (c)
  op_norm center;                // center_norm (c)
  nf_tensor gate, projection;    // gate, projection (c, 2 c)
  nf_tensor gating;              // gating_linear (c, c)
  nf_tensor out;                 // output_projection (c, c)
} triangle_multiply_weights;

typedef struct {
  op_norm norm;      // act_norm (c)
  nf_tensor bias;    // pair_bias_projection (c, H)
  nf_tensor q, k;    // q_projection, k_projection (H, D, c)
  nf_tensor v;       // v_projection (c, H, D)
  nf_tensor g;       // gating_query (H D, c)
  nf_tensor o;       // output_projection (H D, c)
} triangle_attention_weights;

typedef struct {
  op_norm norm;   // input_layer_norm (c)
  nf_tensor w1;   // transition1 (c, 2 n)
  nf_tensor w2;   // transition2 (n, c)
} transition_weights;

// What pairformer, MSA module, template embedder and confidence head do to a pair tensor.
typedef struct {
  triangle_multiply_weights outgoing, incoming;  // triangle_multiplication_outgoing, _incoming
  triangle_attention_weights starting, ending;   // pair_attention1, pair_attention2
  transition_weights transition;                 // pair_transition
} pair_block_weights;

typedef struct {
  pair_block_weights pair;
  op_norm logits_norm;         // single_pair_logits_norm (c_z)
  nf_tensor logits;            // single_pair_logits_projection (c_z, H)
  op_norm norm;                // single_attention_layer_norm (c_s)
  nf_tensor q, bq, k, v;       // single_attention_{q,k,v}_projection (c_s, H, D), bias (H, D)
  nf_tensor g;                 // single_attention_gating_query (c_s, H D)
  nf_tensor o;                 // single_attention_transition2 (H D, c_s)
  transition_weights transition;  // single_transition
} pairformer_weights;

typedef struct {
  op_norm outer_norm;               // outer_product_mean/layer_norm_input (c_m)
  nf_tensor outer_left, outer_right;  // left_projection, right_projection (c_m, E)
  nf_tensor outer_w, outer_b;       // output_w (E, E, c_z), output_b (c_z)
  op_norm norm, norm_pair;          // msa_attention1/act_norm (c_m), pair_norm (c_z)
  nf_tensor logits;                 // pair_logits (c_z, H)
  nf_tensor v, g, o;                // v_projection (c_m, H, D), gating_query (c_m, H D), output_projection (H D, c_m)
  transition_weights transition;    // msa_transition
  pair_block_weights pair;
} msa_block_weights;

typedef struct {
  op_norm query_norm;                  // query_embedding_norm (c_z)
  nf_tensor distance;                  // template_pair_embedding_0 (39, c)
  nf_tensor beta_mask;                 // _1 (c)
  nf_tensor class_j, class_i;          // _2, _3 (31, c)
  nf_tensor direction[3], frame_mask;  // _4, _5, _6, _7 (c)
  nf_tensor query;                     // _8 (c_z, c)
  pair_block_weights *blocks;          // template_embedding_iteration [n_template_blocks]
  op_norm out_norm;                    // output_layer_norm (c)
  nf_tensor out;                       // output_linear (c, c_z)
} template_weights;

// An adaptive layer norm's parameters.
typedef struct {
  nf_tensor norm;          // single_cond_layer_norm (c_cond): scale
  nf_tensor scale, scale_b;  // single_cond_scale (c_cond, c), bias (c)
  nf_tensor shift;         // single_cond_bias (c_cond, c)
} adaptive_weights;

// A block of the diffusion transformer, or of an atom transformer (which has `key` too).
typedef struct {
  adaptive_weights query, key;
  nf_tensor q, bq, k, v;     // q_projection, k_projection, v_projection (c, H, D), bias (H, D)
  nf_tensor g;               // gating_query (c, H D)
  nf_tensor o;               // transition2 (H D, c)
  nf_tensor zero, zero_b;    // adaptive_zero_cond (c_cond, c), bias (c)
  adaptive_weights ffw;      // ffw_
  nf_tensor w1, w2;          // ffw_transition1 (c, 2 n), ffw_transition2 (n, c)
  nf_tensor ffw_zero, ffw_zero_b;  // ffw_adaptive_zero_cond
} diffusion_block_weights;

enum { ATOM_BLOCKS_MAX = 64 };  // of an atom transformer

typedef struct {
  int n_blocks;
  diffusion_block_weights *blocks;
  nf_tensor logits_norm;  // pair_input_layer_norm (c_atompair): scale
  nf_tensor logits;       // pair_logits_projection (c_atompair, n_blocks, H)
} atom_transformer_weights;

typedef struct {
  nf_tensor ref_pos, ref_mask, ref_element, ref_charge, ref_name;  // embed_ref_* (3 | 1 | 128 | 1 | 256, c_atom)
  nf_tensor row, col;                                // single_to_pair_cond_{row,col}_1 (c_atom, c_atompair)
  nf_tensor offsets, distances, valid;               // embed_pair_offsets_1, _distances_1, _offsets_valid (3 | 1 | 1, c_atompair)
  nf_tensor mlp[3];                                  // pair_mlp_{1,2,3} (c_atompair, c_atompair)
  nf_tensor aggregate;                               // project_atom_features_for_aggr (c_atom, c)
  atom_transformer_weights transformer;              // atom_transformer_encoder
  nf_tensor single_norm, single, pair_norm, pair;    // lnorm_trunk_*, embed_trunk_* (diffusion only)
  nf_tensor positions;                               // atom_positions_to_features (3, c_atom) (diffusion only)
} atom_encoder_weights;

typedef struct {
  nf_tensor pair_norm, pair;              // pair_cond_initial_norm (c_z + 139), _projection
  transition_weights pair_transition[2];  // pair_transition_{0,1}ffw_
  nf_tensor single_norm, single;          // single_cond_initial_norm (c_s + c_target), _projection
  nf_tensor noise_norm, noise;            // noise_embedding_initial_norm (256), _projection
  transition_weights single_transition[2];
  atom_encoder_weights encoder;           // diffusion_
  nf_tensor cond_norm, cond;              // single_cond_embedding_norm, _projection (c_s', c_token)
  int n_super;                            // super-blocks: the first stack axis of the transformer
  nf_tensor logits_norm;                  // transformer/pair_input_layer_norm (c)
  nf_tensor logits;                       // pair_logits_projection [n_super] (c, blocks of one, H)
  diffusion_block_weights *blocks;        // [n_diffusion_blocks]
  nf_tensor out_norm;                     // output_norm (c_token)
  nf_tensor broadcast;                    // project_token_features_for_broadcast (c_token, c_atom)
  atom_transformer_weights decoder;       // atom_transformer_decoder
  nf_tensor atom_norm;                    // atom_features_layer_norm (c_atom)
  nf_tensor update;                       // atom_features_to_position_update (c_atom, 3)
  const float *fourier_weight, *fourier_bias;  // (256) on the host
} diffusion_weights;

typedef struct {
  nf_tensor left, right, distance;  // left_target_feat_project, right_..., distogram_feat_project
  pairformer_weights *blocks;       // confidence_pairformer [n_confidence_blocks]
  op_norm pde_norm, pae_norm, plddt_norm, resolved_norm;  // logits_ln, pae_logits_ln, plddt_logits_ln, experimentally_resolved_ln
  nf_tensor pde, pae;               // left_half_distance_logits, pae_logits (c_z, bins)
  nf_tensor plddt, resolved;        // plddt_logits (c_s, A, bins), experimentally_resolved_logits (c_s, A, 2)
} confidence_weights;

// Grows when a stage needs more.
typedef struct {
  void *start;
  size_t size;
} stage_memory;

struct nf_model {
  const nf_weights *weights;
  const nf_ops *ops;
  nf_arena *arena;       // block arrays
  char *copies;          // of all records, on a device that cannot read the host's
  stage_memory *memory;  // of such a device: what stages work in, one after another
  stage_memory *away;    // the same for their tensors in the host's memory, as long as there is a trunk's output
  model_dims dims;
  int c_cond_pair, c_cond;  // diffusion conditioning channels
  int c_template;
  atom_encoder_weights encoder;  // evoformer_conditioning_
  nf_tensor left_single, right_single, prev, prev_single, bonds, relative, single, msa, msa_target;
  op_norm prev_norm, prev_single_norm;
  template_weights templates;
  msa_block_weights *msa_blocks;
  pairformer_weights *pairformer;
  diffusion_weights diffusion;
  confidence_weights confidence;
  nf_tensor distogram;  // half_logits (c_z, bins)
};

// A template's residues; templates that are equal (the absent ones) are computed once and counted.
typedef struct template_features {
  int count;
  int32_t *residue_class;  // (N)
  float *beta;             // (N, 3)
  float *beta_mask;        // (N)
  float *frame;            // (N, 12): unit vectors of the backbone frame, then its origin
  float *frame_mask;       // (N)
} template_features;

// What modules read of a batch, brought into the network's form once a job. Arrays are on the host; a dry run has
// sizes alone.
typedef struct {
  const nf_batch *batch;   // NULL in a dry run
  int64_t n_token, n_slot;
  int64_t n_subset;        // windows that hold atoms, and those their keys come from
  int64_t n_subset_full;   // of the batch
  int64_t n_query, n_key;
  int64_t n_template;
  float *token_mask;       // (N)
  float *token_features;   // (N, 63): one-hot class, profile, deletion mean
  float *atom_mask;        // (N A)
  int32_t *atom_index;     // (S Q): atom of a query; -1: none
  int32_t *atom_token;     // (S Q): its token by layout; -1: none, or the atom is masked
  int32_t *query_token, *key_token;  // (S Q), (S K): as the batch's gathers say
  int32_t *key_index;      // (S K): query row of a key
  float *query_mask, *key_mask;      // (S Q), (S K)
  float *query_positions;  // (S Q, 3): reference conformer
  int32_t *query_space, *key_space;  // (S Q), (S K)
  int32_t *token_atom;     // (N A): query row of an atom; -1: none, or the atom is masked
  int64_t *bonds;          // flat (i, j) of bonded tokens
  int64_t n_bonds;
  int n_distinct_templates;
  struct template_features *templates;  // (distinct templates)
} model_inputs;

NF_CHECKED nf_status inputs_create(const nf_model *model, const nf_batch *batch, nf_arena *arena, model_inputs *ret_inputs);
model_inputs inputs_dry(int64_t n_token, int64_t n_slot, int64_t n_subset, int64_t n_query, int64_t n_key, int64_t n_template);

// The indices of relative encodings, where ops read them.
op_relative inputs_relative(nf_context *context, const model_inputs *inputs);

// Dry runs of a module on inputs_dry.
model_cost trunk_count(const nf_model *model, const memory_plan *plan, const model_inputs *inputs, int64_t n_row);
model_cost diffusion_count(const nf_model *model, const memory_plan *plan, const model_inputs *inputs, int n_samples);
// Does the diffusion work where the trunk's pair lies, under this plan? What logits are made of must take the very bytes.
bool diffusion_borrows(const nf_model *model, const memory_plan *plan);
model_cost confidence_count(const nf_model *model, const memory_plan *plan, const model_inputs *inputs);
model_cost distogram_count(const nf_model *model, const memory_plan *plan, int64_t n_token);
// Bytes of inputs_create's arrays.
int64_t inputs_bytes(const model_inputs *inputs);

// Hands a seam to the trace, if there is one and the run is not dry. name: "%s%s" of prefix and name.
void trace_tensor(const nf_context *context, const nf_trace *trace, const char *prefix, const char *name, nf_tensor t);
// The same for (subsets, ...) tensors, with zeros for the subsets that are not computed.
void trace_subsets(const nf_context *context, const nf_trace *trace, const char *prefix, const char *name, nf_tensor t,
                   int64_t n_subset_full);

// model_create on ops that no device of this build may have.
NF_CHECKED nf_status model_create_on(const nf_weights *weights, const nf_ops *ops, nf_model **ret_model);

// A trunk's output as tensors (of none in a dry run: their shapes). Bytes of it.
typedef struct {
  nf_tensor target, single, pair;
} trunk_tensors;
trunk_tensors trunk_as_tensors(const nf_model *model, const memory_plan *opt_plan, const trunk_output *opt_trunk, int64_t n_token);
// Does the pair lie in the host's memory under this plan, away from a device with its own?
bool trunk_streams(const nf_model *model, const memory_plan *opt_plan);
// Where host and device memory are two, the memory of the trunk's pair may be lent, if the plan says so: it holds the pair
// when trunk_lend_pair returns, and may then be overwritten; a copy stays on the host. trunk_return_pair: it holds the pair
// again. Whoever reads the pair calls one of them first.
void trunk_lend_pair(const trunk_output *trunk);
void trunk_return_pair(const trunk_output *trunk);
bool trunk_lends(const nf_model *model, const memory_plan *opt_plan);
int64_t trunk_pair_bytes(const nf_model *model, int64_t n_token);
int64_t template_sum_bytes(const nf_model *model, int64_t n_token);  // what waits on the host under memory_plan.sum_away
int64_t trunk_bytes(const nf_model *model, const memory_plan *opt_plan, int64_t n_token);  // of the output, on the device

// A run in two passes: `body` first counts in a dry context, then computes in memory of that size, taken from the
// system and given back, or from what the model keeps of the device's. plan NULL: all resident.
typedef void (*model_body)(nf_context *context, void *arguments);
NF_CHECKED nf_status model_run_body(const nf_model *model, const memory_plan *plan, model_body body, void *arguments);
nf_context model_dry_context(const nf_model *model, const memory_plan *plan);
void model_release_away(const nf_model *model);  // what stages have worked in of the host's page-locked memory
// Floats (a, b, c) where `pair` lies: in the host's memory if it is away.
nf_tensor context_with(nf_context *context, nf_tensor pair, int64_t a, int64_t b, int64_t c);
// A tensor of `shape` whose values end in a host array: the array itself where host and device memory are one (nothing
// is copied or counted), else in the context; context_return then brings them over. Dry: host NULL.
nf_tensor context_result(nf_context *context, float *host, nf_tensor shape);
void context_return(nf_context *context, float *host, nf_tensor result);

// A keeper's functions on tensors of the device: brings the state back (false: there is none), and keeps it if it is
// wanted or the last (false: stop). `tensors`: one for each of the state's arrays. Dry, or without a keeper: nothing.
bool keeper_restore(nf_context *context, const nf_keeper *keeper, const nf_tensor *tensors, stage_state *state);
bool keeper_keep(nf_context *context, const nf_keeper *keeper, bool is_last, const nf_tensor *tensors, stage_state *state);

void pair_block(nf_context *context, const pair_block_weights *w, nf_tensor pair, nf_tensor mask);
void pairformer_block(nf_context *context, const pairformer_weights *w, nf_tensor pair, nf_tensor single, nf_tensor mask);
void msa_block(nf_context *context, const msa_block_weights *w, nf_tensor msa, nf_tensor pair, nf_tensor msa_mask,
               nf_tensor column_mask, nf_tensor mask);
// Algorithm 16: pair += the mean of the templates' embeddings.
// away: of the host, as nf_ops.host_allocate gives it, for the sum over templates (N, N, c) if context->offload.
void template_embedder(nf_context *context, const nf_model *model, const model_inputs *inputs, nf_tensor pair,
                       nf_tensor mask, void *away);

// The conditions that adaptive layer norms and gates of blocks take from cond (P, c_cond).
typedef struct {
  op_condition query, key, ffw;
} block_conditions;
void diffusion_conditions(nf_context *context, const diffusion_block_weights *w, int n_blocks, nf_tensor cond,
                          block_conditions *ret_conditions);
// For how many of n_blocks blocks at once: products of one do not fill a GPU, but the results of all would take much memory.
enum { CONDITIONS_MOST = 8 };
int diffusion_conditions_at_once(const nf_context *context, const diffusion_block_weights *w, int n_blocks, int64_t n_token);
// Algorithm 23, one block: attention with the given logits (H, N, N), transition.
void diffusion_block_attention(nf_context *context, const diffusion_block_weights *w, const block_conditions *conditions,
                               nf_tensor act, nf_tensor logits, nf_tensor mask);
void diffusion_block_transition(nf_context *context, const diffusion_block_weights *w, const block_conditions *conditions,
                                nf_tensor act);

// Algorithm 5 up to the transformer: what depends neither on positions nor on noise.
typedef struct {
  nf_tensor cond;         // (S Q, c_atom)
  nf_tensor pair;         // (S, Q, K, c_atompair)
  nf_tensor query_mask, key_mask;
  const int32_t *key_index, *token_atom, *atom_index, *query_token;
} atom_features;
// Of the trunk's encoder: no single and pair representation are added.
atom_features atom_encoder_features(nf_context *context, const atom_encoder_weights *w, const model_inputs *inputs);
// The same in two parts. First all but `pair`; trunk_single (N, c) may be none.
atom_features atom_encoder_single(nf_context *context, const atom_encoder_weights *w, const model_inputs *inputs,
                                  nf_tensor trunk_single);
// Then the op that makes `pair` of them, for the caller to add the pair representation's part to, once or for some tokens
// after others. What the op reads lies in the context.
op_atom_pair atom_encoder_pair(nf_context *context, const atom_encoder_weights *w, const model_inputs *inputs,
                               const atom_features *features);
// Pair logits of all of a transformer's blocks: (S, blocks * H, K, Q), and the place for them.
nf_tensor atom_logits_place(nf_context *context, const atom_transformer_weights *w, const model_inputs *inputs);
void atom_logits(nf_context *context, const atom_transformer_weights *w, const atom_features *features, nf_tensor logits);
// Algorithm 7 on x (B, S Q, c_atom); conditions: one a block.
void atom_transformer(nf_context *context, const atom_transformer_weights *w, const atom_features *features,
                      nf_tensor logits, const block_conditions *conditions, nf_tensor x);

// Algorithm 2: (N, c_target).
void input_embedder(nf_context *context, const nf_model *model, const model_inputs *inputs, const nf_trace *trace,
                    nf_tensor target);

// Order (R) of the MSA's rows in a pass, as the reference shuffles them with `key`. The arena serves as scratch.
void msa_order(const nf_batch *batch, nf_key key, nf_arena *arena, int32_t *order);

#endif
