// Every op of the network, at a grain that lets a device fuse. One struct of arguments each; a device fills the table.
//
// Letters: B batch, M rows, N tokens, C channels, H heads, D channels of a head, S subsets, Q queries and K keys of
// a subset. Weights are (in, out) unless said otherwise, with trailing axes folded into out. A zeroed tensor is
// "none". Ops that say x += read and write x in place.
#ifndef NF_TENSOR_OPS_H
#define NF_TENSOR_OPS_H

#include "base/threefry.h"
#include "tensor/device.h"

typedef struct {
  nf_tensor scale;   // (C) or none: 1
  nf_tensor offset;  // (C) or none: 0
} op_norm;           // (x - mean) / sqrt(variance + 1e-5) * scale + offset

// Adaptive layer norm of rows and the gate after it; row r reads row r % P of each tensor (P rows: one sample's).
typedef struct {
  nf_tensor scale;  // (P, C): sigmoid already taken
  nf_tensor shift;  // (P, C)
  nf_tensor gate;   // (P, C): sigmoid already taken; multiplies what is added to x
} op_condition;

typedef struct {
  nf_tensor x;  // (M, C)
  op_norm norm;
  nf_tensor y;  // (M, C); may be x
} op_layer_norm;

// y = act(norm(x) w + bias)
typedef struct {
  nf_tensor x;          // (M, in)
  bool normalise;       // apply `norm` to rows of x first
  op_norm norm;
  bool relu_input;      // max(x, 0) first
  nf_tensor w;          // (in, out)
  nf_tensor bias;       // (out) or none
  bool sigmoid_output;
  bool add;             // y += instead of y =
  bool exact;           // products in fp32 even where others are made in less
  nf_tensor y;          // (M, out); may be x if it is normalised and in = out
} op_linear;

// Layers of one input, of one or more blocks of the network: y[i] = act(norm(x) w + bias), the norm having no offset.
typedef struct {
  nf_tensor scale;      // (in): of the norm, or none: x is taken as it is
  nf_tensor w;          // (in, out)
  nf_tensor bias;       // (out) or none
  bool sigmoid_output;
} linear_layer;
enum { LINEARS_MOST = 8 };  // of a block
typedef struct {
  nf_tensor x;                 // (M, in)
  int n_blocks, n;             // each block has n layers
  const linear_layer *layers;  // (n_blocks n); within a block, those with a scale come first, and as many as in the others
  nf_tensor y;                 // (n_blocks n, M, out)
} op_linears;

// x += gate * ((swish(h[:n]) * h[n:]) w2), h = norm(x) w1. The norm is `norm`, or adaptive if condition.scale is given.
typedef struct {
  nf_tensor x;  // (M, C)
  op_norm norm;
  op_condition condition;
  nf_tensor w1;  // (C, 2 n): gate first
  nf_tensor w2;  // (n, C)
} op_transition;

// Algorithms 11 (outgoing) and 12 (incoming): x += sigmoid(h w_gating) * (norm_center(sum_k a b) w_out), h = norm(x)
typedef struct {
  nf_tensor x;     // (N, N, C)
  nf_tensor mask;  // (N): a pair counts where both tokens do
  op_norm norm, norm_center;
  nf_tensor w_gate, w_projection;  // (C, 2 C): columns 2 c give a, 2 c + 1 give b
  nf_tensor w_gating, w_out;       // (C, C)
  bool outgoing;
} op_triangle_multiply;

// Algorithms 13 (starting) and 14 (ending node): x += (sigmoid(h wg) * attention) wo, h = norm(x).
// The bias of query i and key k is h[i, k] w_bias in both: the reference does not transpose it for the ending node.
typedef struct {
  nf_tensor x;     // (N, N, C)
  nf_tensor mask;  // (N)
  op_norm norm;
  nf_tensor w_bias;   // (C, H)
  nf_tensor wq, wk;   // (H, D, C): (out, in)
  nf_tensor wv;       // (C, H, D)
  nf_tensor wg;       // (H D, C): (out, in)
  nf_tensor wo;       // (H D, C)
  bool ending;
} op_triangle_attention;

