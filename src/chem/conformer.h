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

// Whether RDKit accepts the component as a molecule. The reference draws a conformer's seed only then: where it is
// false, no number is drawn and the coordinates fall back at once. False for a charge, an aromatic flag or an ideal
// coordinate unknown to the dictionary, a bond other than single, double or triple, an atom name longer than four
// characters, and whatever RDKit's sanitisation refuses (valences).
// NF_FAILED if RDKit is not installed: the message names the package.
NF_CHECKED nf_status conformer_accepts(const ccd_component *component, bool *ret_accepts);

// Embeds one conformer of `component` as the reference does: atoms in the order of their names, chirality from the
// ideal coordinates, sanitised, ETKDGv3 with randomSeed = seed (1 .. 2^31 - 1); max_iterations <= 0: RDKit's default.
// Where an old RDKit turns a double bond around, the seeds that follow are tried. Fills positions (n_atoms, 3),
// angstrom, in the component's atom order for all atoms including hydrogens. *ret_found is false where RDKit finds
// none, or does not accept the molecule; then the caller falls back. The same seed and RDKit give the same positions
// (another version of RDKit gives others). NF_FAILED as above.
NF_CHECKED nf_status conformer_embed(const ccd_component *component, int64_t seed, int max_iterations, float *positions,
                                     bool *ret_found);
const char *conformer_rdkit_version(void);  // "2022.09.3"; "" until loaded

#endif
