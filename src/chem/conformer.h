// Conformers of components: RDKit's ETKDGv3 behind a C door, loaded only when a job needs one.
//
// RDKit lives in a library of its own, libnativefold_rdkit.so, looked for in $NATIVEFOLD_RDKIT (the file), beside the
// program, in ../lib and ../lib/nativefold from there, and where the system looks. Every function may be called from
// several threads at once.
#ifndef NF_CHEM_CONFORMER_H
#define NF_CHEM_CONFORMER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "chem/ccd.h"

// Adds to the overlay, under `code`, the component that a SMILES describes, hydrogens included, as the reference makes
// it: atoms are named by element and number in the order of the SMILES (C1 C2 CL1 O1), hydrogens after all others;
// bonds in Kekule form. Where a number would make a name longer than the features' four characters (C1000), letters
// count on (CA00), which the reference cannot. `label` begins the messages: "job.json: ligand L: smiles".
// NF_INPUT if RDKit cannot read the SMILES, or it holds what no component can; NF_FAILED as below.
NF_CHECKED nf_status conformer_add_smiles(nf_ccd *overlay, const char *label, const char *code, const char *smiles);

// Whether RDKit accepts the component as a molecule. The reference draws a conformer's seed only then: where it is
// false, no number is drawn and the coordinates fall back at once. False for a charge, an aromatic flag or an ideal
// coordinate unknown to the dictionary, a bond other than single, double or triple, an atom name longer than four
// characters, and whatever RDKit's sanitisation refuses (valences). Always true of a component made of a SMILES.
// NF_FAILED if RDKit is not installed: the message names the package.
NF_CHECKED nf_status conformer_accepts(const ccd_component *component, bool *ret_accepts);

// Embeds one conformer of `component` as the reference does: atoms in the order of their names, chirality from the
// ideal coordinates (for a SMILES: atoms in its order, chirality as it says), sanitised, ETKDGv3 with randomSeed = seed
// (1 .. 2^31 - 1); max_iterations <= 0: RDKit's default. Where an old RDKit turns a double bond around, the seeds that
// follow are tried. Fills positions (n_atoms, 3), angstrom, in the component's atom order for all atoms including
// hydrogens. *ret_found is false where RDKit finds none, does not accept the molecule, or would take hours over it (a
// SMILES of more than 2,000 atoms with hydrogens); then the caller falls back. The same seed and RDKit give the same
// positions (another version of RDKit gives others). NF_FAILED as above.
NF_CHECKED nf_status conformer_embed(const ccd_component *component, int64_t seed, int max_iterations, float *positions,
                                     bool *ret_found);

// Stereo centres of a component as its ideal coordinates have them: ret_stereo (n_atoms), letters as in ccd_atom.stereo.
// For components whose maker left the letters out; false if RDKit is not there or does not accept the component.
bool conformer_stereo(const ccd_component *component, char *ret_stereo);

const char *conformer_rdkit_version(void);  // "2022.09.3"; "" until loaded

#endif