// out[b, h, k, q] = norm(x[b, q, k]) w[:, h]: keys before queries, as attention reads them.
typedef struct {
  nf_tensor x;     // (B, Q, K, C); or (1, Q, K, any), as keep_rows wrote it
  bool kept_rows;  // the latter; the norm then has no offset
  op_norm norm;
  nf_tensor w;             // (C, all heads)
  int first_head, n_head;  // those wanted of them; n_head 0: all
  nf_tensor mask;          // (N): of keys, for the device's own form of logits; or none
  nf_tensor out;           // (B, H, K, Q); with a mask (H, kept_logits of the device), as keep_logits writes it
} op_pair_logits;
static inline int64_t pair_logits_heads(const op_pair_logits *a) {
  return a->n_head ? a->n_head : tensor_count(a->w) / a->w.shape[0];
}

// Rows in the form in which this device's pair_logits reads them fastest: normalised but for the scale.
typedef struct {
  nf_tensor x;    // (M, C)
  nf_tensor out;  // (M, kept_rows of the device)
} op_keep_rows;

// Self-attention over the tokens of each sample: x += gate * ((sigmoid(h wg) * softmax(q k / sqrt(D) + logits) v) wo).
typedef struct {
  nf_tensor x;  // (B, N, C)
  op_norm norm;
  op_condition condition;  // (N, C) each, or none
  nf_tensor wq, bq, wk, wv;  // (C, H, D); bq (H, D) or none
  nf_tensor wg;              // (C, H D)
  nf_tensor wo;              // (H D, C)
  nf_tensor logits;          // (H, N, N): keys before queries; or (H, any), as keep_logits wrote them
  nf_tensor mask;            // (N): masked keys get -1e9
} op_attention;

// Logits and mask in the form in which this device's attention reads them fastest: for those that serve many times.
typedef struct {
  nf_tensor logits, mask;  // as attention has them
  nf_tensor out;           // (H, kept_logits of the device)
} op_keep_logits;

// Algorithm 7's cross attention within windows of atoms: queries (S, Q) of each sample, keys gathered from them.
typedef struct {
  nf_tensor x;               // (B, S Q, C)
  op_condition query, key;   // (S Q, C) each; key.gate unused
  nf_tensor wq, bq, wk, wv, wg, wo;
  nf_tensor logits;          // (S, all heads, K, Q)
  int first_head;            // of this block in logits
  const int32_t *key_index;  // (S, K): row of x, or -1: a key of zeros before its projection, as the reference has
  nf_tensor query_mask;      // (S Q)
  nf_tensor key_mask;        // (S, K). 1e9 is added where query and key are both masked, and only there
} op_atom_attention;

// pair[i, j] += (sum_r l[r, i] (x) r[r, j] w + b) / (1e-3 + sum_r mask[r, i] mask[r, j])
typedef struct {
  nf_tensor msa;   // (R, N, c_m)
  nf_tensor mask;  // (R, N)
  op_norm norm;
  nf_tensor w_left, w_right;  // (c_m, E)
  nf_tensor w;                // (E, E, C)
  nf_tensor b;                // (C)
  nf_tensor pair;             // (N, N, C)
} op_outer_product_mean;

// Algorithm 10: msa += (sigmoid(h wg) * sum_k softmax_k(norm_pair(pair) w_logits) v) wo, h = norm(msa)
typedef struct {
  nf_tensor msa;          // (R, N, c_m)
  nf_tensor column_mask;  // (N): 1 where any row counts
  nf_tensor pair;         // (N, N, C)
  op_norm norm, norm_pair;
  nf_tensor w_logits;  // (C, H)
  nf_tensor wv;        // (c_m, H, D)
  nf_tensor wg;        // (c_m, H D)
  nf_tensor wo;        // (H D, c_m)
} op_pair_average;

// y[b, i] = x[b, index[i]], zeros where index is negative
typedef struct {
  nf_tensor x;           // (B, n, C)
  const int32_t *index;  // (m)
  bool add;
  nf_tensor y;  // (B, m, C)
} op_gather;

// y[r, column + l] = x[r, l]
typedef struct {
  nf_tensor x;     // (M, c)
  int64_t column;  // of y
  nf_tensor y;     // (M, C)
} op_copy_columns;

