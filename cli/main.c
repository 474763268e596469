// The table of subcommands.
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"
#include "base/status.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/flags.h"
#include "nativefold.h"

static const struct {
  const char *name;
  int (*run)(int argc, char **argv);
  const char *summary;
} commands[] = {
    {"predict", cli_predict, "job files to ranked structures (the default when flags come first)"},
    {"search", cli_predict, "fill in MSAs and templates, write NAME_data.json, stop"},
    {"fold", cli_predict, "from a NAME_data.json or a feature file to ranked structures"},
    {"plan", cli_plan, "what a job will cost: tokens, memory, time"},
    {"featurise", cli_featurise, "a job to the network's features, as .npz"},
    {"trace", cli_trace, "run the network on a feature file and keep every seam, as .npy"},
    {"weights", cli_weights, "info, random, convert: weight files"},
    {"ccd", cli_ccd, "build, show: the chemical component dictionary"},
    {"db", cli_db, "shard, check: sequence databases"},
    {"combine", cli_combine, "searched jobs of single chains into jobs of complexes"},
    {"compare", cli_compare, "root mean square distances between a prediction and a PDB or mmCIF file"},
    {"selfcheck", cli_selfcheck, "is this machine's GPU (or CPU) right? every op and a small network, checked"},
    {"bench", cli_bench, "time the network's parts on this machine"},
};
enum { N_COMMANDS = sizeof commands / sizeof *commands };

int cli_fail(int status) {
  nf_error(nf_message());
  return status;
}

int cli_dispatch(int argc, char **argv, void (*print_usage)(FILE *), const cli_subcommand *subcommands, int n) {
  if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
    print_usage(stdout);
    return NF_OK;
  }
  nf_arena *arena = nf_arena_create();
  nf_status status = NF_OK;
  int found = -1;
  for (int i = 0; i < n && argc > 1; i++)
    if (strcmp(argv[1], subcommands[i].name) == 0) found = i;
  if (found >= 0) {
    status = subcommands[found].run(argc - 2, argv + 2, arena);
  } else {
    nf_str names = {0};
    for (int i = 0; i < n; i++)
      nf_str_printf(&names, "%s%s", i == 0 ? "" : i == n - 1 ? " or " : ", ", subcommands[i].name);
    if (argc < 2) print_usage(stderr);
    status = argc > 1 ? nf_fail(NF_INPUT, "%s: there is no \"%.40s\"; it is %s", argv[0], argv[1], names.data)
                      : nf_fail(NF_INPUT, "%s: say %s", argv[0], names.data);
    nf_str_free(&names);
  }
  if (status != NF_OK) cli_fail(status);
  nf_arena_free(arena);
  return status;
}

static void usage(FILE *out) {
  fprintf(out, "Nativefold %s: protein, nucleic acid and ligand structures from an AlphaFold-3-shaped network.\n\n"
               "usage: nativefold COMMAND [flags]     (nativefold COMMAND --help lists them)\n\n", NATIVEFOLD_VERSION);
  for (int i = 0; i < N_COMMANDS; i++) fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].summary);
}

int main(int argc, char **argv) {
  if (argc < 1) return NF_INPUT;
  const char *base = strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0];
  bool flags_only = argc > 1 && argv[1][0] == '-';
  char predict[] = "predict";
  if (strcmp(base, "alphafold3") == 0) {  // an existing script changes one word
    argv[0] = predict;
    return cli_predict(argc, argv);
  }
  if (argc > 1 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "version") == 0)) {
    printf("nativefold %s\n", NATIVEFOLD_VERSION);
    return 0;
  }
  if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0)) {
    usage(stdout);
    return 0;
  }
  if (flags_only) {
    argv[0] = predict;
    return cli_predict(argc, argv);
  }
  if (argc < 2) {
    usage(stderr);
    return NF_INPUT;
  }
  const char *names[N_COMMANDS];
  for (int i = 0; i < N_COMMANDS; i++) {
    names[i] = commands[i].name;
    if (strcmp(argv[1], names[i]) == 0) return commands[i].run(argc - 1, argv + 1);
  }
  int near = flags_nearest(argv[1], names, N_COMMANDS);
  fprintf(stderr, "nativefold: there is no command \"%s\"%s%s%s; nativefold --help lists them\n", argv[1],
          near >= 0 ? ": did you mean \"" : "", near >= 0 ? names[near] : "", near >= 0 ? "\"?" : "");
  return NF_INPUT;
}
