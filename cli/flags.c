// The flag parser.
#include "cli/flags.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/file.h"
#include "base/str.h"

enum { MAX_FLAGFILE_DEPTH = 8, HELP_WIDTH = 92 };

typedef struct {
  const char *command;
  const flag_spec *specs;
  int n_specs;
  nf_arena *arena;
  char *options;
  bool *given;
  flag_result *result;
  int argument_capacity;
} parser;

// Edit distance, for words no longer than a flag's name.
static int distance(const char *a, const char *b) {
  size_t n = strlen(a), m = strlen(b);
  int row[64];
  if (n > 63 || m > 63) return 64;
  for (size_t j = 0; j <= m; j++) row[j] = (int)j;
  for (size_t i = 1; i <= n; i++) {
    int diagonal = row[0];
    row[0] = (int)i;
    for (size_t j = 1; j <= m; j++) {
      int best = diagonal + (a[i - 1] != b[j - 1]);
      if (row[j] + 1 < best) best = row[j] + 1;
      if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
      diagonal = row[j];
      row[j] = best;
    }
  }
  return row[m];
}

int flags_nearest(const char *word, const char *const *names, int n) {
  int nearest = -1, least = 64;
  for (int i = 0; i < n; i++) {
    int d = distance(word, names[i]);
    if (d < least) {
      least = d;
      nearest = i;
    }
  }
  int allowed = (int)strlen(word) / 3;
  return least <= (allowed > 2 ? allowed : 2) ? nearest : -1;
}

static int find(const parser *p, const char *name) {
  for (int i = 0; i < p->n_specs; i++) {
    if (strcmp(p->specs[i].name, name) == 0) return i;
  }
  return -1;
}

static nf_status unknown(const parser *p, const char *name) {
  const char **names = nf_arena_alloc(p->arena, sizeof *names * (size_t)(p->n_specs + 1));
  for (int i = 0; i < p->n_specs; i++) names[i] = p->specs[i].name;
  int nearest = flags_nearest(name, names, p->n_specs);
  if (nearest >= 0) {
    return nf_fail(NF_INPUT, "--%.200s: there is no such flag, did you mean --%s? (%s --help lists them)", name,
                   names[nearest], p->command);
  }
  return nf_fail(NF_INPUT, "--%.200s: there is no such flag, %s --help lists them", name, p->command);
}

static bool parse_bool(const char *text, bool *ret_value) {
  static const char *const words[] = {"false", "f", "0", "true", "t", "1"};
  for (int i = 0; i < 6; i++) {
    if (strcasecmp(text, words[i]) == 0) {
      *ret_value = i >= 3;
      return true;
    }
  }
  return false;
}

static nf_status check_range(const flag_spec *spec, const char *text, double value) {
  if (value < spec->min) {
    return nf_fail(NF_INPUT, "--%s: %.100s is too small, the least is %.15g", spec->name, text, spec->min);
  }
  if (spec->max > 0 && value > spec->max) {
    return nf_fail(NF_INPUT, "--%s: %.100s is too large, the most is %.15g", spec->name, text, spec->max);
  }
  return NF_OK;
}

static nf_status parse_int(const flag_spec *spec, const char *text, int64_t *ret_value) {
  long long value;
  if (!nf_parse_int(text, &value)) {
    return nf_fail(NF_INPUT, "--%s: \"%.100s\" is not a whole number", spec->name, text);
  }
  *ret_value = value;
  return check_range(spec, text, (double)value);
}

static nf_status parse_int_list(const parser *p, const flag_spec *spec, const char *text, flag_ints *ret_ints) {
  *ret_ints = (flag_ints){0};
  if (!*text) return NF_OK;
  int n = 1;
  for (const char *c = text; *c; c++) n += *c == ',';
  ret_ints->values = NF_NEW(p->arena, int64_t, n);
  for (const char *start = text;; start++) {
    size_t length = strcspn(start, ",");
    while (length && *start == ' ') start++, length--;
    size_t kept = length;
    while (kept && start[kept - 1] == ' ') kept--;
    NF_TRY(parse_int(spec, nf_arena_strndup(p->arena, start, kept), &ret_ints->values[ret_ints->n++]));
    start += length;
    if (!*start) return NF_OK;
  }
}

static nf_status parse_enum(const flag_spec *spec, const char *text, int *ret_value) {
  nf_str all = {0};
  for (int i = 0; spec->choices[i]; i++) {
    if (strcasecmp(spec->choices[i], text) == 0) {
      *ret_value = i;
      nf_str_free(&all);
      return NF_OK;
    }
    nf_str_printf(&all, "%s%s", i ? ", " : "", spec->choices[i]);
  }
  nf_status status = nf_fail(NF_INPUT, "--%s: \"%.100s\" is not one of %s", spec->name, text, all.data);
  nf_str_free(&all);
  return status;
}

