// Names of model files.
#include "weights/select.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"

// Forms in order of preference.
static const struct {
  const char *before, *after;  // around the part's number, if it has one
  bool split;
} forms[] = {
    {".", ".bin.zst", true}, {".bin.zst.", "", true}, {".", ".bin", true}, {".bin.", "", true},
    {".bin.zst", "", false}, {".bin", "", false},     {".nfw", "", false},
};
enum { N_FORMS = sizeof forms / sizeof *forms };

typedef struct {
  const char *name;  // of the file
  size_t stem;       // letters of its stem
  long long part;    // -1 if not split
} candidate;

// Whether `name` has the form; sets stem and part.
static bool matches(int form, const char *name, candidate *ret_candidate) {
  size_t length = strlen(name), after = strlen(forms[form].after), before = strlen(forms[form].before);
  if (length < after || strcmp(name + length - after, forms[form].after) != 0) return false;
  size_t end = length - after;
  long long part = -1;
  if (forms[form].split) {
    size_t digits = end;
    while (digits > 0 && name[digits - 1] >= '0' && name[digits - 1] <= '9') digits--;
    if (digits == end || end - digits > 9) return false;
    char number[10] = "";
    memcpy(number, name + digits, end - digits);
    part = atoll(number);
    end = digits;
  }
  if (end < before || strncmp(name + end - before, forms[form].before, before) != 0) return false;
  *ret_candidate = (candidate){name, end - before, part};
  return true;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static int by_stem_and_part(const void *a, const void *b) {
  const candidate *x = a, *y = b;
  size_t shorter = x->stem < y->stem ? x->stem : y->stem;
  int order = strncmp(x->name, y->name, shorter);
  if (order) return order;
  if (x->stem != y->stem) return x->stem < y->stem ? -1 : 1;
  return x->part != y->part ? (x->part < y->part ? -1 : 1) : strcmp(x->name, y->name);
}

static bool same_stem(const candidate *a, const candidate *b) {
  return a->stem == b->stem && strncmp(a->name, b->name, a->stem) == 0;
}

// Names of regular files, sorted.
static nf_status list_directory(const char *directory, nf_arena *arena, const char ***ret_names, int *ret_n) {
  DIR *d = opendir(directory);
  if (!d) return nf_fail(NF_INPUT, "%s: cannot be read: %s", directory, strerror(errno));
  const char **names = NULL;
  int n = 0;
  for (struct dirent *e; (e = readdir(d));) {
    if (e->d_name[0] == '.') continue;
    nf_arena_mark mark = nf_arena_here(arena);
    if (!nf_file_exists(nf_arena_printf(arena, "%s/%s", directory, e->d_name))) continue;
    nf_arena_reset(arena, mark);
    names = nf_realloc(names, (size_t)n + 1, sizeof *names);
    names[n++] = nf_arena_strdup(arena, e->d_name);
  }
  closedir(d);
  if (n) qsort(names, (size_t)n, sizeof *names, by_name);
  const char **kept = NF_NEW(arena, const char *, n + 1);
  if (n) memcpy(kept, names, (size_t)n * sizeof *names);
  free(names);
  *ret_names = kept;
  *ret_n = n;
  return NF_OK;
}

// All files of one form; sorted by stem, then part.
static int gather(int form, const char *const *names, int n_names, candidate *out) {
  int n = 0;
  for (int i = 0; i < n_names; i++) n += matches(form, names[i], &out[n]);
  qsort(out, (size_t)n, sizeof *out, by_stem_and_part);
  return n;
}

// The candidates are the parts of one model: in order, none missing.
static nf_status take_parts(const char *directory, const candidate *parts, int n, nf_arena *arena,
                            weights_selection *selection) {
  for (int i = 0; n > 1 && i < n; i++) {
    long long first = parts[0].part == 1;
    if (parts[i].part != first + i) {
      return nf_fail(NF_INPUT, "%s: part %lld of the split model %.*s is %s (%d parts found)", directory, first + i,
                     (int)parts[0].stem, parts[0].name, parts[i].part < first + i ? "there twice" : "missing", n);
    }
  }
  selection->stem = nf_arena_strndup(arena, parts[0].name, parts[0].stem);
  selection->n_paths = n;
  selection->paths = NF_NEW(arena, const char *, n);
  for (int i = 0; i < n; i++) {
    selection->paths[i] =
        nf_arena_printf(arena, "%s%s%s", directory, nf_ends_with(directory, "/") ? "" : "/", parts[i].name);
  }
  return NF_OK;
}

// The *_fourier.npz of the model: STEM_fourier.npz, else the only one of the directory unless its name says that it is
// of another model there.
static nf_status find_fourier(const char *const *names, int n_names, nf_arena *arena, weights_selection *selection) {
  const char *found = NULL;
  char *own = nf_arena_printf(arena, "%s_fourier.npz", selection->stem);
  for (int i = 0; i < n_names; i++) {
    if (!nf_ends_with(names[i], "_fourier.npz")) continue;
    if (strcmp(names[i], own) == 0) {
      found = names[i];
      break;
    }
    size_t length = strlen(names[i]) - strlen("_fourier.npz");
    bool of_another = false;
    for (int k = 0; k < n_names && !of_another; k++) {
      candidate c;
      for (int form = 0; form < N_FORMS && !of_another; form++) {
        of_another = matches(form, names[k], &c) && c.stem == length && strncmp(names[k], names[i], length) == 0;
      }
    }
    if (of_another) continue;
    if (found) {
      return nf_fail(NF_INPUT, "%s: both %s and %s could hold the noise constants: name the right one %s",
                     selection->directory, found, names[i], own);
    }
    found = names[i];
  }
  if (found) selection->fourier = nf_arena_printf(arena, "%s/%s", selection->directory, found);
  return NF_OK;
}

nf_status weights_select(const char *path, nf_arena *arena, weights_selection *selection) {
  *selection = (weights_selection){0};
  bool is_directory = nf_dir_exists(path);
  const char *slash = strrchr(path, '/'), *file = slash ? slash + 1 : path;
  if (!is_directory && !nf_file_exists(path)) {
    return nf_fail(NF_INPUT, "%s: no such model directory or weights file (--model_dir)", path);
  }
  selection->directory = is_directory    ? nf_arena_strdup(arena, path)
                         : slash == path ? "/"
                         : slash         ? nf_arena_strndup(arena, path, (size_t)(slash - path))
                                         : ".";
  const char **names = NULL;
  int n_names = 0;
  NF_TRY(list_directory(selection->directory, arena, &names, &n_names));
  candidate *found = NF_NEW(arena, candidate, n_names + 1), asked;
  if (!is_directory) {
    int form = 0;
    while (form < N_FORMS && !matches(form, file, &asked)) form++;
    if (form == N_FORMS) {
      return nf_fail(NF_INPUT, "%s: is not named like a weights file (.bin, .bin.zst, their split parts, .nfw)", path);
    }
    if (!forms[form].split) {
      selection->stem = nf_arena_strndup(arena, file, asked.stem);
      selection->n_paths = 1;
      selection->paths = NF_NEW(arena, const char *, 1);
      selection->paths[0] = nf_arena_strdup(arena, path);
    } else {
      int n = gather(form, names, n_names, found), kept = 0;
      for (int i = 0; i < n; i++) {
        if (same_stem(&found[i], &asked)) found[kept++] = found[i];
      }
      if (!kept) found[kept++] = asked;  // a hidden file
      NF_TRY(take_parts(selection->directory, found, kept, arena, selection));
    }
    return find_fourier(names, n_names, arena, selection);
  }
  for (int form = 0; form < N_FORMS; form++) {
    int n = gather(form, names, n_names, found);
    // The mappable copies of other files (af3.bin.zst.nfw) are no models of their own unless nothing else is there.
    if (!n) continue;
    for (int i = 1; i < n; i++) {
      if (!same_stem(&found[0], &found[i])) {
        return nf_fail(NF_INPUT, "%s: holds several models (%s, %s): give the path of one file instead", path,
                       found[0].name, found[i].name);
      }
    }
    NF_TRY(take_parts(selection->directory, found, n, arena, selection));
    return find_fourier(names, n_names, arena, selection);
  }
  return nf_fail(NF_INPUT, "%s: holds no weights file (.bin, .bin.zst, their split parts, .nfw)", path);
}
