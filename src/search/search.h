// Genetic and template search: fills the MSAs and templates that a job leaves open, as AlphaFold 3's data pipeline does.
//
//   search_options options;
//   search_default_options(&options);
//   options.n_db_dirs = 1, options.db_dirs = (const char *[]){"/databases"};
//   nf_search *search;
//   NF_TRY(search_open(&options, &search));
//   status = search_job(search, &job, arena, &complete);
//   search_close(search);
//
// What is missing, and what is refused as set only in part, follows the reference (job_check_filled). Where a chain's
// MSAs are given but empty, they become the query alone, as in the reference.
#ifndef NF_SEARCH_SEARCH_H
#define NF_SEARCH_SEARCH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/status.h"
#include "input/job.h"

typedef enum {
  SEARCH_UNIREF90,
  SEARCH_SMALL_BFD,
  SEARCH_MGNIFY,
  SEARCH_UNIPROT,
  SEARCH_NTRNA,
  SEARCH_RFAM,
  SEARCH_RNACENTRAL,
  SEARCH_SEQRES,
  SEARCH_PDB,
  SEARCH_N_DATABASES
} search_database;

typedef struct {
  const char *path;  // may hold ${DB_DIR}
  double z;          // NaN: as large as the files are. Sequences for protein, megabases for RNA
} search_database_option;

typedef struct {
  const char *jackhmmer, *nhmmer, *hmmalign, *hmmsearch, *hmmbuild;  // NULL: looked for in $PATH
  int n_db_dirs;
  const char *const *db_dirs;
  search_database_option databases[SEARCH_N_DATABASES];
  // Processors for each program. 0: all processors at hand are kept busy, shared out among the searches that are open.
  int jackhmmer_n_cpu, nhmmer_n_cpu, hmmsearch_n_cpu;
  int jackhmmer_max_parallel_shards, nhmmer_max_parallel_shards;  // of one database; 0: no limit
  double jackhmmer_dom_e;  // NaN: HMMER's own; 100 times that gives AlphaFold Server's deeper MSAs
  int max_template_date;   // yyyymmdd
  bool prefilter;          // jackhmmer reads only what may pass its first filter: the same result, sooner
  const char *cache_dir;   // NULL: results are not kept
  bool quiet;              // no progress
} search_options;

// The defaults of run_alphafold.py: database names under ${DB_DIR}, no directory.
void search_default_options(search_options *options);
// "uniref90", and the flag that says where it is: "uniref90_database_path".
const char *search_database_name(search_database database);
const char *search_database_flag(search_database database);
const char *search_z_flag(search_database database);       // NULL for the template databases
bool search_counts_residues(search_database database);     // Z in megabases

// Long-lived: holds what is learnt of programs and databases, and results of this run. The options' strings must live
// as long. Programs and databases are looked for when a job needs them, not before.
typedef struct nf_search nf_search;
NF_CHECKED nf_status search_open(const search_options *options, nf_search **ret_search);
void search_close(nf_search *search);  // NULL is fine

// Whether anything of the job is to be searched for.
bool search_is_needed(const nf_job *job);
// Looks for the programs and databases the job needs, and refuses what can be refused before the search.
NF_CHECKED nf_status search_check(nf_search *search, const nf_job *job);
// Fills the job. One program that fails does not stop the others: what they find is kept in the cache, and the job then
// fails with the first failure's message. The result shares the strings of `job`; new ones live in the arena.
NF_CHECKED nf_status search_job(nf_search *search, const nf_job *job, nf_arena *arena, nf_job *ret_job);

// Says on `out` which databases are there, their size and Z. count: read those whole whose Z is not known.
NF_CHECKED nf_status search_print_databases(const search_options *options, bool count);

#endif
