// The batch: every array that the network reads, under the reference's key names, dtypes and shapes.
#ifndef NF_FEATURES_BATCH_H
#define NF_FEATURES_BATCH_H

#include <stdint.h>

#include "base/memory.h"
#include "base/status.h"
#include "features/layout.h"
#include "formats/array.h"

// One line per array: field, key in the npz, C type, numpy type, shape. In files the gather indices and input shapes
// (keys with a colon) are int64, as numpy makes them.
// N tokens (padded to a bucket if asked), A atom slots of a token (24), S query subsets, Q queries of a subset (32),
// K keys of a subset (128), R rows of the MSA, C residue classes (31), T templates, P and L bond rows; numbers as such.
#define NF_BATCH_ARRAYS(X)                                                                               \
  X(residue_index, "residue_index", int32_t, NF_I32, "N")                                                \
  X(token_index, "token_index", int32_t, NF_I32, "N")                                                    \
  X(aatype, "aatype", int32_t, NF_I32, "N")                                                              \
  X(seq_mask, "seq_mask", uint8_t, NF_BOOL, "N")                                                         \
  X(entity_id, "entity_id", int32_t, NF_I32, "N")                                                        \
  X(asym_id, "asym_id", int32_t, NF_I32, "N")                                                            \
  X(sym_id, "sym_id", int32_t, NF_I32, "N")                                                              \
  X(seq_length, "seq_length", int32_t, NF_I32, "")                                                       \
  X(is_protein, "is_protein", uint8_t, NF_BOOL, "N")                                                     \
  X(is_rna, "is_rna", uint8_t, NF_BOOL, "N")                                                             \
  X(is_dna, "is_dna", uint8_t, NF_BOOL, "N")                                                             \
  X(is_ligand, "is_ligand", uint8_t, NF_BOOL, "N")                                                       \
  X(is_nonstandard_polymer_chain, "is_nonstandard_polymer_chain", uint8_t, NF_BOOL, "N")                 \
  X(is_water, "is_water", uint8_t, NF_BOOL, "N")                                                         \
  X(pred_dense_atom_mask, "pred_dense_atom_mask", uint8_t, NF_BOOL, "NA")                                \
  X(residue_center_index, "residue_center_index", int32_t, NF_I32, "N")                                  \
  X(pseudo_beta_idxs, "token_atoms_to_pseudo_beta:gather_idxs", int32_t, NF_I32, "N")                    \
  X(pseudo_beta_mask, "token_atoms_to_pseudo_beta:gather_mask", uint8_t, NF_BOOL, "N")                   \
  X(pseudo_beta_shape, "token_atoms_to_pseudo_beta:input_shape", int32_t, NF_I32, "2")                   \
  X(token_atoms_to_queries_idxs, "token_atoms_to_queries:gather_idxs", int32_t, NF_I32, "SQ")            \
  X(token_atoms_to_queries_mask, "token_atoms_to_queries:gather_mask", uint8_t, NF_BOOL, "SQ")           \
  X(token_atoms_to_queries_shape, "token_atoms_to_queries:input_shape", int32_t, NF_I32, "2")            \
  X(tokens_to_queries_idxs, "tokens_to_queries:gather_idxs", int32_t, NF_I32, "SQ")                      \
  X(tokens_to_queries_mask, "tokens_to_queries:gather_mask", uint8_t, NF_BOOL, "SQ")                     \
  X(tokens_to_queries_shape, "tokens_to_queries:input_shape", int32_t, NF_I32, "1")                      \
  X(tokens_to_keys_idxs, "tokens_to_keys:gather_idxs", int32_t, NF_I32, "SK")                            \
  X(tokens_to_keys_mask, "tokens_to_keys:gather_mask", uint8_t, NF_BOOL, "SK")                           \
  X(tokens_to_keys_shape, "tokens_to_keys:input_shape", int32_t, NF_I32, "1")                            \
  X(queries_to_keys_idxs, "queries_to_keys:gather_idxs", int32_t, NF_I32, "SK")                          \
  X(queries_to_keys_mask, "queries_to_keys:gather_mask", uint8_t, NF_BOOL, "SK")                         \
  X(queries_to_keys_shape, "queries_to_keys:input_shape", int32_t, NF_I32, "2")                          \
  X(queries_to_token_atoms_idxs, "queries_to_token_atoms:gather_idxs", int32_t, NF_I32, "NA")            \
  X(queries_to_token_atoms_mask, "queries_to_token_atoms:gather_mask", uint8_t, NF_BOOL, "NA")           \
  X(queries_to_token_atoms_shape, "queries_to_token_atoms:input_shape", int32_t, NF_I32, "2")            \
  X(polymer_ligand_idxs, "tokens_to_polymer_ligand_bonds:gather_idxs", int32_t, NF_I32, "P2")            \
  X(polymer_ligand_mask, "tokens_to_polymer_ligand_bonds:gather_mask", uint8_t, NF_BOOL, "P2")           \
  X(polymer_ligand_shape, "tokens_to_polymer_ligand_bonds:input_shape", int32_t, NF_I32, "1")            \
  X(polymer_ligand_atom_idxs, "token_atoms_to_polymer_ligand_bonds:gather_idxs", int32_t, NF_I32, "P2")  \
  X(polymer_ligand_atom_mask, "token_atoms_to_polymer_ligand_bonds:gather_mask", uint8_t, NF_BOOL, "P2") \
  X(polymer_ligand_atom_shape, "token_atoms_to_polymer_ligand_bonds:input_shape", int32_t, NF_I32, "2")  \
  X(ligand_ligand_idxs, "tokens_to_ligand_ligand_bonds:gather_idxs", int32_t, NF_I32, "L2")              \
  X(ligand_ligand_mask, "tokens_to_ligand_ligand_bonds:gather_mask", uint8_t, NF_BOOL, "L2")             \
  X(ligand_ligand_shape, "tokens_to_ligand_ligand_bonds:input_shape", int32_t, NF_I32, "1")              \
  X(ref_pos, "ref_pos", float, NF_F32, "NA3")                                                            \
  X(ref_mask, "ref_mask", uint8_t, NF_BOOL, "NA")                                                        \
  X(ref_element, "ref_element", int32_t, NF_I32, "NA")                                                   \
  X(ref_charge, "ref_charge", float, NF_F32, "NA")                                                       \
  X(ref_atom_name_chars, "ref_atom_name_chars", int32_t, NF_I32, "NA4")                                  \
  X(ref_space_uid, "ref_space_uid", int32_t, NF_I32, "NA")                                               \
  X(frames_mask, "frames_mask", uint8_t, NF_BOOL, "N")                                                   \
  X(msa, "msa", int8_t, NF_I8, "RN")                                                                     \
  X(msa_mask, "msa_mask", uint8_t, NF_BOOL, "RN")                                                        \
  X(deletion_matrix, "deletion_matrix", int8_t, NF_I8, "RN")                                             \
  X(profile, "profile", float, NF_F32, "NC")                                                             \
  X(deletion_mean, "deletion_mean", double, NF_F64, "N")                                                 \
  X(num_alignments, "num_alignments", int32_t, NF_I32, "")                                               \
  X(template_aatype, "template_aatype", int32_t, NF_I32, "TN")                                           \
  X(template_atom_positions, "template_atom_positions", float, NF_F32, "TNA3")                           \
  X(template_atom_mask, "template_atom_mask", uint8_t, NF_BOOL, "TNA")

