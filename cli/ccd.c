// ccd: makes the component dictionary from the wwPDB's file, and shows a component.
#include "chem/ccd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "cli/flags.h"

typedef struct {
  const char *output, *codes;
} build_options;

static const flag_spec build_specs[] = {
    FLAG(FLAG_STRING, build_options, output, NULL,
         "File to write; without it the one that every command finds by itself, ~/.local/share/nativefold/ccd.bin."),
    FLAG(FLAG_STRING, build_options, codes, NULL, "Keep only the codes in this file, one a line; # begins a comment."),
};
enum { N_BUILD_SPECS = sizeof build_specs / sizeof *build_specs };

typedef struct {
  const char *ccd;
} show_options;

static const flag_spec show_specs[] = {
    FLAG(FLAG_STRING, show_options, ccd, NULL,
         "Dictionary file; without it $NATIVEFOLD_CCD, else the user's own, else the embedded subset."),
};
enum { N_SHOW_SPECS = sizeof show_specs / sizeof *show_specs };

static void usage(FILE *out) {
  fprintf(out,
          "usage: nativefold ccd build components.cif[.gz] [--output ccd.bin] [--codes list.txt]\n"
          "       nativefold ccd show CODE [--ccd ccd.bin]\n\n"
          "build makes the chemical component dictionary that jobs are read with from the wwPDB's components.cif;\n"
          "show prints one component of it.\n");
}

// Reads the list of codes into a NULL-ended array; both it and its text live in the arena.
static nf_status read_codes(const char *path, nf_arena *arena, const char *const **ret_codes) {
  char *text;
  size_t size;
  NF_TRY(nf_file_read(path, &text, &size));
  char *copy = nf_arena_strndup(arena, text, size);
  free(text);
  const char **codes = NF_NEW(arena, const char *, size / 2 + 2);
  int n = 0;
  char *rest = NULL;
  for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
    line[strcspn(line, "#")] = '\0';
    char *word_rest = NULL;
    for (char *word = strtok_r(line, " \t\r", &word_rest); word; word = strtok_r(NULL, " \t\r", &word_rest)) {
      codes[n++] = word;
    }
  }
  if (n == 0) return nf_fail(NF_INPUT, "%s: holds no component code", path);
  *ret_codes = codes;
  return NF_OK;
}

static nf_status build(int argc, char **argv, nf_arena *arena) {
  build_options options;
  flag_result result;
  NF_TRY(flags_parse("nativefold ccd build", build_specs, N_BUILD_SPECS, argc, argv, arena, &options, &result));
  if (result.help) {
    flags_help(stdout, "nativefold ccd build components.cif[.gz] [flags]",
               "Makes the component dictionary from the wwPDB's components.cif (plain, gz, xz, zst).", build_specs,
               N_BUILD_SPECS);
    return NF_OK;
  }
  if (result.n_arguments != 1) {
    return nf_fail(NF_INPUT, "ccd build: name one file, the wwPDB's components.cif or components.cif.gz");
  }
  const char *output = options.output;
  if (!output) {
    char *path = ccd_default_path();
    if (!path) return nf_fail(NF_INPUT, "ccd build: there is no home directory; say where to write with --output");
    char *directory = nf_arena_strdup(arena, path);
    output = nf_arena_strdup(arena, path);
    free(path);
    *strrchr(directory, '/') = '\0';
    NF_TRY(nf_dir_create(directory));
  }
  const char *const *codes = NULL;
  if (options.codes) NF_TRY(read_codes(options.codes, arena, &codes));
  int n;
  double start = nf_seconds();
  NF_TRY(ccd_build(result.arguments[0], output, codes, &n));
  nf_note("%s: %d components in %.1f s", output, n, nf_seconds() - start);
  return NF_OK;
}

static nf_status show(int argc, char **argv, nf_arena *arena) {
  show_options options;
  flag_result result;
  NF_TRY(flags_parse("nativefold ccd show", show_specs, N_SHOW_SPECS, argc, argv, arena, &options, &result));
  if (result.help) {
    flags_help(stdout, "nativefold ccd show CODE [flags]", "Prints a component of the dictionary.", show_specs,
               N_SHOW_SPECS);
    return NF_OK;
  }
  if (result.n_arguments != 1) return nf_fail(NF_INPUT, "ccd show: name one component code, such as HEM");
  nf_ccd *ccd;
  NF_TRY(ccd_open(options.ccd, &ccd));
  const ccd_component *component;
  nf_status status = ccd_require(ccd, "ccd show", result.arguments[0], &component);
  if (status == NF_OK) {
    ccd_print(stdout, component);
    if (fflush(stdout) != 0 || ferror(stdout)) status = nf_fail(NF_FAILED, "ccd show: the output cannot be written");
  }
  ccd_close(ccd);
  return status;
}

int cli_ccd(int argc, char **argv) {
  static const cli_subcommand subcommands[] = {{"build", build}, {"show", show}};
  return cli_dispatch(argc, argv, usage, subcommands, sizeof subcommands / sizeof *subcommands);
}
