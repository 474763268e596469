// From hits in the PDB's sequences to a chain's templates.
#ifndef NF_SEARCH_TEMPLATES_H
#define NF_SEARCH_TEMPLATES_H

#include "base/memory.h"
#include "base/status.h"
#include "input/job.h"
#include "search/alignment.h"
#include "search/mmcif_store.h"

enum { TEMPLATES_MAX = 4 };

// Goes through the hits, best first, and keeps the first four that AlphaFold 3 keeps: released by max_date (yyyymmdd), no
// copy of more than 95 % of the query's length, at least 10 residues, with coordinates, laid over more than a tenth of
// the query, and not the same as one that is kept. Where a structure's sequence is shorter than the PDB's list of
// sequences has it, the hit is laid over what is there. Each template's mmCIF holds the chain alone.
// A hit that cannot be used (no such file, or a damaged one) is left out with a warning.
NF_CHECKED nf_status templates_select(const char *query, const nf_alignment *hits, const nf_mmcif_store *store,
                                      int max_date, nf_arena *arena, int *ret_n, job_template **ret_templates);

// Moves a mapping (n pairs) from indices of the hit's residues, whose letters are hit[0 .. end - start), to indices of
// the structure's sequence, where that one lacks some of the full_length residues. Pairs without a partner are dropped:
// *ret_n tells how many remain. False where the structure is longer than full_length.
bool templates_realign(const char *hit, int start, int end, int full_length, const char *structure, int n, int *query,
                       int *index, int *ret_n);

#endif
