// Atoms with coordinates: what is read from a template's mmCIF and what a prediction becomes.
#ifndef NF_STRUCTURE_STRUCTURE_H
#define NF_STRUCTURE_STRUCTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/status.h"
#include "chem/residues.h"

typedef struct {
  char name[8];
  char element[4];
  float x, y, z;  // angstrom
  float b_factor, occupancy;
  bool present;  // false: expected by the sequence but absent from the file
  int residue;   // index into residues
} structure_atom;

typedef struct {
  char name[12];       // label_comp_id
  int id;              // label_seq_id in polymers
  char author_id[12];  // auth_seq_id
  char insertion[4];
  int chain;  // index into chains
  int first_atom, n_atoms;
} structure_residue;

typedef struct {
  char id[16];         // label_asym_id
  char author_id[16];  // auth_asym_id
  char entity_id[16];
  nf_chain_kind kind;
  const char *type;  // _entity_poly.type or "" for non-polymers
  int first_residue, n_residues;
} structure_chain;

typedef struct {
  const char *name;  // entry id
  int release_date;  // yyyymmdd, 0 unknown
  int n_chains, n_residues, n_atoms;
  structure_chain *chains;
  structure_residue *residues;
  structure_atom *atoms;
} nf_structure;

// Reads an mmCIF text as the reference's from_mmcif does for templates: first model, altlocs resolved, MSE to MET,
// arginine NH1/NH2 mended, missing residues of the sequence kept (without atoms), unknown waters dropped.
// `label` names it in messages.
NF_CHECKED nf_status mmcif_read_structure(const char *label, const char *text, size_t length, nf_arena *arena,
                                          nf_structure *ret_structure);

// Root mean square distance, angstrom, of `a` and `b` (n, 3) after the best rotation and shift of one onto the other;
// mirror images are not superposed. 0 if n is 0.
double superpose_rmsd(const float *a, const float *b, int n);

// Solvent accessible surface of each residue, square angstrom, as DSSP 4 computes it (water radius 1.4, 401 dots on a
// sphere, coordinates to three decimals). Only residues of polymers with N, CA, C and O count: all others get NaN,
// stand in nobody's way, and have no line in a DSSP file. Hydrogens (element "H") and atoms that are not present or not
// finite are passed over. DSSP prints floor(value + 0.5); it knows whatever is in the structure, so a chain to be
// measured alone is to be put into a structure alone.
void dssp_accessibility(const nf_structure *structure, double *per_residue);

#endif