// y = factor * x, or += ; where row_factor (P) is given, row r is multiplied by row_factor[r % P] too.
// x may have fewer rows than y: row r reads row r % rows(x). Factor 0 writes zeros whatever x holds.
typedef struct {
  nf_tensor x;
  float factor;
  nf_tensor row_factor;
  bool add;
  nf_tensor y;
} op_scale;

// pair[i, j] = left[i] + right[j], or +=
typedef struct {
  nf_tensor left, right;  // (N, C)
  bool add;
  nf_tensor pair;  // (N, N, C)
} op_outer_sum;

// Token indices for relative encodings (algorithm 3): one-hot of residue offset (66), token offset (66), same entity (1),
// chain offset (6), offsets clipped to 32 and chains to 2.
enum { RELATIVE_MAX_INDEX = 32, RELATIVE_MAX_CHAIN = 2, RELATIVE_CLASSES = 4 * RELATIVE_MAX_INDEX + 4 + 2 * RELATIVE_MAX_CHAIN + 3 };
typedef struct {
  const int32_t *residue_index, *token_index, *asym_id, *entity_id, *sym_id;  // (N)
} op_relative;
// pair[i, j] += rows of w that the pair's classes name
typedef struct {
  op_relative relative;
  nf_tensor w;     // (RELATIVE_CLASSES, C)
  nf_tensor pair;  // (N, N, C)
} op_relative_embed;
// out[i - first, j] = pair[i, j] followed by the one-hot classes, for n rows i from `first` on
typedef struct {
  op_relative relative;
  nf_tensor pair;  // (N, N, C)
  int64_t first, n;
  nf_tensor out;   // (n, N, C + RELATIVE_CLASSES)
} op_relative_concat;

// x[index[i]] += w, for distinct rows
typedef struct {
  const int64_t *index;
  int64_t n;
  nf_tensor w;  // (C)
  nf_tensor x;  // (M, C)
} op_add_rows;

// msa[r, i] = w[class] + min(deletions, 1) w[32] + 2/pi atan(deletions / 3) w[33] + target[i]
typedef struct {
  const int8_t *rows, *deletions;  // (R, N)
  nf_tensor w;                     // (34, c_m)
  nf_tensor target;                // (N, c_m)
  nf_tensor msa;                   // (R, N, c_m)
} op_msa_embed;

// y[i, j] += the row of w for the distance between positions i and j, where mask[i] mask[j] (and group[i] = group[j]):
// 39 bins from 3.25 to 50.75, the last one open.
typedef struct {
  nf_tensor positions;   // (N, 3), angstrom
  nf_tensor mask;        // (N)
  const int32_t *group;  // (N) or NULL
  nf_tensor w;           // (n_bins, C)
  nf_tensor y;           // (N, N, C)
} op_distance_embed;

// Adds what else the template embedder reads of a template (algorithm 16): the pseudo-beta mask, both residue classes,
// the direction to j in i's backbone frame, the backbone mask; the masks within chains only.
typedef struct {
  const int32_t *residue_class, *asym_id;  // (N)
  nf_tensor beta_mask, frame_mask;         // (N)
  nf_tensor frame;                         // (N, 12): three unit vectors, then the origin
  nf_tensor w_beta_mask;                   // (C)
  nf_tensor w_class_j, w_class_i;          // (31, C)
  nf_tensor w_direction[3], w_frame_mask;  // (C)
  nf_tensor y;                             // (N, N, C)
} op_template_embed;

// Algorithm 5, lines 1 and 2: features of the reference conformer's atoms. Row i is atom index[i] of the (N, A) layout.
typedef struct {
  const int32_t *index;     // (M); negative: zeros
  const float *positions;   // (N A, 3), as the charges on the device
  const uint8_t *mask;      // (N A)
  const int32_t *element;   // (N A)
  const float *charge;      // (N A)
  const int32_t *name;      // (N A, 4): characters less 32
  nf_tensor w_positions, w_mask, w_element, w_charge, w_name;  // (3 | 1 | 128 | 1 | 256, C)
  nf_tensor y;              // (M, C)
} op_atom_embed;

