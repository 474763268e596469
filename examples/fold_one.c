// Folds one job file with one model directory: fold_one MODEL_DIR JOB.json OUTPUT_DIR
#include <nativefold.h>
#include <stdio.h>

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: %s MODEL_DIR JOB.json OUTPUT_DIR\n", argv[0]);
    return 2;
  }
  nativefold_options options;
  nativefold_default_options(&options);
  options.num_diffusion_samples = 1;
  options.diffusion_steps = 20;
  options.num_recycles = 1;
  nativefold_chemistry *chemistry = NULL;
  nativefold_model *model = NULL;
  nativefold_job *job = NULL;
  nativefold_result *result = NULL;
  int status = nativefold_open_chemistry(NULL, &chemistry);
  if (!status) status = nativefold_open_model(argv[1], "auto", &model);
  if (!status) status = nativefold_read_job(argv[2], &job);
  if (!status) status = nativefold_fold(model, chemistry, job, &options, argv[3], &result);
  if (status) fprintf(stderr, "%s\n", nativefold_message());
  for (int i = 0; !status && i < nativefold_n_samples(result); i++) {
    const nativefold_sample *s = nativefold_get_sample(result, i);
    printf("seed %u sample %d: ranking score %.3f\n", (unsigned)s->seed, s->sample, s->ranking_score);
  }
  nativefold_free_result(result);
  nativefold_free_job(job);
  nativefold_free_model(model);
  nativefold_free_chemistry(chemistry);
  return status;
}
