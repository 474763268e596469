// Nativefold's public C API: open a model and the chemistry, read a job, fold it, read or write the results.
//
//   #include <nativefold.h>
//   int main(void) {
//     nativefold_options options;
//     nativefold_default_options(&options);
//     nativefold_chemistry *chemistry = NULL;
//     nativefold_model *model = NULL;
//     nativefold_job *job = NULL;
//     nativefold_result *result = NULL;
//     int status = nativefold_open_chemistry(NULL, &chemistry);
//     if (!status) status = nativefold_open_model("models", "auto", &model);
//     if (!status) status = nativefold_read_job("job.json", &job);
//     if (!status) status = nativefold_fold(model, chemistry, job, &options, "out/job", &result);
//     if (status) fprintf(stderr, "%s\n", nativefold_message());
//     for (int i = 0; !status && i < nativefold_n_samples(result); i++) {
//       const nativefold_sample *s = nativefold_get_sample(result, i);
//       printf("seed %u sample %d: ranking score %.3f\n", s->seed, s->sample, s->ranking_score);
//     }
//     nativefold_free_result(result);
//     nativefold_free_job(job);
//     nativefold_free_model(model);
//     nativefold_free_chemistry(chemistry);
//     return status;
//   }
//
// (examples/fold_one.c is this program; `make check` builds and runs it.)
//
// Every int returned is a status: 0 done, 1 the job failed, 2 bad input, 3 not enough memory; nativefold_message()
// then gives one sentence for the calling thread. Models, chemistry and jobs are read-only once made and may be
// shared by threads; a fold itself uses all cores.
#ifndef NATIVEFOLD_H
#define NATIVEFOLD_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NATIVEFOLD_VERSION "0.1.0"

typedef struct nativefold_model nativefold_model;          // the network bound to weights
typedef struct nativefold_chemistry nativefold_chemistry;  // the chemical component dictionary
typedef struct nativefold_job nativefold_job;              // what to fold
typedef struct nativefold_result nativefold_result;        // what came out

// This thread's last failure in one sentence. Valid until the next call that fails.
const char *nativefold_message(void);

// ccd_file: a file made by `nativefold ccd build`; NULL: $NATIVEFOLD_CCD, the user's own, or the embedded subset.
int nativefold_open_chemistry(const char *ccd_file, nativefold_chemistry **ret_chemistry);
void nativefold_free_chemistry(nativefold_chemistry *chemistry);  // NULL is fine

// model_dir: a directory (or one file) of weights in AlphaFold 3's record format. device: "cpu", "cuda" or "auto".
int nativefold_open_model(const char *model_dir, const char *device, nativefold_model **ret_model);
// Before the first model is opened: which of the visible GPUs to use, from 0, and the most of its memory (0: what is free).
void nativefold_choose_gpu(int gpu_device, double memory_gib);
// Likewise, for nativefold_plan alone: the GPU is taken to be the named card, there or not ("h100", "h200", "a100-40",
// "a100-80"); the model is then to be opened on "cuda". Memory as nativefold_choose_gpu has it.
int nativefold_assume_gpu(const char *name);
void nativefold_free_model(nativefold_model *model);  // NULL is fine
const char *nativefold_model_name(const nativefold_model *model);    // "AlphaFold 3", "demo", ...
const char *nativefold_model_notice(const nativefold_model *model);  // what these weights can and cannot do
const char *nativefold_model_device(const nativefold_model *model);  // "CPU, 2 threads, avx512"

