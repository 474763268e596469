// Conformers of components: RDKit's ETKDGv3 behind a C door, loaded only when a job needs one.
#ifndef NF_CHEM_CONFORMER_H
#define NF_CHEM_CONFORMER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "chem/ccd.h"

// Embeds one conformer of `component` as the reference does (ETKDGv3, randomSeed = seed, and its retry with random
// coordinates), max_iterations <= 0: RDKit's default. Fills positions (n_atoms, 3) in the component's atom order
// for all atoms including hydrogens. *ret_found is false where RDKit finds none; then the caller falls back.
// NF_FAILED if RDKit is not installed: the message names the package.
NF_CHECKED nf_status conformer_embed(const ccd_component *component, int64_t seed, int max_iterations, float *positions,
                                     bool *ret_found);
const char *conformer_rdkit_version(void);  // "" until loaded

#endif
