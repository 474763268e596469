// The table of run_alphafold.py's flags, and of ours.
#include "cli/predict_flags.h"

#include <ctype.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"

static const char *const jax_backends[] = {"cpu", "gpu", "mps", NULL};
static const char *const attentions[] = {"triton", "cudnn", "xla", NULL};
static const char *const devices[] = {"auto", "cuda", "cpu", NULL};
static const char *const overlaps[] = {"auto", "always", "never", NULL};  // NATIVEFOLD_OVERLAP_*
static const char *const offloads[] = {"auto", "off", "host", NULL};

#define F(type, field, initial, help, ...) FLAG(type, predict_options, field, initial, help, __VA_ARGS__)
#define Z_SEQUENCES "Size of that database in sequences, for E-values. Needed where the database is sharded."
#define Z_MEGABASES "Size of that database in megabases, for E-values. Needed where the database is sharded."
#define IN_PATH "Default: looked for in $PATH."

const flag_spec predict_flags[] = {
    F(FLAG_STRING, json_path, NULL, "The job file.", .group = "Input and output"),
    F(FLAG_STRING, input_dir, NULL, "A directory of job files (*.json), folded in the order of their names."),
    F(FLAG_STRING, output_dir, NULL, "Where each job gets a directory of its own. Required."),
    F(FLAG_STRING, model_dir, "~/models", "The directory that holds the weights."),

    F(FLAG_BOOL, run_data_pipeline, "true", "Whether to search for the MSAs and templates the job lacks.",
      .group = "Stages"),
    F(FLAG_BOOL, run_inference, "true", "Whether to run the network."),

    F(FLAG_STRING, jackhmmer_binary_path, NULL, "The jackhmmer program. " IN_PATH, .group = "Search programs"),
    F(FLAG_STRING, nhmmer_binary_path, NULL, "The nhmmer program. " IN_PATH),
    F(FLAG_STRING, hmmalign_binary_path, NULL, "The hmmalign program. " IN_PATH),
    F(FLAG_STRING, hmmsearch_binary_path, NULL, "The hmmsearch program. " IN_PATH),
    F(FLAG_STRING, hmmbuild_binary_path, NULL, "The hmmbuild program. " IN_PATH),

    F(FLAG_MULTI_STRING, db_dir, "~/public_databases",
      "A directory of databases. Several are looked through in their order, for each ${DB_DIR} in a path below.",
      .group = "Databases"),
    F(FLAG_STRING, small_bfd_database_path, "${DB_DIR}/bfd-first_non_consensus_sequences.fasta",
      "Small BFD, for protein MSAs."),
    F(FLAG_INT, small_bfd_z_value, NULL, Z_SEQUENCES),
    F(FLAG_STRING, mgnify_database_path, "${DB_DIR}/mgy_clusters_2022_05.fa", "MGnify, for protein MSAs."),
    F(FLAG_INT, mgnify_z_value, NULL, Z_SEQUENCES),
    F(FLAG_STRING, uniprot_cluster_annot_database_path, "${DB_DIR}/uniprot_all_2021_04.fa",
      "UniProt, for paired protein MSAs."),
    F(FLAG_INT, uniprot_cluster_annot_z_value, NULL, Z_SEQUENCES),
    F(FLAG_STRING, uniref90_database_path, "${DB_DIR}/uniref90_2022_05.fa",
      "UniRef90, for protein MSAs; the template search starts from what is found there."),
    F(FLAG_INT, uniref90_z_value, NULL, Z_SEQUENCES),
    F(FLAG_STRING, ntrna_database_path, "${DB_DIR}/nt_rna_2023_02_23_clust_seq_id_90_cov_80_rep_seq.fasta",
      "NT-RNA, for RNA MSAs."),
    F(FLAG_FLOAT, ntrna_z_value, NULL, Z_MEGABASES),
    F(FLAG_STRING, rfam_database_path, "${DB_DIR}/rfam_14_9_clust_seq_id_90_cov_80_rep_seq.fasta",
      "Rfam, for RNA MSAs."),
    F(FLAG_FLOAT, rfam_z_value, NULL, Z_MEGABASES),
    F(FLAG_STRING, rna_central_database_path,
      "${DB_DIR}/rnacentral_active_seq_id_90_cov_80_linclust.fasta", "RNAcentral, for RNA MSAs."),
    F(FLAG_FLOAT, rna_central_z_value, NULL, Z_MEGABASES),
    F(FLAG_STRING, pdb_database_path, "${DB_DIR}/mmcif_files",
      "The PDB's mmCIF files, for templates: a directory, plain or .gz, or one uncompressed .tar."),
    F(FLAG_STRING, seqres_database_path, "${DB_DIR}/pdb_seqres_2022_09_28.fasta",
      "The PDB's sequences, for the template search."),
    F(FLAG_STRING, msa_cache, NULL,
      "A directory where search results are kept, and found again by later runs. Default: none are kept; with --resume "
      "OUTPUT_DIR/.msa_cache."),
    F(FLAG_FLOAT, jackhmmer_dom_e, NULL,
      "jackhmmer's --domE; 1000, a hundred times HMMER's default, gives AlphaFold Server's deeper MSAs.", .max = 1e9),
    F(FLAG_BOOL, prefilter, "true",
      "Whether jackhmmer is given only the sequences that may pass its first filter: the same result, sooner."),
    F(FLAG_INT, jackhmmer_n_cpu, NULL, "Processors for jackhmmer. Default: all at hand, shared out among the searches.", .max = 4096),
    F(FLAG_INT, jackhmmer_max_parallel_shards, NULL, "How many shards jackhmmer searches at once. Default: all.",
      .min = 1),
    F(FLAG_INT, nhmmer_n_cpu, NULL, "Processors for nhmmer. Default: all at hand, shared out among the searches.", .max = 4096),
    F(FLAG_INT, nhmmer_max_parallel_shards, NULL, "How many shards nhmmer searches at once. Default: all.", .min = 1),
    F(FLAG_INT, hmmsearch_n_cpu, NULL, "Processors for hmmsearch. Default: all at hand, shared out among the searches.", .max = 4096),

    F(FLAG_BOOL, resolve_msa_overlaps, "true",
      "Whether rows of the paired MSA are taken out of the unpaired one. Turn it off where the unpaired MSA carries a "
      "pairing of your own, row by row.",
      .group = "Features"),
    F(FLAG_STRING, max_template_date, "2021-09-30",
      "Templates released later (YYYY-MM-DD) are left out; components of the chemical dictionary older than this may "
      "fall back on their model coordinates."),
    F(FLAG_INT, conformer_max_iterations, NULL, "Iterations of RDKit's conformer search. Default: RDKit's own.",
      .max = 1e9),
    F(FLAG_BOOL, fix_standalone_glycans, "false",
      "Whether glycans bonded to nothing keep their leaving atoms; the network was trained without them."),

    F(FLAG_STRING, jax_compilation_cache_dir, NULL, "Accepted; nothing is compiled at run time here.",
      .group = "Inference"),
    F(FLAG_INT, gpu_device, "0", "Which of the visible GPUs to use, from 0.", .max = 1023),
    F(FLAG_ENUM, jax_backend, "gpu", "cpu means --device=cpu; gpu leaves --device as it is.", .choices = jax_backends),
    F(FLAG_INT_LIST, buckets, "128,256,384,512,768,1024,1280,1536,2048,2560,3072,3584,4096,4608,5120",
      "Rising token counts. Nothing is padded to them but the numbering of random draws, so that a seed gives the "
      "noise it gives there.",
      .min = 1, .max = 1e6),
    F(FLAG_ENUM, flash_attention_implementation, "triton", "Accepted; there is one attention here.",
      .choices = attentions),
    F(FLAG_INT, num_recycles, "10", "Recycles of the trunk.", .min = 1, .max = 1e6),
    F(FLAG_INT, num_diffusion_samples, "5", "Structures drawn for each seed.", .min = 1, .max = 1e5),
    F(FLAG_INT, num_seeds, NULL,
      "Fold with this many seeds, counted up from the job's only one. Default: the seeds in the job.", .min = 2,
      .max = 1e6),

    F(FLAG_BOOL, save_embeddings, "false", "Whether to save the trunk's single and pair embeddings (float16).",
      .group = "Output"),
    F(FLAG_BOOL, save_distogram, "false", "Whether to save the distogram (float16)."),
    F(FLAG_BOOL, save_terms_of_use, "true",
      "Whether to write the weights' terms of use beside the results, and into the mmCIF."),
    F(FLAG_BOOL, force_output_dir, "false",
      "Whether to write into a job's directory that holds files already; else a new one with the time in its name."),
    F(FLAG_BOOL, compress_large_output_files, "false", "Whether to compress mmCIF and confidences with zstd."),

    F(FLAG_STRING, output_format, "cif", "cif, or cif,pdb for a PDB file beside each mmCIF.", .group = "Nativefold's own"),
    F(FLAG_BOOL, save_pde, "false", "Whether to save PDE beside PAE in the confidences."),
    F(FLAG_BOOL, rank_chirality, "false",
      "Whether ligands' stereo centres that came out inverted count in the ranking: 100 times their share is taken off."),
    F(FLAG_STRING, features, NULL, "Fold from this feature file (nativefold featurise) in place of a job."),
    F(FLAG_ENUM, device, "auto", "Where the network runs; auto takes a GPU if there is one.", .choices = devices),
    F(FLAG_INT, diffusion_steps, "200", "Denoising steps.", .min = 1, .max = 1e6),
    F(FLAG_FLOAT, gpu_memory_gib, NULL, "The most GPU memory to use, in GiB. Default: what is free."),
    F(FLAG_FLOAT, host_memory_gib, NULL,
      "The most host memory to use, in GiB. Default: what the machine and its control groups have free."),
    F(FLAG_ENUM, offload, "auto", "Whether what the GPU has no room for may wait in host memory: if it must, never, always.",
      .choices = offloads),
    F(FLAG_ENUM, overlap, "auto",
      "Whether the next job's features and the last one's scores and files are made beside the network: on a GPU, always, "
      "never. The files do not depend on it.",
      .choices = overlaps),
    F(FLAG_BOOL, resume, "false",
      "Keep what is computed in the job's directory until it is complete, and go on from there after an interruption. A "
      "directory of another job, weights or options is refused, or, with --force_output_dir, begun again."),
    F(FLAG_STRING, report, NULL, "Write times, memory and choices made to this file, a JSON object a line for each job."),
};
const int n_predict_flags = sizeof predict_flags / sizeof *predict_flags;

