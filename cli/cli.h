#include <stdio.h>

#include "base/memory.h"
#include "base/status.h"

// The subcommands: one file each, listed in main.c. Each gets argv[0] = its own name and returns the exit code.
#ifndef NF_CLI_CLI_H
#define NF_CLI_CLI_H

int cli_predict(int argc, char **argv);    // also as search and fold
int cli_plan(int argc, char **argv);
int cli_featurise(int argc, char **argv);
int cli_trace(int argc, char **argv);
int cli_weights(int argc, char **argv);
int cli_ccd(int argc, char **argv);
int cli_db(int argc, char **argv);
int cli_combine(int argc, char **argv);
int cli_compare(int argc, char **argv);
int cli_bench(int argc, char **argv);
int cli_selfcheck(int argc, char **argv);

// A subcommand with subcommands of its own, such as `ccd build`: runs the one that argv[1] names with what follows it.
typedef struct {
  const char *name;
  nf_status (*run)(int argc, char **argv, nf_arena *arena);
} cli_subcommand;
int cli_dispatch(int argc, char **argv, void (*usage)(FILE *), const cli_subcommand *subcommands, int n);

// Prints this thread's failure message on stderr as one line and returns the status.
int cli_fail(int status);

#endif
