// Which sequences of a database HMMER's first filter may let through.
//
// jackhmmer throws nearly all sequences of a database away for the score of their best ungapped alignment (its SSV and MSV
// filters, --F1). Here the same score is computed faster, by several threads over one file, and only what comes within
// reach of the threshold is handed on to jackhmmer, which then decides. A rounding margin makes sure that nothing is
// missed; E-values are right because jackhmmer is told how many sequences there are (-Z).
#ifndef NF_SEARCH_PREFILTER_H
#define NF_SEARCH_PREFILTER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "search/ssv.h"

// The filter for one query: read-only, for any number of threads.
typedef struct nf_prefilter nf_prefilter;

// profile: the text of the query's profile as `hmmbuild --singlemx` writes it, which is jackhmmer's own. f1: jackhmmer's
// --F1. NULL if the profile is not understood or the processor has no vectors; then jackhmmer reads the file itself.
nf_prefilter *prefilter_create(const char *profile, double f1);
void prefilter_free(nf_prefilter *filter);  // NULL is fine
// Whether HMMER's filter may let the sequence through: letters in either case, or '[' for a break. row: scratch of
// prefilter_row_bytes, 64-byte aligned.
bool prefilter_passes(const nf_prefilter *filter, const char *letters, size_t n, int8_t *row);
size_t prefilter_row_bytes(const nf_prefilter *filter);

// Reads a FASTA file and writes the records let through, in their order, to the file descriptor `out`. Stops where they
// would be more than max_bytes: then *ret_fits is false. *ret_n: how many records the file holds. What HMMER would
// complain of is let through. n_threads may grow meanwhile: threads then join in.
NF_CHECKED nf_status prefilter_scan(const nf_prefilter *filter, const char *file, const _Atomic(int) *n_threads,
                                    size_t max_bytes, int out, const _Atomic(int) *opt_cancel, _Atomic(long long) *opt_position, bool *ret_fits,
                                    int64_t *ret_n);

#endif