// Reads a job file that holds one job, in the alphafold3 or the alphafoldserver JSON dialect.
int nativefold_read_job(const char *path, nativefold_job **ret_job);
// Reads a file of one job or more (the alphafoldserver dialect lists them). The array is freed with free(), each job in it with
// nativefold_free_job.
int nativefold_read_jobs(const char *path, int *ret_n, nativefold_job ***ret_jobs);
// A job that is a feature file made by `nativefold featurise`: chemistry is not needed to fold it.
int nativefold_read_features(const char *path, uint32_t seed, nativefold_job **ret_job);
void nativefold_free_job(nativefold_job *job);  // NULL is fine
const char *nativefold_job_name(const nativefold_job *job);  // as used in file names
uint32_t nativefold_first_seed(const nativefold_job *job);
int nativefold_n_residues(const nativefold_job *job);  // of all chains, components of ligands included; 0: a feature file
// With num_seeds > 0 the job, which must hold one seed, is widened to that many consecutive ones.
int nativefold_widen_seeds(nativefold_job *job, int num_seeds);
// Fails (2) naming the first chain whose MSA or templates are not set (will_search false), or are set only in part, so
// that a search cannot fill the rest (true).
int nativefold_check_filled(const nativefold_job *job, bool will_search);
// Fills what MSAs and templates the job leaves open, by the search of search/search.h.
struct nf_search;
int nativefold_search(nativefold_job *job, struct nf_search *search);
// Looks for the programs and databases which that would need, before anything runs.
int nativefold_check_search(const nativefold_job *job, struct nf_search *search);
// Writes the job, with all that it holds, as NAME_data.json into a directory that exists.
int nativefold_write_job(const nativefold_job *job, const char *dir);
// Search and write with resume: where the directory's NAME_data.json is what the same search of the same job left, it is
// read in place of another search. key: what the search depends on beside the job (databases, dates). Fails (2) where
// the directory is of another run, unless start_again.
int nativefold_resume_search(nativefold_job *job, struct nf_search *search, const char *dir, const char *key, bool start_again);

enum { NATIVEFOLD_OVERLAP_AUTO, NATIVEFOLD_OVERLAP_ALWAYS, NATIVEFOLD_OVERLAP_NEVER };

typedef struct {
  int num_recycles;              // 10
  int num_diffusion_samples;     // 5
  int diffusion_steps;           // 200
  int num_msa;                   // 1024 rows of the MSA read in each pass
  int n_buckets;                 // "same seed, same noise" as the reference: noise is indexed by these bucket sizes
  const int *buckets;            // ascending; NULL: the reference's default list
  int conformer_max_iterations;  // 0: RDKit's default
  bool fix_standalone_glycans;   // false
  bool resolve_msa_overlaps;     // true
  int max_template_date;         // yyyymmdd, 20210930: model coordinates of newer components are not used
  bool save_embeddings, save_distogram;  // false
  bool save_terms_of_use;        // true
  bool compress_large_output_files;      // false
  bool write_pdb;                // false: model.pdb beside model.cif
  bool save_pde;                 // false: PDE in confidences.json
  bool rank_chirality;           // false: inverted stereo centres of ligands lower the ranking score
  bool quiet;                    // no progress, no table
  // Whether the features of what comes next, and the scores and files of what is computed, are made by threads beside the
  // network. The files do not depend on it.
  int overlap;                   // NATIVEFOLD_OVERLAP_AUTO: where the network runs on a GPU
  double gpu_memory_gib;         // as nativefold_choose_gpu was told, for messages
  int offload;                   // what the GPU has no room for may wait in host memory: 0 if it must, 1 never, 2 always
  double host_memory_gib;        // the most host memory to use; 0: what machine and control groups allow
  // With resume, the output directory keeps what is computed, so that the same call goes on after an interruption, with
  // the same files. A directory that is of another run is refused, or, with start_again, made anew.
  bool resume, start_again;      // false
  const volatile int *stop;      // once it is not 0, a fold ends early (1), with resume having kept its state; may be NULL
  const char *report_path;       // JSON of what folds took and chose, a line each, appended; NULL: none
} nativefold_options;
void nativefold_default_options(nativefold_options *options);

// Fails (2) naming what cannot be laid out as atoms: a code that is in no dictionary, a SMILES that RDKit cannot read, a
// component of the job's own with an item missing, a bond of an atom that is not there.
int nativefold_check_features(const nativefold_job *job, const nativefold_chemistry *chemistry,
                              const nativefold_options *options);

// A stage of a job: the peak of the whole process (weights and features included) in it, that of a device's own memory,
// and how long it will take, from the device's measured speed.
typedef struct {
  double host_bytes, device_bytes, seconds;
} nativefold_stage;

