// The chemical component dictionary: one compact file that is mapped, not parsed; a subset is embedded.
#ifndef NF_CHEM_CCD_H
#define NF_CHEM_CCD_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/status.h"

enum { CCD_MAX_CODE = 11, CCD_MAX_ATOMS = 32767 };

typedef struct {
  char name[8];               // atom_id
  char element[4];            // type_symbol, upper case as in the dictionary; "X" unknown element, "D" deuterium
  bool has_charge;            // false where the dictionary has "?"
  int8_t charge;              // formal; 0 where unknown
  bool leaving;               // pdbx_leaving_atom_flag
  char stereo;                // pdbx_stereo_config: R, S or N; of a SMILES also '?', a centre without such a letter
  bool has_ideal, has_model;  // all three coordinates are known
  float ideal[3];             // pdbx_model_Cartn_*_ideal, angstrom; 0 where unknown
  float model[3];             // model_Cartn_*, angstrom; 0 where unknown
} ccd_atom;

typedef struct {
  int16_t atom1, atom2;  // indices into the component's atoms
  uint8_t order;         // 1 single, 2 double, 3 triple, 4 quadruple, 5 aromatic, 6 delocalised, 7 polymeric, 8 pi
  bool has_aromatic;     // false where the dictionary has "?"
  bool aromatic;         // pdbx_aromatic_flag
  char stereo;           // pdbx_stereo_config: E, Z or N
} ccd_bond;

// Texts are "" where the dictionary has "?" or no such item.
typedef struct ccd_component {
  const char *id;           // component code
  const char *name, *type;  // _chem_comp.name, .type ("L-PEPTIDE LINKING", case as in the dictionary)
  const char *formula;
  float formula_weight;   // dalton; the dictionary has three decimals; 0 unknown
  const char *parent;     // mon_nstd_parent_comp_id
  const char *synonyms;   // pdbx_synonyms
  const char *smiles;     // canonical SMILES, OpenEye's before others, else any SMILES; the embedded subset has none
  char one_letter;        // one_letter_code; '?' where it is unknown or longer than one letter
  int initial_date;       // pdbx_initial_date as yyyymmdd; 0 unknown
  int modified_date;      // pdbx_modified_date as yyyymmdd; 0 unknown
  int n_atoms, n_bonds;   // n_atoms may be 0 (UNL)
  const ccd_atom *atoms;  // in the dictionary's order, hydrogens included
  const ccd_bond *bonds;

  // Of components that come with a job; false and NULL in a dictionary's own.
  bool from_user;                        // read from the job's userCCD
  bool from_smiles;                      // made of `smiles`: no coordinates, atoms named by element and number
  const struct ccd_component *replaces;  // the dictionary's component of the same code, which a user's stands for
} ccd_component;

// A set of components: the embedded subset, and if a dictionary file was opened, that file before it.
// Usable from several threads: a component is decoded once, when first asked for, and lives until ccd_close.
typedef struct nf_ccd nf_ccd;

// path NULL: $NATIVEFOLD_CCD if set, else the user's data directory's ccd.bin if it exists, else the subset alone.
// Opening reads the header and the index, and checks both; NF_INPUT if the file is no dictionary or damaged there.
NF_CHECKED nf_status ccd_open(const char *path, nf_ccd **ret_ccd);
void ccd_close(nf_ccd *ccd);  // NULL is fine
// "$XDG_DATA_HOME/nativefold/ccd.bin", or under ~/.local/share; NULL where there is no home. Freed by the caller.
char *ccd_default_path(void);

// NULL if the code is in neither, or its record is damaged.
const ccd_component *ccd_find(const nf_ccd *ccd, const char *code);
// The same, but refuses an unknown code with one sentence that names the command which adds the full dictionary, and a
// damaged record with one that names the file. `where` begins the sentence: "job.json: ligand L".
NF_CHECKED nf_status ccd_require(const nf_ccd *ccd, const char *where, const char *code,
                                 const ccd_component **ret_component);
int ccd_count(const nf_ccd *ccd);
// The n-th component of the opened set (0 .. ccd_count - 1), by code order within each part; NULL if its record is
// damaged. A code that is in both parts comes twice.
const ccd_component *ccd_at(const nf_ccd *ccd, int n);

// An overlay: a dictionary of one job, whose own components come before those of `base` (NULL: there are none), which
// must outlive it. Every function here takes it; closed like any other, but its own components live in `arena` and
// stay. Components are added before it is shared between threads.
nf_ccd *ccd_overlay(const nf_ccd *base, nf_arena *arena);
// Reads components in mmCIF (a job's userCCD; a component's code is the name of its data block) into the overlay. They
// may stand for components of `base`. label begins the messages: "job.json: userCCD".
NF_CHECKED nf_status ccd_overlay_read(nf_ccd *overlay, const char *label, const char *text, size_t length);
// Adds a copy of the component; its code must be new to the overlay.
void ccd_overlay_add(nf_ccd *overlay, const ccd_component *component);

// Index of the atom of that name; -1 if there is none.
int ccd_atom_index(const ccd_component *component, const char *name);
// Whether the component's type is one of the saccharide types (the reference's two glycan sets): the word "saccharide"
// with, or without, "linking". The sets are of codes: a user's component belongs to one if the dictionary's does.
bool ccd_is_glycan_linking(const ccd_component *component);
bool ccd_is_glycan_other(const ccd_component *component);
// _chem_comp.mon_nstd_flag as the reference writes it: "." non-polymer, "y" without a parent, "n" with one.
const char *ccd_nonstandard_flag(const ccd_component *component);

// `nativefold ccd build`: reads components.cif (plain, gz, xz, zst) and writes the compact file.
// codes: NULL for all, or a NULL-ended list of codes to keep, all of which must be there. ret_n (may be NULL): how many
// components were written. A plain file is mapped, so that memory stays small; a compressed one is held whole.
NF_CHECKED nf_status ccd_build(const char *components_path, const char *output_path, const char *const *codes,
                               int *ret_n);

// `nativefold ccd show`: the component as text.
void ccd_print(FILE *out, const ccd_component *component);

#endif