typedef struct {
  int n_token;                            // N
  int n_slot;                             // A
  int n_subset;                           // S
  int n_query;                            // Q
  int n_key;                              // K
  int n_row;                              // R
  int n_class;                            // C
  int n_template;                         // T
  int n_polymer_ligand, n_ligand_ligand;  // P, L
#define NF_BATCH_FIELD(field, key, ctype, dtype, shape) ctype *field;
  NF_BATCH_ARRAYS(NF_BATCH_FIELD)
#undef NF_BATCH_FIELD
} nf_batch;

// Sizes known from the layout are set by the maker; this allocates every array, zeroed, from the sizes in `batch`.
void batch_allocate(nf_batch *batch, nf_arena *arena);

// Reads a feature file; integers and floats of any width are taken where their values fit. Refuses by key name what
// is missing, of the wrong type or shape, or out of range (a gather index beyond its source, a residue class beyond C,
// a non-finite number).
NF_CHECKED nf_status batch_read(const char *path, nf_arena *arena, nf_batch *ret_batch);
NF_CHECKED nf_status batch_write(const nf_batch *batch, const char *path);
// A layout from the arrays alone, for a feature file folded without its job: chains A, B, ... by asym_id, residue
// names from the classes, ligand residues "UNL", atom names and elements from the reference structure.
NF_CHECKED nf_status batch_layout(const nf_batch *batch, nf_arena *arena, nf_layout *ret_layout);
// Fills `out` (at least NF_BATCH_COUNT entries) with views of the arrays; returns how many.
int batch_arrays(const nf_batch *batch, nf_array *out);
#define NF_BATCH_ONE(field, key, ctype, dtype, shape) +1
enum { NF_BATCH_COUNT = 0 NF_BATCH_ARRAYS(NF_BATCH_ONE) };

#endif