bool predict_parse_date(const char *text, int *ret_day) {
  static const char pattern[] = "dddd-dd-dd";
  static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  if (strlen(text) != sizeof pattern - 1) return false;
  for (int i = 0; pattern[i]; i++) {
    if (pattern[i] == 'd' ? !isdigit((unsigned char)text[i]) : text[i] != '-') return false;
  }
  int year = atoi(text), month = atoi(text + 5), day = atoi(text + 8);
  bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  if (year < 1 || month < 1 || month > 12 || day < 1 || day > days[month - 1] + (leap && month == 2)) return false;
  *ret_day = year * 10000 + month * 100 + day;
  return true;
}

// Flags that change nothing: JAX's own.
static void note_idle_flags(const flag_result *result) {
  static const char *const idle[] = {"jax_compilation_cache_dir", "flash_attention_implementation"};
  nf_str names = {0};
  for (int i = 0; i < n_predict_flags; i++) {
    const char *name = predict_flags[i].name;
    bool is_idle = false;
    for (size_t k = 0; k < sizeof idle / sizeof *idle; k++) is_idle = is_idle || strcmp(name, idle[k]) == 0;
    if (is_idle && result->given[i]) nf_str_printf(&names, "%s--%s", names.length ? ", " : "", name);
  }
  if (names.length) nf_note("note: without effect in this version: %s", names.data);
  nf_str_free(&names);
}

