// The flags of `predict`, `search` and `fold`: run_alphafold.py's, by name, default and meaning, and ours.
#ifndef NF_CLI_PREDICT_FLAGS_H
#define NF_CLI_PREDICT_FLAGS_H

#include "cli/flags.h"
#include "search/search.h"

enum { DEVICE_AUTO, DEVICE_CUDA, DEVICE_CPU };
enum { OFFLOAD_AUTO, OFFLOAD_OFF, OFFLOAD_HOST };
enum { JAX_BACKEND_CPU, JAX_BACKEND_GPU, JAX_BACKEND_MPS };

// Numbers without a default are FLAG_NO_INT or NaN until given; strings NULL.
typedef struct {
  // Input and output.
  const char *json_path, *input_dir, *output_dir, *model_dir;
  // Stages.
  bool run_data_pipeline, run_inference;
  // Search programs; NULL: looked for in $PATH when needed.
  const char *jackhmmer_binary_path, *nhmmer_binary_path, *hmmalign_binary_path, *hmmsearch_binary_path;
  const char *hmmbuild_binary_path;
  // Databases; "${DB_DIR}" in a path stands for the first db_dir that holds it.
  flag_strings db_dir;
  const char *small_bfd_database_path, *mgnify_database_path, *uniprot_cluster_annot_database_path;
  const char *uniref90_database_path, *ntrna_database_path, *rfam_database_path, *rna_central_database_path;
  const char *pdb_database_path, *seqres_database_path;
  int64_t small_bfd_z_value, mgnify_z_value, uniprot_cluster_annot_z_value, uniref90_z_value;  // sequences
  double ntrna_z_value, rfam_z_value, rna_central_z_value;                                      // megabases
  const char *msa_cache;
  double jackhmmer_dom_e;
  bool prefilter;
  int64_t jackhmmer_n_cpu, nhmmer_n_cpu, hmmsearch_n_cpu;  // not given: all at hand, shared out
  int64_t jackhmmer_max_parallel_shards, nhmmer_max_parallel_shards;
  // Features.
  bool resolve_msa_overlaps;
  const char *max_template_date;
  int64_t conformer_max_iterations;
  bool fix_standalone_glycans;
  // Inference.
  const char *jax_compilation_cache_dir;
  int64_t gpu_device;
  int jax_backend;
  flag_ints buckets;
  int flash_attention_implementation;
  int64_t num_recycles, num_diffusion_samples, num_seeds;
  // Output.
  bool save_embeddings, save_distogram, save_terms_of_use, force_output_dir, compress_large_output_files;
  // Ours.
  const char *output_format;
  bool save_pde, rank_chirality;
  const char *features;
  int device;  // DEVICE_*
  int64_t diffusion_steps;
  double gpu_memory_gib, host_memory_gib;
  int offload;  // as nativefold_options has it
  int overlap;  // NATIVEFOLD_OVERLAP_*
  bool resume;
  const char *report;
  // Derived by predict_flags_check.
  int max_template_day;  // yyyymmdd
  bool write_pdb;
} predict_options;

extern const flag_spec predict_flags[];
extern const int n_predict_flags;

// Refuses contradictions, fills what is derived, maps jax_backend onto device, and answers flags that mean nothing
// here with one note. Call it after the subcommand has had its say on the stages.
NF_CHECKED nf_status predict_flags_check(predict_options *options, const flag_result *result);

// The same as text, as far as it changes what is found: by it --resume knows a search again.
const char *predict_search_key(const predict_options *options, nf_arena *arena);
// The options of a search, after predict_flags_check. They share the strings of `options`.
void predict_search_options(const predict_options *options, search_options *ret_search);

// YYYY-MM-DD to yyyymmdd; false if it is no date.
bool predict_parse_date(const char *text, int *ret_day);

#endif
