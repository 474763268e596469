// Command-line flags in absl's style, read by a table into a struct of the caller's:
//
//   typedef struct { const char *output; int64_t n; bool fast; flag_strings dirs; } options;
//   static const flag_spec specs[] = {
//       FLAG(FLAG_STRING, options, output, NULL, "File to write."),
//       FLAG(FLAG_INT, options, n, "5", "How many.", .min = 1),
//       FLAG(FLAG_BOOL, options, fast, "false", "Whether to hurry."),
//       FLAG(FLAG_MULTI_STRING, options, dirs, "~/a", "A directory; may be repeated."),
//   };
//   options o;
//   flag_result given;
//   NF_TRY(flags_parse("nativefold show", specs, 4, argc, argv, arena, &o, &given));
//
// Understood: --name=value, --name value, one dash for two, --name and --noname for booleans (which also take
// =true, =false, =t, =f, =1, =0), `--` to end the flags, --flagfile=FILE (one flag a line), --help and -h. The last
// value of a repeated flag counts; a repeatable flag collects them all, its defaults forgotten. Other arguments are
// kept in order.
#ifndef NF_CLI_FLAGS_H
#define NF_CLI_FLAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/memory.h"
#include "base/status.h"

typedef struct {
  int n;
  const char **values;
} flag_strings;

typedef struct {
  int n;
  int64_t *values;
} flag_ints;

// Each type's field in the options struct, and what it holds if the flag has no default and is not given.
typedef enum {
  FLAG_BOOL,          // bool: false
  FLAG_INT,           // int64_t: FLAG_NO_INT
  FLAG_FLOAT,         // double: NaN
  FLAG_STRING,        // const char *: NULL
  FLAG_ENUM,          // int, index into choices: -1
  FLAG_MULTI_STRING,  // flag_strings: none
  FLAG_INT_LIST,      // flag_ints, comma-separated: none
} flag_type;

#define FLAG_NO_INT INT64_MIN

typedef struct {
  const char *name;
  flag_type type;
  size_t offset;               // of the field in the options struct
  const char *initial;         // the default, as a user would write it; "~/" is the home directory; NULL: not set
  const char *help;
  const char *group;           // starts a group with this heading in the help; NULL: goes on with the last one
  double min, max;             // bounds of a number; max 0: none. No flag takes numbers below zero
  const char *const *choices;  // FLAG_ENUM: NULL-ended
} flag_spec;

// One entry of a table: the flag is named as the field. Further members (.min, .choices, ...) may follow the help.
#define FLAG(type_, struct_, field_, initial_, help_, ...) \
  {.name = #field_, .type = type_, .offset = offsetof(struct_, field_), .initial = initial_, .help = help_, __VA_ARGS__}

typedef struct {
  bool help;                // --help was given; the rest was read all the same
  const bool *given;        // for each entry of the table: whether the user set it
  int n_arguments;          // what is not a flag
  const char **arguments;
} flag_result;

// Fills `options` with defaults, then with the flags of argv[0 .. argc - 1] (the program's name is not among them).
// `command` ("nativefold predict") appears in messages. Everything lives in the arena or in argv.
NF_CHECKED nf_status flags_parse(const char *command, const flag_spec *specs, int n_specs, int argc, char *const *argv,
                                 nf_arena *arena, void *options, flag_result *ret_result);

// Whether the user set the flag of this name, which must be in the table.
bool flags_given(const flag_spec *specs, int n_specs, const flag_result *result, const char *name);

// Prints "usage: USAGE", the summary, and the flags with their defaults.
void flags_help(FILE *out, const char *usage, const char *summary, const flag_spec *specs, int n_specs);

// The entry nearest to a misspelt word, for "did you mean": index into `names`, or -1 if none is near.
int flags_nearest(const char *word, const char *const *names, int n);

#endif
