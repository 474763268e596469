// --resume: what a job's directory keeps of a run while it goes on, so that the next one continues with the same result.
//
// All of it lies in DIR/.nativefold: `run` (what the directory belongs to), a checkpoint of the trunk and one of the
// diffusion for the seed under way, and one for each sample whose files are written. Once the job is complete only `run`
// is left, by which a later run knows that there is nothing to do; and `search`, by which NAME_data.json is trusted.
#ifndef NF_RESUME_H
#define NF_RESUME_H

#include "features/batch.h"
#include "input/job.h"
#include "model/model.h"
#include "score/score.h"

typedef struct resume resume;

// What a run is of. Weights, job and options decide what its files hold; version and device what its checkpoints are
// good for.
typedef struct {
  const char *version, *device;
  uint64_t weights, job, options;
} resume_run;
uint64_t resume_weights_sum(const nf_weights *weights);
uint64_t resume_features_sum(const nf_batch *batch);
// Of the job as its NAME_data.json would say it; a scratch file is written into `dir`.
NF_CHECKED nf_status resume_job_sum(const nf_job *job, const char *dir, uint64_t *ret_sum);
NF_CHECKED nf_status resume_file_sum(const char *path, uint64_t *ret_sum);

// Takes DIR for this run alone. NF_INPUT if it holds another run's files: unless start_again, which warns and forgets
// what was kept. stop: see nativefold_options. *ret_is_complete: all is there already.
NF_CHECKED nf_status resume_open(const char *dir, const char *name, const resume_run *run, bool start_again,
                                 const volatile int *stop, bool *ret_is_complete, resume **ret_resume);
void resume_close(resume *r);  // NULL is fine
// Whether DIR's record says that a run was complete, whatever it was of: resume_open finds out.
bool resume_says_complete(const char *dir);

// The keeper of a seed's stages. It writes at a stage's end, every few minutes within one, and when it is told to stop.
const nf_keeper *resume_seed(resume *r, uint32_t seed, uint64_t features);
void resume_end_seed(const resume *r, uint32_t seed);  // its samples are kept: the stages are not needed any more
// Whether a run before this one may have left samples of the seed.
bool resume_has_samples(const resume *r, uint32_t seed);
// A sample whose files are all there: its scores, as far as the job's result and its table need them, and the chains.
bool resume_find_sample(resume *r, uint32_t seed, int sample, nf_arena *arena, nf_scores *ret_scores, nf_layout *ret_chains);
// From another thread than the seed's stages, if need be.
void resume_keep_sample(const resume *r, uint32_t seed, int sample, const nf_scores *scores, const nf_layout *layout);
void resume_complete(resume *r);

// Before a job is searched for: fails as resume_open does where DIR is another run's. `key` says what the search depends
// on beside the job. If DIR's NAME_data.json is what this search gave, *ret_data is its path, else NULL.
NF_CHECKED nf_status resume_find_search(const nf_job *job, const char *dir, const char *name, const char *key,
                                        bool start_again, nf_arena *arena, const char **ret_data);
// After it, with the job as it was before the search.
NF_CHECKED nf_status resume_keep_search(uint64_t job_before, const char *dir, const char *name, const char *key);

#endif
