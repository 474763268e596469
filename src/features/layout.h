// The layout: which tokens there are, and where each atom sits. The only bridge from chemistry to numbers; score
// and output read it and never remake it.
#ifndef NF_FEATURES_LAYOUT_H
#define NF_FEATURES_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/status.h"
#include "chem/ccd.h"
#include "input/job.h"

enum { NF_DENSE_ATOMS = 24 };  // atom slots of a token in the published features; the model reads it from the batch

typedef struct {
  const char *id;  // chain id as in the job
  nf_chain_kind kind;
  int job_chain;          // index into the job's chains
  int entity_id, sym_id;  // 1-based, as in the features
  const char *sequence;   // one letter per residue by the fixed table of codes; NULL for ligands
  int first_residue, n_residues;
  int first_token, n_tokens;
  int first_atom, n_atoms;
} layout_chain;

typedef struct {
  int chain;
  int id;                          // residue number, 1-based within the chain
  const char *name;                // CCD code
  const ccd_component *component;  // the dictionary's, which for UNK has more atoms than are laid out (glycine's)
  bool standard;                   // one token (else one token per atom)
  int first_token, n_tokens;       // n_tokens 0: it has only hydrogens
  int first_atom, n_atoms;         // output atoms
} layout_residue;

typedef struct {
  int chain, residue;
  int center;               // slot of the token's centre atom within the residue's atoms: residue_center_index
  int first_atom, n_atoms;  // its atoms among the output atoms
} layout_token;

typedef struct {
  int token, slot;  // where it sits in (N_token, 24)
  int residue;
  char name[8];
  char element[4];
} layout_atom;

// A bond of the job's bondedAtomPairs that the network is told of: between residues, one of them a ligand's.
typedef struct {
  int atom1, atom2;  // among the output atoms
  bool to_polymer;   // the other one is a polymer's
} layout_bond;

typedef struct {
  int n_chains, n_residues, n_tokens, n_atoms, n_bonds;
  layout_chain *chains;
  layout_residue *residues;
  layout_token *tokens;
  layout_atom *atoms;  // in the order of the output file
  layout_bond *bonds;  // in the order of the job
} nf_layout;

// Chains in the order A, B, ... Z, AA, BA, ...; chains of one unknown residue repeated are left out. Sugars that no
// bond holds by their O1 lose it, even those without any bond, as the network was trained; fix_standalone_glycans keeps
// it in the latter. Bonds that the network cannot be told of are dropped with a warning. `ccd` is the job's dictionary.
NF_CHECKED nf_status layout_create(const nf_job *job, const nf_ccd *ccd, bool fix_standalone_glycans, nf_arena *arena,
                                   nf_layout *ret_layout);

#endif
