// featurise: a job to the network's features under the reference's key names, dtypes and shapes.
#include "base/memory.h"
#include "cli/cli.h"
#include "cli/predict_flags.h"
#include "nativefold.h"

typedef struct {
  const char *json_path, *output, *ccd, *max_template_date;
  int64_t seed, conformer_max_iterations;
  flag_ints buckets;
  bool fix_standalone_glycans, resolve_msa_overlaps;
} featurise_options;

static const flag_spec specs[] = {
    FLAG(FLAG_STRING, featurise_options, json_path, NULL, "Job file."),
    FLAG(FLAG_STRING, featurise_options, output, NULL, "Feature file to write (.npz)."),
    FLAG(FLAG_INT, featurise_options, seed, NULL, "Seed; default: the job's first.", .max = 4294967295.0),
    FLAG(FLAG_INT_LIST, featurise_options, buckets, NULL, "Pad tokens to the first of these sizes that holds them; default: no padding.", .min = 1),
    FLAG(FLAG_STRING, featurise_options, ccd, NULL, "Dictionary made by `nativefold ccd build`."),
    FLAG(FLAG_STRING, featurise_options, max_template_date, "2021-09-30", "Components newer than this get no conformer from model coordinates."),
    FLAG(FLAG_INT, featurise_options, conformer_max_iterations, NULL, "Most iterations of RDKit's conformer search."),
    FLAG(FLAG_BOOL, featurise_options, fix_standalone_glycans, "false", "Keep the leaving atoms of glycans that are bonded to nothing."),
    FLAG(FLAG_BOOL, featurise_options, resolve_msa_overlaps, "true", "Drop unpaired MSA rows that the paired MSA holds."),
};
enum { N_SPECS = sizeof specs / sizeof *specs };

static nf_status run(const featurise_options *o, nf_arena *arena) {
  if (!o->json_path) return nf_fail(NF_INPUT, "featurise: --json_path is not given: name the job file");
  if (!o->output) return nf_fail(NF_INPUT, "featurise: --output is not given: name the .npz to write");
  nativefold_options options;
  nativefold_default_options(&options);
  options.n_buckets = o->buckets.n;
  int *buckets = NF_NEW(arena, int, o->buckets.n);
  for (int i = 0; i < o->buckets.n; i++) buckets[i] = (int)o->buckets.values[i];
  options.buckets = buckets;
  options.conformer_max_iterations = o->conformer_max_iterations == FLAG_NO_INT ? 0 : (int)o->conformer_max_iterations;
  options.fix_standalone_glycans = o->fix_standalone_glycans;
  options.resolve_msa_overlaps = o->resolve_msa_overlaps;
  if (!predict_parse_date(o->max_template_date, &options.max_template_date)) {
    return nf_fail(NF_INPUT, "featurise: --max_template_date=%.100s: is no date, write YYYY-MM-DD", o->max_template_date);
  }
  nativefold_chemistry *chemistry = NULL;
  nativefold_job *job = NULL;
  nf_status status;
  NF_TRY_GOTO(done, nativefold_read_job(o->json_path, &job));
  NF_TRY_GOTO(done, nativefold_check_filled(job, false));
  NF_TRY_GOTO(done, nativefold_open_chemistry(o->ccd, &chemistry));
  uint32_t seed = o->seed == FLAG_NO_INT ? nativefold_first_seed(job) : (uint32_t)o->seed;
  NF_TRY_GOTO(done, nativefold_featurise(chemistry, job, seed, &options, o->output));
done:
  nativefold_free_job(job);
  nativefold_free_chemistry(chemistry);
  return status;
}

int cli_featurise(int argc, char **argv) {
  nf_arena *arena = nf_arena_create();
  featurise_options o;
  flag_result given;
  nf_status status = flags_parse("nativefold featurise", specs, N_SPECS, argc - 1, argv + 1, arena, &o, &given);
  if (status == NF_OK && given.help) {
    flags_help(stdout, "nativefold featurise --json_path=JOB.json --output=FEATURES.npz",
               "Writes the features of one seed of a job whose MSAs and templates are set.", specs, N_SPECS);
  } else if (status == NF_OK) {
    status = given.n_arguments ? nf_fail(NF_INPUT, "featurise: \"%s\" is not a flag", given.arguments[0]) : run(&o, arena);
  }
  if (status != NF_OK) cli_fail(status);
  nf_arena_free(arena);
  return status;
}
