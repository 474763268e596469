// What shards of one database gave, put together as if it had been searched whole.
#ifndef NF_SEARCH_MERGE_H
#define NF_SEARCH_MERGE_H

#include "search/hmmer.h"

// Rows in the order of their E-values (of jackhmmer also bits), then names, then shards; the query first, as given.
// with_place: hits are nhmmer's, told apart by name and place. At most max_rows rows, the query's included.
void merge_shards(const char *query, hmmer_hits *const *shards, int n_shards, bool with_place, int max_rows,
                  nf_alignment *ret);

#endif
