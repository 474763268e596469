// The chemical component dictionary: one compact file that is mapped, not parsed; a subset is embedded.
#ifndef NF_CHEM_CCD_H
#define NF_CHEM_CCD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

typedef struct {
  char name[8];         // atom_id
  char element[4];      // type_symbol, upper case as in the dictionary
  int8_t charge;        // formal
  bool leaving;         // pdbx_leaving_atom_flag
  char stereo;          // pdbx_stereo_config: R, S or N
  bool has_ideal, has_model;
  float ideal[3];       // pdbx_model_Cartn_*_ideal, angstrom
  float model[3];       // model_Cartn_*, angstrom
} ccd_atom;

typedef struct {
  int16_t atom1, atom2;  // indices into the component's atoms
  uint8_t order;         // 1 single, 2 double, 3 triple, 4 quadruple, 5 aromatic, 6 delocalised, 7 polymeric, 8 pi
  bool aromatic;         // pdbx_aromatic_flag
  char stereo;           // pdbx_stereo_config: E, Z or N
} ccd_bond;

typedef struct {
  const char *id;                // component code, at most 11 characters
  const char *name, *type;       // _chem_comp.name, .type ("L-PEPTIDE LINKING", as in the dictionary)
  const char *formula;
  float formula_weight;
  const char *parent;            // mon_nstd_parent_comp_id, "" if none
  const char *synonyms;          // pdbx_synonyms, "" if none
  char one_letter;               // one_letter_code, or '?' ...
  int initial_date;              // pdbx_initial_date as yyyymmdd; 0 unknown
  int modified_date;             // pdbx_modified_date as yyyymmdd; 0 unknown
  int n_atoms, n_bonds;
  const ccd_atom *atoms;
  const ccd_bond *bonds;
} ccd_component;

// A set of components: the embedded subset, and if a dictionary file was opened, that file before it.
// Read-only once opened; usable from several threads.
typedef struct nf_ccd nf_ccd;

// path NULL: $NATIVEFOLD_CCD if set, else the user's data directory's ccd.bin if it exists, else the subset alone.
NF_CHECKED nf_status ccd_open(const char *path, nf_ccd **ret_ccd);
void ccd_close(nf_ccd *ccd);

// NULL if the code is in neither.
const ccd_component *ccd_find(const nf_ccd *ccd, const char *code);
// The same, but refuses an unknown code with one sentence that names the command which adds the full dictionary.
// `where` begins the sentence: "job.json: ligand L".
NF_CHECKED nf_status ccd_require(const nf_ccd *ccd, const char *where, const char *code,
                                 const ccd_component **ret_component);
int ccd_count(const nf_ccd *ccd);
// The n-th component of the opened set (0 .. ccd_count - 1), by code order within each part.
const ccd_component *ccd_at(const nf_ccd *ccd, int n);

// Whether the component's type is one of the saccharide types (the reference's glycan sets).
bool ccd_is_glycan_linking(const ccd_component *component);
bool ccd_is_glycan_other(const ccd_component *component);

// `nativefold ccd build`: reads components.cif (plain, gz, xz, zst) and writes the compact file.
// codes: NULL for all, or a NULL-ended list of codes to keep.
NF_CHECKED nf_status ccd_build(const char *components_path, const char *output_path, const char *const *codes);

#endif
