// The two JSON files of a sample, as AlphaFold 3 lays them out: keys in order of the alphabet, NaN as null.
#ifndef NF_OUTPUT_CONFIDENCES_H
#define NF_OUTPUT_CONFIDENCES_H

#include "features/batch.h"
#include "features/layout.h"
#include "output/outfile.h"
#include "score/score.h"

// confidences.json: per atom and per pair of tokens, with_pde also PDE. Probabilities are clamped to 0..1, errors to 0..99.9 angstrom.
void confidences_write_full(outfile *s, const nf_layout *layout, const nf_batch *batch, const nf_scores *scores,
                            bool with_pde);
// summary_confidences.json: of the whole, per chain and per pair of chains, rounded to two decimals; after AlphaFold 3's
// keys, chirality.
void confidences_write_summary(outfile *s, const nf_layout *layout, const nf_scores *scores);

#endif