static nf_status set(const parser *p, const flag_spec *spec, const char *text) {
  void *field = p->options + spec->offset;
  switch (spec->type) {
    case FLAG_BOOL:
      if (parse_bool(text, field)) return NF_OK;
      return nf_fail(NF_INPUT, "--%s: \"%.100s\" is neither true nor false", spec->name, text);
    case FLAG_INT:
      return parse_int(spec, text, field);
    case FLAG_FLOAT: {
      double value;
      if (!nf_parse_double(text, &value) || !isfinite(value)) {
        return nf_fail(NF_INPUT, "--%s: \"%.100s\" is not a number", spec->name, text);
      }
      *(double *)field = value;
      return check_range(spec, text, value);
    }
    case FLAG_STRING:
      *(const char **)field = text;
      return NF_OK;
    case FLAG_ENUM:
      return parse_enum(spec, text, field);
    case FLAG_MULTI_STRING: {
      flag_strings *strings = field;
      const char **values = nf_arena_alloc(p->arena, sizeof *values * (size_t)(strings->n + 1));
      if (strings->n) memcpy(values, strings->values, sizeof *values * (size_t)strings->n);
      values[strings->n++] = text;
      strings->values = values;
      return NF_OK;
    }
    case FLAG_INT_LIST:
      return parse_int_list(p, spec, text, field);
  }
  NF_ASSERT(!"flag type");
  return NF_FAILED;
}

static void clear(const parser *p, const flag_spec *spec) {
  void *field = p->options + spec->offset;
  switch (spec->type) {
    case FLAG_BOOL:
      *(bool *)field = false;
      break;
    case FLAG_INT:
      *(int64_t *)field = FLAG_NO_INT;
      break;
    case FLAG_FLOAT:
      *(double *)field = NAN;
      break;
    case FLAG_STRING:
      *(const char **)field = NULL;
      break;
    case FLAG_ENUM:
      *(int *)field = -1;
      break;
    case FLAG_MULTI_STRING:
      *(flag_strings *)field = (flag_strings){0};
      break;
    case FLAG_INT_LIST:
      *(flag_ints *)field = (flag_ints){0};
      break;
  }
}

static nf_status set_default(const parser *p, const flag_spec *spec) {
  clear(p, spec);
  if (!spec->initial) return NF_OK;
  const char *text = spec->initial;
  if (text[0] == '~' && text[1] == '/') {
    const char *home = getenv("HOME");
    text = nf_arena_printf(p->arena, "%s%s", home ? home : "", text + 1);
  }
  return set(p, spec, text);
}

static void add_argument(parser *p, const char *text) {
  flag_result *r = p->result;
  if (r->n_arguments == p->argument_capacity) {
    int capacity = 2 * p->argument_capacity + 8;
    const char **bigger = nf_arena_alloc(p->arena, sizeof *bigger * (size_t)capacity);
    if (r->n_arguments) memcpy(bigger, r->arguments, sizeof *bigger * (size_t)r->n_arguments);
    r->arguments = bigger;
    p->argument_capacity = capacity;
  }
  r->arguments[r->n_arguments++] = text;
}

static nf_status parse_all(parser *p, int argc, char *const *argv, int depth);

// One flag a line, blank lines and comments left out.
static nf_status parse_flagfile(parser *p, const char *path, int depth) {
  char *text = NULL;
  size_t size;
  if (depth == MAX_FLAGFILE_DEPTH) return nf_fail(NF_INPUT, "--flagfile: %s: flag files include each other", path);
  if (nf_file_read(path, &text, &size) != NF_OK) return nf_fail_in(NF_INPUT, "--flagfile");
  char *kept = nf_arena_strndup(p->arena, text, size);
  free(text);
  int n = 1, argc = 0;
  for (const char *c = kept; *c; c++) n += *c == '\n';
  char **argv = NF_NEW(p->arena, char *, n);
  for (char *line = kept, *next; line; line = next) {
    next = strchr(line, '\n');
    if (next) *next++ = '\0';
    line += strspn(line, " \t\r");
    size_t length = strlen(line);
    while (length && strchr(" \t\r", line[length - 1])) line[--length] = '\0';
    if (length && *line != '#' && strncmp(line, "//", 2) != 0) argv[argc++] = line;
  }
  if (parse_all(p, argc, argv, depth + 1) != NF_OK) return nf_fail_in(NF_INPUT, "%s", path);
  return NF_OK;
}