// What one seed of a job will cost, counted by a dry run of the network's code, and how it will be run so that it fits.
typedef struct {
  int n_tokens, n_atoms;
  int n_msa_rows;          // that hold anything
  double weight_bytes;
  nativefold_stage features, trunk, diffusion, confidence;  // diffusion and confidence: all samples
  double host_bytes, device_bytes;           // the greatest of the stages'
  double host_ceiling, device_ceiling;       // bytes; 0: none known
  const char *host_limit, *device_limit;     // what sets them: "--host_memory_gib", "the machine", "the control group"
  const char *binds;       // which stage needs most: "trunk", ...
  const char *mode;        // "resident", "chunked", "offloaded" or "streamed"
  long chunk_rows;         // rows of a pair tensor that are worked on at once; 0: all
  bool logits_remade;      // the diffusion transformer's pair logits are made in every step
  bool parts_on_host;      // what the GPU has no room for is in the host's memory
  bool pairs_on_host;      // that is, all pair tensors, which the GPU works on a piece at a time
  int samples_at_once;     // in the diffusion
} nativefold_forecast;
// Fails (3) if the job cannot fit whatever its MSA and templates are: in a moment, before its features are made.
int nativefold_check_memory(const nativefold_model *model, const nativefold_chemistry *chemistry, const nativefold_job *job,
                            const nativefold_options *options);
// Fails (3) if it does not fit; *ret_forecast is filled all the same.
int nativefold_plan(const nativefold_model *model, const nativefold_chemistry *chemistry, const nativefold_job *job,
                    const nativefold_options *options, nativefold_forecast *ret_forecast);

// Folds every seed of the job. With output_dir (made if need be) the files of AlphaFold 3's output directory are
// written as soon as each sample is there; NULL writes nothing. ret_result may be NULL.
int nativefold_fold(const nativefold_model *model, const nativefold_chemistry *chemistry, const nativefold_job *job,
                    const nativefold_options *options, const char *output_dir, nativefold_result **ret_result);
void nativefold_free_result(nativefold_result *result);  // NULL is fine

// Many jobs, so that the device need not wait for the host between them:
//
//   nativefold_start_features(next, chemistry, &options);
//   folding = nativefold_begin_fold(model, chemistry, job, &options, "out/job");
//   ... begin `next` ...
//   status = nativefold_end_fold(folding, NULL);
//
// Whether options and memory allow that two jobs (which may be one: its own seeds and samples) overlap. If not, each is
// ended before the next one is begun, and no features are started.
bool nativefold_overlaps(const nativefold_model *model, const nativefold_chemistry *chemistry, const nativefold_job *job,
                         const nativefold_job *next, const nativefold_options *options);
// Has a thread make the features of the job's first seed; the fold that wants them waits for it, and tells if they
// failed. All arguments must stay until the job is freed. A job with features started is for one fold.
void nativefold_start_features(nativefold_job *job, const nativefold_chemistry *chemistry, const nativefold_options *options);
// nativefold_fold in two parts. The first returns when the network is done, while a thread may still score and write the
// last samples; the second waits for that, gives status and result, and frees the folding. All arguments must stay until
// then; output_dir is copied. A fold that goes well closes the turn of the log (base/log.h) that it was begun in.
typedef struct nativefold_folding nativefold_folding;
nativefold_folding *nativefold_begin_fold(const nativefold_model *model, const nativefold_chemistry *chemistry,
                                          const nativefold_job *job, const nativefold_options *options,
                                          const char *output_dir);
int nativefold_end_fold(nativefold_folding *folding, nativefold_result **ret_result);

typedef struct {
  uint32_t seed;
  int sample;
  double ranking_score;
  double ptm, iptm;             // iptm: NaN with a single chain
  double fraction_disordered;
  bool has_clash;
  int ligand_chirality_errors;  // stereo centres of ligands that are inverted
  int n_atoms;
  const float *positions;       // (n_atoms, 3), angstrom, in the order of the output files
  const float *plddt;           // (n_atoms), 0 to 100
  int n_tokens;
  const float *pae;             // (n_tokens, n_tokens), angstrom
} nativefold_sample;
int nativefold_n_samples(const nativefold_result *result);
// Sample i in the order folded; owned by the result.
const nativefold_sample *nativefold_get_sample(const nativefold_result *result, int i);
int nativefold_best_sample(const nativefold_result *result);  // index of the highest ranking score

// Featurises one seed of a job into a file under the reference's key names. n_buckets 0: tokens are not padded.
int nativefold_featurise(const nativefold_chemistry *chemistry, const nativefold_job *job, uint32_t seed,
                         const nativefold_options *options, const char *npz_path);

#ifdef __cplusplus
}
#endif

#endif