nf_status predict_flags_check(predict_options *o, const flag_result *result) {
  bool from_features = o->features != NULL;
  int sources = (o->json_path != NULL) + (o->input_dir != NULL) + from_features;
  if (result->n_arguments) {
    return nf_fail(NF_INPUT, "%.200s: an argument that is no flag, put --json_path before a job file",
                   result->arguments[0]);
  }
  if (sources != 1) {
    return nf_fail(NF_INPUT, "%s of --json_path, --input_dir%s needed",
                   sources ? "only one" : "one", sources ? " and --features is" : " or --features is");
  }
  if (!o->output_dir || !*o->output_dir) return nf_fail(NF_INPUT, "--output_dir: is needed");
  if (!o->run_inference && !o->run_data_pipeline) {
    return nf_fail(NF_INPUT, "--run_inference: at least one of --run_inference and --run_data_pipeline must be true");
  }
  if (from_features && !o->run_inference) {
    return nf_fail(NF_INPUT, "--features: is for folding, and --run_inference is false");
  }
  for (int i = 1; i < o->buckets.n; i++) {
    if (o->buckets.values[i] <= o->buckets.values[i - 1]) {
      return nf_fail(NF_INPUT, "--buckets: must rise, and %lld follows %lld", (long long)o->buckets.values[i],
                     (long long)o->buckets.values[i - 1]);
    }
  }
  if (!predict_parse_date(o->max_template_date, &o->max_template_day)) {
    return nf_fail(NF_INPUT, "--max_template_date: \"%.100s\" is no date, write YYYY-MM-DD", o->max_template_date);
  }
  o->write_pdb = strcmp(o->output_format, "cif,pdb") == 0 || strcmp(o->output_format, "pdb,cif") == 0;
  if (!o->write_pdb && strcmp(o->output_format, "cif") != 0) {
    return nf_fail(NF_INPUT, "--output_format: \"%.100s\" is neither cif nor cif,pdb (mmCIF is always written)",
                   o->output_format);
  }
  if (o->jax_backend == JAX_BACKEND_MPS) {
    return nf_fail(NF_INPUT, "--jax_backend: mps (Apple's GPUs) is not among the devices, use --device=cpu");
  }
  if (o->jax_backend == JAX_BACKEND_CPU) {
    if (o->device == DEVICE_CUDA) {
      return nf_fail(NF_INPUT, "--jax_backend: cpu contradicts --device=cuda, leave one out");
    }
    o->device = DEVICE_CPU;
  }
  note_idle_flags(result);
  return NF_OK;
}
