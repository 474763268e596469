// The predicted structure in the PDB's old format of 80 columns, for programs that read no mmCIF.
#ifndef NF_OUTPUT_PDB_H
#define NF_OUTPUT_PDB_H

#include "base/str.h"
#include "output/output.h"

// Why the structure does not fit into the format, as the end of a sentence ("70 chains are more than ..."); NULL if it
// does. What has a customary way out is no reason: see pdb_append. Lives in `arena`.
const char *pdb_obstacle(const nf_layout *layout, const nf_scores *scores, nf_arena *arena);

// Appends the whole file; there must be no obstacle. Atoms come in the order of the mmCIF, the B factor is the pLDDT, TER
// ends each polymer, CONECT holds the bonds of ligands and of residues that are not standard. Chain ids of several
// letters get free ones of one letter, names of more than three letters shorter ones (told in REMARK 1 and HETNAM);
// numbers too large for their columns go on in hybrid-36 (99999, A0000, ...).
void pdb_append(nf_str *out, const nf_job *job, const nf_layout *layout, const nf_scores *scores,
                const output_origin *origin, const output_options *options, nf_arena *arena);

// The number in `width` columns, in hybrid-36 where decimal digits do not suffice. value >= 0.
enum { PDB_NUMBER_SIZE = 24 };
void pdb_number(int64_t value, int width, char text[PDB_NUMBER_SIZE]);

#endif
