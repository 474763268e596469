// plan: what a job will cost, before anything runs.
#include <stdio.h>

#include "base/memory.h"
#include "cli/cli.h"
#include "cli/flags.h"
#include "nativefold.h"
#include "report.h"

typedef struct {
  const char *json_path, *features, *model_dir, *gpu;
  int64_t num_recycles, num_diffusion_samples, diffusion_steps;
  int device, offload;
  double gpu_memory_gib, host_memory_gib;
  int64_t gpu_device;
} plan_options;

static const char *const device_names[] = {"auto", "cuda", "cpu", NULL}, *const offloads[] = {"auto", "off", "host", NULL};

static const flag_spec specs[] = {
    FLAG(FLAG_STRING, plan_options, json_path, NULL, "Job file whose MSAs and templates are set."),
    FLAG(FLAG_STRING, plan_options, features, NULL, "Feature file in place of a job."),
    FLAG(FLAG_STRING, plan_options, model_dir, "~/models", "Directory or file of weights."),
    FLAG(FLAG_INT, plan_options, num_recycles, "10", "Recycles of the trunk.", .max = 1000),
    FLAG(FLAG_INT, plan_options, num_diffusion_samples, "5", "Structures drawn for each seed.", .min = 1, .max = 1000),
    FLAG(FLAG_INT, plan_options, diffusion_steps, "200", "Denoising steps.", .min = 1, .max = 100000),
    FLAG(FLAG_ENUM, plan_options, device, "auto", "Where to compute.", .choices = device_names),
    FLAG(FLAG_STRING, plan_options, gpu, NULL, "Plan for this card, there or not: h100, h200, a100-40, a100-80."),
    FLAG(FLAG_INT, plan_options, gpu_device, "0", "Which of the visible GPUs to use, from 0.", .max = 1023),
    FLAG(FLAG_FLOAT, plan_options, gpu_memory_gib, NULL, "The most GPU memory to use, in GiB. Default: what is free."),
    FLAG(FLAG_ENUM, plan_options, offload, "auto", "Whether what the GPU has no room for may wait in host memory.", .choices = offloads),
    FLAG(FLAG_FLOAT, plan_options, host_memory_gib, NULL, "The most host memory to use, in GiB. Default: what is free."),
};
enum { N_SPECS = sizeof specs / sizeof *specs };

static nf_status run(const plan_options *o) {
  if ((o->json_path != NULL) == (o->features != NULL)) {
    return nf_fail(NF_INPUT, "plan: give one of --json_path and --features");
  }
  nativefold_options options;
  nativefold_default_options(&options);
  options.num_recycles = (int)o->num_recycles;
  options.num_diffusion_samples = (int)o->num_diffusion_samples;
  options.diffusion_steps = (int)o->diffusion_steps;
  options.offload = o->offload;
  options.gpu_memory_gib = o->gpu_memory_gib > 0 ? o->gpu_memory_gib : 0;
  options.host_memory_gib = o->host_memory_gib > 0 ? o->host_memory_gib : 0;  // NaN: not given
  nativefold_chemistry *chemistry = NULL;
  nativefold_model *model = NULL;
  nativefold_job *job = NULL;
  nativefold_forecast f = {0};
  nf_status status;
  if (o->features) {
    NF_TRY_GOTO(done, nativefold_read_features(o->features, 1, &job));
  } else {
    NF_TRY_GOTO(done, nativefold_read_job(o->json_path, &job));
    NF_TRY_GOTO(done, nativefold_check_filled(job, false));
    NF_TRY_GOTO(done, nativefold_open_chemistry(NULL, &chemistry));
  }
  nativefold_choose_gpu((int)o->gpu_device, o->gpu_memory_gib);
  if (o->gpu) NF_TRY_GOTO(done, nativefold_assume_gpu(o->gpu));
  NF_TRY_GOTO(done, nativefold_open_model(o->model_dir, o->gpu ? "cuda" : device_names[o->device], &model));
  status = nativefold_plan(model, chemistry, job, &options, &f);
  if (f.n_tokens) report_print_forecast(stdout, &f, nativefold_model_device(model));
done:
  nativefold_free_job(job);
  nativefold_free_model(model);
  nativefold_free_chemistry(chemistry);
  return status;
}

int cli_plan(int argc, char **argv) {
  nf_arena *arena = nf_arena_create();
  plan_options o;
  flag_result given;
  nf_status status = flags_parse("nativefold plan", specs, N_SPECS, argc - 1, argv + 1, arena, &o, &given);
  if (status == NF_OK && given.help) {
    flags_help(stdout, "nativefold plan --json_path=JOB.json --model_dir=DIR", "Says what one seed of a job will cost.", specs, N_SPECS);
  } else if (status == NF_OK) {
    status = given.n_arguments ? nf_fail(NF_INPUT, "plan: \"%s\" is not a flag", given.arguments[0]) : run(&o);
  }
  if (status != NF_OK) cli_fail(status);
  nf_arena_free(arena);
  return status;
}