static nf_status parse_all(parser *p, int argc, char *const *argv, int depth) {
  for (int i = 0; i < argc; i++) {
    const char *word = argv[i];
    if (word[0] != '-' || !word[1]) {
      add_argument(p, word);
      continue;
    }
    if (strcmp(word, "--") == 0) {
      while (++i < argc) add_argument(p, argv[i]);
      return NF_OK;
    }
    word += word[1] == '-' ? 2 : 1;
    const char *equals = strchr(word, '=');
    const char *name = nf_arena_strndup(p->arena, word, equals ? (size_t)(equals - word) : strlen(word));
    const char *value = equals ? equals + 1 : NULL;
    int at = find(p, name);
    bool negated = at < 0 && strncmp(name, "no", 2) == 0 && (at = find(p, name + 2)) >= 0;
    bool is_flagfile = at < 0 && strcmp(name, "flagfile") == 0;
    if (at < 0 && (strcmp(name, "help") == 0 || strcmp(name, "h") == 0)) {
      p->result->help = true;
      continue;
    }
    if (!is_flagfile && (at < 0 || (negated && p->specs[at].type != FLAG_BOOL))) return unknown(p, name);
    if (negated) {
      if (value) return nf_fail(NF_INPUT, "--%s: takes no value, write --%s=false", name, name + 2);
      value = "false";
    } else if (!value && !is_flagfile && p->specs[at].type == FLAG_BOOL) {
      value = "true";
    } else if (!value) {
      if (++i == argc) return nf_fail(NF_INPUT, "--%s: a value is missing after it", name);
      value = argv[i];
    }
    if (is_flagfile) {
      NF_TRY(parse_flagfile(p, value, depth));
      continue;
    }
    if (!p->given[at] && p->specs[at].type == FLAG_MULTI_STRING) clear(p, &p->specs[at]);
    p->given[at] = true;
    NF_TRY(set(p, &p->specs[at], value));
  }
  return NF_OK;
}

nf_status flags_parse(const char *command, const flag_spec *specs, int n_specs, int argc, char *const *argv,
                      nf_arena *arena, void *options, flag_result *ret_result) {
  bool *given = NF_NEW(arena, bool, n_specs + 1);
  *ret_result = (flag_result){.given = given};
  parser p = {.command = command,
              .specs = specs,
              .n_specs = n_specs,
              .arena = arena,
              .options = options,
              .given = given,
              .result = ret_result};
  for (int i = 0; i < n_specs; i++) NF_TRY(set_default(&p, &specs[i]));
  return parse_all(&p, argc, argv, 0);
}

bool flags_given(const flag_spec *specs, int n_specs, const flag_result *result, const char *name) {
  for (int i = 0; i < n_specs; i++) {
    if (strcmp(specs[i].name, name) == 0) return result->given[i];
  }
  NF_ASSERT(!"a flag of this name is in the table");
  return false;
}

// Words of `text`, wrapped, each line indented by six.
static void print_wrapped(FILE *out, const char *text) {
  int column = 0;
  while (*(text += strspn(text, " "))) {
    int length = (int)strcspn(text, " ");
    if (column && column + 1 + length > HELP_WIDTH) {
      fputc('\n', out);
      column = 0;
    }
    fprintf(out, column ? " " : "      ");
    column += column ? 1 + length : 6 + length;
    fwrite(text, 1, (size_t)length, out);
    text += length;
  }
  fputc('\n', out);
}

void flags_help(FILE *out, const char *usage, const char *summary, const flag_spec *specs, int n_specs) {
  fprintf(out, "usage: %s\n\n%s\n", usage, summary);
  for (int i = 0; i < n_specs; i++) {
    const flag_spec *s = &specs[i];
    nf_str line = {0};
    if (s->group) fprintf(out, "\n%s\n", s->group);
    switch (s->type) {
      case FLAG_BOOL:
        nf_str_printf(&line, "  --[no]%s", s->name);
        break;
      case FLAG_INT:
        nf_str_printf(&line, "  --%s=N", s->name);
        break;
      case FLAG_FLOAT:
        nf_str_printf(&line, "  --%s=X", s->name);
        break;
      case FLAG_STRING:
        nf_str_printf(&line, "  --%s=TEXT", s->name);
        break;
      case FLAG_MULTI_STRING:
        nf_str_printf(&line, "  --%s=TEXT (repeatable)", s->name);
        break;
      case FLAG_INT_LIST:
        nf_str_printf(&line, "  --%s=N,N,...", s->name);
        break;
      case FLAG_ENUM:
        nf_str_printf(&line, "  --%s=", s->name);
        for (int c = 0; s->choices[c]; c++) nf_str_printf(&line, "%s%s", c ? "|" : "", s->choices[c]);
        break;
    }
    if (s->initial) nf_str_printf(&line, "  (default: %s)", s->initial);
    fprintf(out, "%s\n", line.data);
    print_wrapped(out, s->help);
    nf_str_free(&line);
  }
}
