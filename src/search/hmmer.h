// HMMER's programs, each with the flags that AlphaFold 3's pipeline gives it.
#ifndef NF_SEARCH_HMMER_H
#define NF_SEARCH_HMMER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/status.h"
#include "search/alignment.h"
#include "search/prefilter.h"
#include "search/process.h"

enum { HMMER_JACKHMMER, HMMER_NHMMER, HMMER_HMMALIGN, HMMER_HMMSEARCH, HMMER_HMMBUILD, HMMER_N_PROGRAMS };
extern const char *const hmmer_names[HMMER_N_PROGRAMS];  // "jackhmmer", ...

typedef struct {
  const char *path;
  const char *version;  // the line of its banner: "HMMER 3.3.2 (Nov 2020); http://hmmer.org/"
  bool has_seq_limit;   // jackhmmer with --seq_limit
} hmmer_program;

// Asks a program for its version, and jackhmmer whether it knows --seq_limit. path NULL: looked for in $PATH.
NF_CHECKED nf_status hmmer_open(int program, const char *path, nf_arena *arena, hmmer_program *ret_program);

// E-values of hits by name, for merging shards. Sorted by hash.
typedef struct {
  uint64_t hash;   // FNV-1a of the name (of nhmmer's hits with their place: "name/from-to")
  double e_value;
  double score;    // bits
} hmmer_score;

// One search of one file.
typedef struct {
  const char *label;       // "jackhmmer on uniref90.fa"
  const char *file;
  const char *query;       // one-letter sequence
  int n_cpu;                          // of the program, at its start
  const _Atomic(int) *n_filter_cpu;   // of the prefilter; may grow meanwhile
  double e_value;
  const char *z;           // as text; NULL: as large as the file
  double dom_e;            // jackhmmer's --domE; NaN: HMMER's default
  int max_rows;            // the query's included
  bool wants_scores;
  const nf_prefilter *opt_prefilter;  // jackhmmer reads what this lets through,
  size_t max_let_through;             // which is kept in memory, unless it is more than these bytes
  _Atomic(long long) *opt_position;   // how far that has come in the file
  _Atomic(int) *opt_hits;             // hits read so far; HMMER tells of them when it has read the file
  _Atomic(int) *opt_pid;
  const _Atomic(int) *opt_cancel;
} hmmer_search;

typedef struct {
  nf_alignment alignment;
  int n_scores;
  hmmer_score *scores;  // the last of each name
  process_usage usage;
} hmmer_hits;
void hmmer_hits_free(hmmer_hits *hits);
const hmmer_score *hmmer_find_score(const hmmer_hits *hits, const char *name, size_t n);  // NULL if absent

// The prefilter of a query, from its profile; NULL where none can be made, which is no failure.
nf_prefilter *hmmer_prefilter(const hmmer_program *hmmbuild, const char *query);

// jackhmmer, one iteration. The first row is the query as jackhmmer aligned it.
NF_CHECKED nf_status hmmer_jackhmmer(const hmmer_program *program, const hmmer_search *search, hmmer_hits *ret_hits);
// nhmmer, and hmmalign of what it found to the query's profile. The first row is the query.
NF_CHECKED nf_status hmmer_nhmmer(const hmmer_program *nhmmer, const hmmer_program *hmmalign,
                                  const hmmer_program *hmmbuild, const hmmer_search *search, hmmer_hits *ret_hits);
// hmmbuild of the alignment (columns of the first row) and hmmsearch of a file of PDB sequences with it: rows as
// aligned to the profile, insertions in small letters. Nothing is left out for its E-value short of 100.
NF_CHECKED nf_status hmmer_templates(const hmmer_program *hmmbuild, const hmmer_program *hmmsearch,
                                     const nf_alignment *alignment, const hmmer_search *search, hmmer_hits *ret_hits);

// What decides the result of a search beside the query, the file and Z, as text for the cache's key.
const char *hmmer_settings(int program, const hmmer_search *search, nf_arena *arena);

#endif
