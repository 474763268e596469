// The stages of featurisation, in the order features_create calls them. Each fills its own arrays of a batch that
// batch_allocate has zeroed; tokens beyond the layout's are padding and stay as the reference leaves them.
#ifndef NF_FEATURES_STAGES_H
#define NF_FEATURES_STAGES_H

#include "base/mt19937.h"
#include "features/batch.h"
#include "features/features.h"
#include "features/layout.h"
#include "input/job.h"

// Sizes of every axis for a layout padded to n_token tokens (>= the layout's), then batch_allocate.
void features_size_batch(const nf_layout *layout, int n_token, nf_arena *arena, nf_batch *ret_batch);
// Tokens after padding: the first bucket that holds them; without buckets, or where none does, their own number.
int features_padded_tokens(int n_tokens, const features_options *options);

// token.c: indices, chain symmetry ids, classes, kinds, which atom slots are filled, centre and pseudo-beta atoms.
void token_features(const nf_layout *layout, const nf_ccd *ccd, nf_batch *batch);
// atom_attention.c: the windows of the atom transformer, 32 queries and 128 keys each.
void window_features(const nf_layout *layout, nf_batch *batch);
// msa.c: paired and unpaired rows, profile, deletions.
NF_CHECKED nf_status msa_features(const nf_job *job, const nf_layout *layout, bool resolve_overlaps, nf_batch *batch);
// bonds.c: bonds inside ligands and non-standard residues.
NF_CHECKED nf_status bond_features(const nf_job *job, const nf_layout *layout, nf_batch *batch);

// reference.c, what needs no conformer: mask, elements, atom names, one uid a residue.
NF_CHECKED nf_status reference_features(const nf_job *job, const nf_layout *layout, nf_batch *batch);

// Reference positions of the layout's atoms, each residue centred, turned and shifted at random.
typedef struct {
  float *positions;  // (n_atoms, 3), angstrom
  float *charge;     // (n_atoms)
} reference_structure;
// Draws from a RandomState seeded with `seed`, residue by residue in token order: the conformer's seed, six normals
// for the rotation, three for the shift. ligands_only: residues of polymers take their draws but get no positions.
NF_CHECKED nf_status reference_create(const nf_job *job, const nf_layout *layout, uint32_t seed,
                                      const features_options *options, bool ligands_only, nf_arena *arena,
                                      reference_structure *ret_reference);
void reference_write(const nf_layout *layout, const reference_structure *reference, nf_batch *batch);

// frames.c: whether a token has a frame. Ligand atoms need two neighbours that are not in line with them, in the
// reference structure that a fixed seed gives.
NF_CHECKED nf_status frame_features(const nf_job *job, const nf_layout *layout, const features_options *options,
                                    nf_arena *arena, nf_batch *batch);

#endif
