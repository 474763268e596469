// Template features: known structures whose residues are laid over the tokens of a protein chain.
#ifndef NF_FEATURES_TEMPLATE_H
#define NF_FEATURES_TEMPLATE_H

#include "features/batch.h"
#include "features/layout.h"
#include "input/job.h"

// Fills template_aatype, template_atom_positions and template_atom_mask of a batch that batch_allocate has zeroed: the
// first batch->n_template templates of each protein chain of more than four tokens; nothing elsewhere, and nothing in
// padding tokens. Every template is read, so that a broken one is refused wherever it stands. Refused too: a template
// without release date, one of more or fewer than one polymer chain, and indices beyond the template or the chain.
// What is allocated in `arena` on the way is given back.
NF_CHECKED nf_status template_features(const nf_job *job, const nf_layout *layout, nf_arena *arena, nf_batch *batch);

#endif
