// The predicted structure as mmCIF text.
#ifndef NF_OUTPUT_MMCIF_H
#define NF_OUTPUT_MMCIF_H

#include "base/str.h"
#include "output/output.h"

// Appends the whole file: categories, items, order and formatting of AlphaFold 3's writer. `arena` holds the
// temporary strings. Refused (NF_FAILED) if a coordinate or a confidence is not finite.
NF_CHECKED nf_status mmcif_append(nf_str *out, const nf_job *job, const nf_layout *layout, const nf_scores *scores,
                                  const output_origin *origin, const output_options *options, nf_arena *arena);

// The texts on how a structure may be used, of several lines.
extern const char output_alphafold3_license[], output_alphafold3_disclaimer[], output_own_disclaimer[];

#endif