// Algorithm 5, lines 3 to 6: pair features of atoms within a window, and their three-layer update.
typedef struct {
  nf_tensor row, col;       // (S Q, c): from each atom as a query, as a key
  nf_tensor col_none;       // (c): that of a key that is gathered from nowhere
  nf_tensor token_pair;     // (n, N, c): of query tokens from first_token on, or none. Only the rows of y of these tokens
  int64_t first_token;      // are written, and with token 0 those without any
  const int32_t *query_token, *key_token;  // (S, Q), (S, K): negative: none
  const int32_t *key_index;                // (S, K): row of `col`, or -1
  nf_tensor positions;                     // (S Q, 3)
  const int32_t *query_space, *key_space;  // (S Q), (S, K): offsets count where these are equal
  nf_tensor w_offsets, w_distances, w_valid;  // (3 | 1 | 1, c)
  nf_tensor w_mlp[3];                         // (c, c)
  nf_tensor y;                                // (S, Q, K, c)
} op_atom_pair;

// y[b, n] = sum_a relu(x[b, index[n, a]]) / max(sum_a mask[n, a], 1e-10), over atoms with a mask
typedef struct {
  nf_tensor x;           // (B, M, C)
  const int32_t *index;  // (N, A): negative: zeros
  const uint8_t *mask;   // (N, A)
  int64_t n_slot;        // A
  nf_tensor y;           // (B, N, C)
} op_atoms_to_tokens;

// Softmax over bins and expectations: p = softmax(logits[i, j] (+ logits[j, i]));
// out_k[i, j] = sum_bin p[bin] value_k[.., bin] for up to three value tables; logits become the symmetrised ones.
typedef struct {
  nf_tensor logits;     // (N, N, bins), or (M, bins) if not symmetric
  bool symmetric;
  int n_outputs;
  const float *values[3];  // (bins), or (n_rows, bins) if row_table is given
  const int32_t *row_table[3];  // per logits row: which row of values; NULL: the only one
  nf_tensor out[3];        // one value a row of logits
} op_expectation;

// x[b] = ((x[b] - center) rotation[b] + translation[b]) * mask, the center being that of the atoms with a mask
typedef struct {
  nf_tensor x;              // (B, M, 3)
  nf_tensor mask;           // (M)
  const float *rotation;    // (B, 3, 3), on the host
  const float *translation;  // (B, 3), on the host
} op_augment;

// x[b, i] += factor * element first[b] + i of the normals that keys[b] gives
typedef struct {
  nf_tensor x;           // (B, M, 3)
  const nf_key *keys;    // (B), on the host
  const int64_t *first;  // (B), on the host; NULL: 0
  float factor;
} op_add_normals;

