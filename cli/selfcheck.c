// selfcheck: is this device right?
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "cli/flags.h"
#include "model/selfcheck.h"
#include "tensor/device.h"
#include "weights/weights.h"

typedef struct {
  int device;
  int64_t gpu_device;
} selfcheck_options;

static const char *const device_names[] = {"auto", "cuda", "cpu", NULL};

static const flag_spec specs[] = {
    FLAG(FLAG_ENUM, selfcheck_options, device, "auto", "What to check.", .choices = device_names),
    FLAG(FLAG_INT, selfcheck_options, gpu_device, "0", "Which of the visible GPUs, from 0.", .max = 1023),
};
enum { N_SPECS = sizeof specs / sizeof *specs };

static void print_row(void *context, const selfcheck_row *r) {
  (void)context;
  printf("%-36s %-8s %10.2e %10.1e   %s\n", r->what, r->how, r->error, r->limit, r->passed ? "pass" : "FAIL");
  fflush(stdout);
}

static nf_status run(const selfcheck_options *o, nf_arena *arena) {
  const char *device = device_names[o->device], *tmp = getenv("TMPDIR");
  device_choose_gpu((int)o->gpu_device, 0);
  const nf_ops *ops = device_ops(device);
  if (!ops) return nf_fail(NF_INPUT, "--device=%s: %s: use --device=cpu", device, device_problem());
  const char *path = nf_arena_printf(arena, "%s/nativefold_selfcheck_%ld.nfw", tmp && *tmp ? tmp : "/tmp", (long)getpid());
  nf_weights *weights = NULL;
  bool passed = false;
  nf_status status;
  double start = nf_seconds();
  NF_TRY_GOTO(done, weights_write_random(":tiny", path));
  NF_TRY_GOTO(done, weights_open(path, &weights));
  printf("%s\n\n%-36s %-8s %10s %10s\n", device_description(ops), "op or seam", "in", "error", "limit");
  NF_TRY_GOTO(done, selfcheck_run(weights, device, &(selfcheck_sink){NULL, print_row}, &passed));
  printf("\n%s, in %.1f s\n", passed ? "All right" : "NOT right: do not use this device, and report the lines that failed",
         nf_seconds() - start);
  if (!passed) status = nf_fail(NF_FAILED, "selfcheck: %s is not right", device_description(ops));
done:
  weights_close(weights);
  unlink(path);
  return status;
}

int cli_selfcheck(int argc, char **argv) {
  nf_arena *arena = nf_arena_create();
  selfcheck_options o;
  flag_result given;
  nf_status status = flags_parse("nativefold selfcheck", specs, N_SPECS, argc - 1, argv + 1, arena, &o, &given);
  if (status == NF_OK && given.help) {
    flags_help(stdout, "nativefold selfcheck [--device=cuda]",
               "Checks every op and a small network on this machine's device, within a minute.", specs, N_SPECS);
  } else if (status == NF_OK) {
    status = given.n_arguments ? nf_fail(NF_INPUT, "selfcheck: \"%s\" is not a flag", given.arguments[0]) : run(&o, arena);
  }
  if (status != NF_OK) cli_fail(status);
  nf_arena_free(arena);
  return status;
}
