// db: splits sequence databases into shards, and says which databases are there.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/flags.h"
#include "search/database.h"
#include "search/search.h"

typedef struct {
  int64_t shards, seed;
  const char *output;
} shard_options;

static const flag_spec shard_specs[] = {
    FLAG(FLAG_INT, shard_options, shards, NULL, "How many shards to make. Required.", .min = 1, .max = 99999),
    FLAG(FLAG_STRING, shard_options, output, NULL,
         "The shards are named OUTPUT-00000-of-00064 and so on. Default: the name of the file."),
    FLAG(FLAG_INT, shard_options, seed, "1", "Which sequences share a shard is drawn at random from this number.",
         .max = 4294967295.0),
};
enum { N_SHARD_SPECS = sizeof shard_specs / sizeof *shard_specs };

typedef struct {
  flag_strings db_dir;
  const char *uniref90_database_path, *small_bfd_database_path, *mgnify_database_path;
  const char *uniprot_cluster_annot_database_path, *ntrna_database_path, *rfam_database_path;
  const char *rna_central_database_path, *seqres_database_path, *pdb_database_path;
  double uniref90_z_value, small_bfd_z_value, mgnify_z_value, uniprot_cluster_annot_z_value;
  double ntrna_z_value, rfam_z_value, rna_central_z_value;
  bool count;
} check_options;

#define PATH(field) FLAG(FLAG_STRING, check_options, field, NULL, "As nativefold search takes it.")
#define Z(field) FLAG(FLAG_FLOAT, check_options, field, NULL, "As nativefold search takes it.")

static const flag_spec check_specs[] = {
    FLAG(FLAG_MULTI_STRING, check_options, db_dir, "~/public_databases",
         "A directory of databases; several are looked through in their order."),
    FLAG(FLAG_BOOL, check_options, count, "false", "Whether to read databases whole to find a Z that is not known."),
    PATH(uniref90_database_path),
    Z(uniref90_z_value),
    PATH(small_bfd_database_path),
    Z(small_bfd_z_value),
    PATH(mgnify_database_path),
    Z(mgnify_z_value),
    PATH(uniprot_cluster_annot_database_path),
    Z(uniprot_cluster_annot_z_value),
    PATH(ntrna_database_path),
    Z(ntrna_z_value),
    PATH(rfam_database_path),
    Z(rfam_z_value),
    PATH(rna_central_database_path),
    Z(rna_central_z_value),
    PATH(seqres_database_path),
    PATH(pdb_database_path),
};
enum { N_CHECK_SPECS = sizeof check_specs / sizeof *check_specs };

static void usage(FILE *out) {
  fprintf(out,
          "usage: nativefold db shard DATABASE.fasta --shards=64 [--output=PREFIX]\n"
          "       nativefold db check [--db_dir=DIR] [--count]\n\n"
          "shard splits a database into files that are searched side by side, given as PREFIX@64, and records its size;\n"
          "check says which databases are there, their size and the Z that E-values are computed with.\n");
}

static nf_status shard(int argc, char **argv, nf_arena *arena) {
  shard_options options;
  flag_result result;
  NF_TRY(flags_parse("nativefold db shard", shard_specs, N_SHARD_SPECS, argc, argv, arena, &options, &result));
  if (result.help) {
    flags_help(stdout, "nativefold db shard DATABASE.fasta --shards=64",
               "Splits a FASTA file at random into shards of about equal size.", shard_specs, N_SHARD_SPECS);
    return NF_OK;
  }
  if (result.n_arguments != 1) return nf_fail(NF_INPUT, "db shard: name one FASTA file");
  if (options.shards == FLAG_NO_INT) return nf_fail(NF_INPUT, "db shard: say how many with --shards");
  const char *fasta = result.arguments[0], *spec;
  if (!options.output && strncmp(fasta, "/dev/", 5) == 0) {
    return nf_fail(NF_INPUT, "db shard: %s has no name for the shards, give --output", fasta);
  }
  int64_t sequences, residues;
  double start = nf_seconds();
  NF_TRY(database_shard(fasta, options.output ? options.output : fasta, (int)options.shards, (uint64_t)options.seed, arena,
                        &spec, &sequences, &residues));
  nf_note("%s: %lld sequences, %lld residues in %.1f s", spec, (long long)sequences, (long long)residues,
          nf_seconds() - start);
  return NF_OK;
}

static nf_status check(int argc, char **argv, nf_arena *arena) {
  check_options o;
  flag_result result;
  NF_TRY(flags_parse("nativefold db check", check_specs, N_CHECK_SPECS, argc, argv, arena, &o, &result));
  if (result.help) {
    flags_help(stdout, "nativefold db check [flags]", "Says which databases are there, their size and Z.", check_specs,
               N_CHECK_SPECS);
    return NF_OK;
  }
  if (result.n_arguments) return nf_fail(NF_INPUT, "db check: \"%.100s\" is not a flag", result.arguments[0]);
  search_options options;
  search_default_options(&options);
  options.n_db_dirs = o.db_dir.n;
  options.db_dirs = o.db_dir.values;
  const char *const paths[SEARCH_N_DATABASES] = {
      [SEARCH_UNIREF90] = o.uniref90_database_path,
      [SEARCH_SMALL_BFD] = o.small_bfd_database_path,
      [SEARCH_MGNIFY] = o.mgnify_database_path,
      [SEARCH_UNIPROT] = o.uniprot_cluster_annot_database_path,
      [SEARCH_NTRNA] = o.ntrna_database_path,
      [SEARCH_RFAM] = o.rfam_database_path,
      [SEARCH_RNACENTRAL] = o.rna_central_database_path,
      [SEARCH_SEQRES] = o.seqres_database_path,
      [SEARCH_PDB] = o.pdb_database_path,
  };
  const double z[SEARCH_N_DATABASES] = {
      [SEARCH_UNIREF90] = o.uniref90_z_value,
      [SEARCH_SMALL_BFD] = o.small_bfd_z_value,
      [SEARCH_MGNIFY] = o.mgnify_z_value,
      [SEARCH_UNIPROT] = o.uniprot_cluster_annot_z_value,
      [SEARCH_NTRNA] = o.ntrna_z_value,
      [SEARCH_RFAM] = o.rfam_z_value,
      [SEARCH_RNACENTRAL] = o.rna_central_z_value,
      [SEARCH_SEQRES] = NAN,
      [SEARCH_PDB] = NAN,
  };
  for (int d = 0; d < SEARCH_N_DATABASES; d++) {
    if (paths[d]) options.databases[d].path = paths[d];
    options.databases[d].z = z[d];
  }
  return search_print_databases(&options, o.count);
}

int cli_db(int argc, char **argv) {
  static const cli_subcommand subcommands[] = {{"shard", shard}, {"check", check}};
  return cli_dispatch(argc, argv, usage, subcommands, sizeof subcommands / sizeof *subcommands);
}
