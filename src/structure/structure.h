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
  float x, y, z;      // angstrom
  float b_factor, occupancy;
  bool present;       // false: expected by the sequence but absent from the file
  int residue;        // index into residues
} structure_atom;

typedef struct {
  char name[12];      // label_comp_id
  int id;             // label_seq_id in polymers
  char author_id[12]; // auth_seq_id
  char insertion[4];
  int chain;          // index into chains
  int first_atom, n_atoms;
} structure_residue;

typedef struct {
  char id[16];         // label_asym_id
  char author_id[16];  // auth_asym_id
  char entity_id[16];
  nf_chain_kind kind;
  const char *type;    // _entity_poly.type or "" for non-polymers
  int first_residue, n_residues;
} structure_chain;

typedef struct {
  const char *name;          // entry id
  int release_date;          // yyyymmdd, 0 unknown
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

// Kabsch superposition: root mean square distance, angstrom, of `a` onto `b` (n, 3) after the best rotation.
double superpose_rmsd(const float *a, const float *b, int n);

// Solvent accessible surface per residue, square angstrom, as DSSP computes it (water radius 1.4, 200-point
// spheres, DSSP's radii); only polymer residues with a complete backbone count, as there.
void dssp_accessibility(const nf_structure *structure, double *per_residue);

#endif
