// Sequence databases: where they are, how they are split, how large they are.
//
// A database is a FASTA file, or shards of one: the path "prefix@3" stands for prefix-00000-of-00003 and so on, "prefix@*"
// for as many as there are; a suffix ("prefix@3.fa") goes behind the numbers. Beside the shards that `nativefold db
// shard` makes lies a record, "prefix@3.json", with the size that E-values are computed with.
#ifndef NF_SEARCH_DATABASE_H
#define NF_SEARCH_DATABASE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/status.h"

typedef struct {
  const char *spec;           // the path as given, ${DB_DIR} filled in
  bool is_sharded;
  int n_files;
  const char *const *files;   // the shards, or the one file
  int64_t bytes;              // of all files
  bool has_record;
  int64_t n_sequences, n_residues;  // of the record
} nf_database;

// Finds a database. `path` may hold ${DB_DIR}, which stands for the first of db_dirs under which the database (or all of
// its shards) is there. NF_INPUT names the flag where there is none.
NF_CHECKED nf_status database_find(const char *flag, const char *path, int n_db_dirs, const char *const *db_dirs,
                                   nf_arena *arena, nf_database *ret_database);
// The same for a directory or file that is not sequences: the path alone.
NF_CHECKED nf_status database_find_path(const char *flag, const char *path, int n_db_dirs, const char *const *db_dirs,
                                        nf_arena *arena, const char **ret_path);

// Reads a whole FASTA file (or all shards) and counts.
NF_CHECKED nf_status database_count(const nf_database *database, int64_t *ret_sequences, int64_t *ret_residues);

// Splits a FASTA file (plain, or a pipe: /dev/stdin) into n_shards files of about equal size: each record goes to a shard
// drawn at random by `seed`. One pass; memory does not grow with the file. The shards and their record appear only when
// all is written. *ret_spec: "prefix@n".
NF_CHECKED nf_status database_shard(const char *fasta, const char *prefix, int n_shards, uint64_t seed, nf_arena *arena,
                                    const char **ret_spec, int64_t *ret_sequences, int64_t *ret_residues);

#endif
