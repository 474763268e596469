// From the flags of predict, search and fold to the options of a search.
#include <math.h>

#include "base/str.h"
#include "cli/predict_flags.h"

static double z_of(int64_t sequences) { return sequences == FLAG_NO_INT ? NAN : (double)sequences; }

static int int_of(int64_t value) { return value == FLAG_NO_INT ? 0 : (int)value; }

void predict_search_options(const predict_options *o, search_options *ret) {
  search_default_options(ret);
  ret->jackhmmer = o->jackhmmer_binary_path;
  ret->nhmmer = o->nhmmer_binary_path;
  ret->hmmalign = o->hmmalign_binary_path;
  ret->hmmsearch = o->hmmsearch_binary_path;
  ret->hmmbuild = o->hmmbuild_binary_path;
  ret->n_db_dirs = o->db_dir.n;
  ret->db_dirs = o->db_dir.values;
  const search_database_option databases[SEARCH_N_DATABASES] = {
      [SEARCH_UNIREF90] = {o->uniref90_database_path, z_of(o->uniref90_z_value)},
      [SEARCH_SMALL_BFD] = {o->small_bfd_database_path, z_of(o->small_bfd_z_value)},
      [SEARCH_MGNIFY] = {o->mgnify_database_path, z_of(o->mgnify_z_value)},
      [SEARCH_UNIPROT] = {o->uniprot_cluster_annot_database_path, z_of(o->uniprot_cluster_annot_z_value)},
      [SEARCH_NTRNA] = {o->ntrna_database_path, o->ntrna_z_value},
      [SEARCH_RFAM] = {o->rfam_database_path, o->rfam_z_value},
      [SEARCH_RNACENTRAL] = {o->rna_central_database_path, o->rna_central_z_value},
      [SEARCH_SEQRES] = {o->seqres_database_path, NAN},
      [SEARCH_PDB] = {o->pdb_database_path, NAN},
  };
  for (int d = 0; d < SEARCH_N_DATABASES; d++) ret->databases[d] = databases[d];
  ret->jackhmmer_n_cpu = int_of(o->jackhmmer_n_cpu);
  ret->nhmmer_n_cpu = int_of(o->nhmmer_n_cpu);
  ret->hmmsearch_n_cpu = int_of(o->hmmsearch_n_cpu);
  ret->jackhmmer_max_parallel_shards = int_of(o->jackhmmer_max_parallel_shards);
  ret->nhmmer_max_parallel_shards = int_of(o->nhmmer_max_parallel_shards);
  ret->jackhmmer_dom_e = o->jackhmmer_dom_e;
  ret->max_template_date = o->max_template_day;
  ret->prefilter = o->prefilter;
  ret->cache_dir = o->msa_cache;
}

const char *predict_search_key(const predict_options *o, nf_arena *arena) {
  search_options s;
  predict_search_options(o, &s);
  nf_str text = {0};
  for (int i = 0; i < s.n_db_dirs; i++) nf_str_printf(&text, "%s\n", s.db_dirs[i]);
  for (int d = 0; d < SEARCH_N_DATABASES; d++) {
    nf_str_printf(&text, "%s %.17g\n", s.databases[d].path ? s.databases[d].path : "", s.databases[d].z);
  }
  nf_str_printf(&text, "%.17g %d\n", s.jackhmmer_dom_e, s.max_template_date);
  const char *key = nf_arena_strdup(arena, text.data);
  nf_str_free(&text);
  return key;
}