struct nf_ops {
  const char *name;
  void *(*allocate)(size_t bytes);  // device memory for contexts and weights; NULL if there is none left
  void (*release)(void *memory);
  void (*upload)(void *to, const void *from, size_t bytes);    // host to device
  void (*download)(void *to, const void *from, size_t bytes);  // device to host
  bool dry_only;                    // the device need not be there: contexts are dry, and nothing is allocated or copied
  bool host_memory;                 // host and device memory are one: weights need no copy
  // Are pair, template and MSA representations bf16 here, as the reference has them? NULL or false: float, like all else.
  // Ops take them as: x of linear, layer_norm, transition, triangle_multiply, triangle_attention, pair_logits and scale; y of
  // linear, layer_norm, scale, distance_embed and template_embed; the pair of outer_sum, relative_embed, relative_concat,
  // outer_product_mean and pair_average; x of add_rows; every msa. Where a tensor is read and written, it is one and the same.
  bool (*narrow)(void);
  // All of those may be away (tensor.h), and so may a device's kept rows and the logits of linear and expectation. What reads
  // such a tensor several times or computes long on it (triangle_multiply, triangle_attention, transition) brings it over in
  // pieces of chunk_rows rows or columns, in memory of the context; other ops read and write it where it lies.
  // Memory of the host in which tensors wait for which the device has no room beside what is worked on: NULL if there is none
  // left. Copies to and from it keep their place among the ops, and nobody waits for them. Not with host_memory.
  void *(*host_allocate)(size_t bytes);
  void (*host_release)(void *memory);  // NULL is fine
  void (*put_away)(void *host, const void *device, size_t bytes);
  void (*bring_back)(void *device, const void *host, size_t bytes);
  // What lies there will not change until it is released (weights): a device may keep forms of it of its own.
  void (*keep)(const void *memory, size_t bytes);
  // From here on what ops launch is recorded, not run; false: this device does not record, and ops run as ever.
  bool (*record)(void);
  void *(*recorded)(void);          // ends that, and gives what can be replayed
  void (*replay)(void *recording);
  void (*forget)(void *recording);
  int64_t (*memory_peak)(bool reset);  // most bytes that allocate ever had out at once (since the last reset)
  int64_t (*memory_room)(void);        // most bytes that allocate may have out at once; host memory: 0, not known here
  void (*layer_norm)(nf_context *context, const op_layer_norm *a);
  void (*linear)(nf_context *context, const op_linear *a);
  void (*linears)(nf_context *context, const op_linears *a);
  void (*transition)(nf_context *context, const op_transition *a);
  void (*triangle_multiply)(nf_context *context, const op_triangle_multiply *a);
  void (*triangle_attention)(nf_context *context, const op_triangle_attention *a);
  void (*pair_logits)(nf_context *context, const op_pair_logits *a);
  void (*attention)(nf_context *context, const op_attention *a);
  // Floats that a head's logits of n tokens take in that form, for c channels in heads of d; 0: there is none.
  int64_t (*kept_logits)(int64_t n, int64_t c, int64_t d);
  void (*keep_logits)(nf_context *context, const op_keep_logits *a);
  // Floats that a row of c channels takes as keep_rows writes it; 0: there is no such form.
  int64_t (*kept_rows)(int64_t c);
  void (*keep_rows)(nf_context *context, const op_keep_rows *a);
  void (*atom_attention)(nf_context *context, const op_atom_attention *a);
  void (*outer_product_mean)(nf_context *context, const op_outer_product_mean *a);
  void (*pair_average)(nf_context *context, const op_pair_average *a);
  void (*gather)(nf_context *context, const op_gather *a);
  void (*copy_columns)(nf_context *context, const op_copy_columns *a);
  void (*scale)(nf_context *context, const op_scale *a);
  void (*outer_sum)(nf_context *context, const op_outer_sum *a);
  void (*relative_embed)(nf_context *context, const op_relative_embed *a);
  void (*relative_concat)(nf_context *context, const op_relative_concat *a);
  void (*add_rows)(nf_context *context, const op_add_rows *a);
  void (*msa_embed)(nf_context *context, const op_msa_embed *a);
  void (*distance_embed)(nf_context *context, const op_distance_embed *a);
  void (*template_embed)(nf_context *context, const op_template_embed *a);
  void (*atom_embed)(nf_context *context, const op_atom_embed *a);
  void (*atom_pair)(nf_context *context, const op_atom_pair *a);
  void (*atoms_to_tokens)(nf_context *context, const op_atoms_to_tokens *a);
  void (*expectation)(nf_context *context, const op_expectation *a);
  void (*augment)(nf_context *context, const op_augment *a);
  void (*add_normals)(nf_context *context, const op_add_normals *a);
  double (*measure_peak)(void);
  const char *(*description)(void);
};

// FLOPs of an op's matrix products, two a multiply-add; every device adds them to context->flops.
int64_t flops_linear(const op_linear *a);
int64_t flops_linears(const op_linears *a);
int64_t flops_transition(const op_transition *a);
int64_t flops_triangle_multiply(const op_triangle_multiply *a);
int64_t flops_triangle_attention(const op_triangle_attention *a);
int64_t flops_pair_logits(const op_pair_logits *a);
int64_t flops_attention(const op_attention *a);
int64_t flops_atom_attention(const op_atom_attention *a);
int64_t flops_outer_product_mean(const op_outer_product_mean *a);
int64_t flops_pair_average(const op_pair_average *a);

// FLOPs of matrix products that ops have been asked for in this context.
static inline int64_t ops_flops(const nf_context *context) { return context->flops; }

// op(context, linear, .x = ..., .w = ...): calls the device's op with its struct of arguments.
#define OP(context, op, ...) ((context)->ops->op((context), &(const op_##op){__VA_ARGS__}))

#endif
