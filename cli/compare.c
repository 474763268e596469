// compare: how far predictions are from a known structure, after the best superposition.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/flags.h"
#include "formats/cif.h"
#include "formats/compress.h"
#include "structure/structure.h"

typedef struct {
  const char *reference;
  double max_ca_rmsd;
} compare_options;

static const flag_spec specs[] = {
    FLAG(FLAG_STRING, compare_options, reference, NULL, "Known structure, PDB or mmCIF."),
    FLAG(FLAG_FLOAT, compare_options, max_ca_rmsd, NULL, "Fail (exit code 1) if any prediction's CA RMSD exceeds this, angstrom."),
};
enum { N_SPECS = sizeof specs / sizeof *specs };

// An atom's identity and place: chain, residue number and name of atom.
typedef struct {
  char chain[8], atom[8];
  int residue;
  float x[3], b;
} atom;

typedef struct {
  int n;
  atom *atoms;
} atoms;

static void copy_trimmed(char *out, size_t size, const char *text, size_t length) {
  while (length && *text == ' ') text++, length--;
  while (length && text[length - 1] == ' ') length--;
  if (length >= size) length = size - 1;
  memcpy(out, text, length);
  out[length] = '\0';
}

static nf_status read_pdb(const char *path, const char *text, nf_arena *arena, atoms *ret_atoms) {
  int capacity = 0;
  for (const char *p = text; (p = strchr(p, '\n')); p++) capacity++;
  atoms a = {0, NF_NEW(arena, atom, capacity + 1)};
  for (const char *line = text; *line;) {
    const char *end = strchrnul(line, '\n');
    if ((strncmp(line, "ATOM  ", 6) == 0 || strncmp(line, "HETATM", 6) == 0) && end - line >= 54) {
      char field[16];
      atom *t = &a.atoms[a.n];
      copy_trimmed(t->atom, sizeof t->atom, line + 12, 4);
      copy_trimmed(t->chain, sizeof t->chain, line + 21, 1);
      copy_trimmed(field, sizeof field, line + 22, 4);
      long long residue;
      double v[4] = {0};
      bool fine = nf_parse_int(field, &residue);
      for (int i = 0; i < 3 && fine; i++) {
        copy_trimmed(field, sizeof field, line + 30 + 8 * i, 8);
        fine = nf_parse_double(field, &v[i]);
      }
      if (!fine) return nf_fail(NF_INPUT, "%s: an ATOM record cannot be read: \"%.*s\"", path, (int)(end - line), line);
      t->residue = (int)residue;
      if (end - line >= 66) {
        copy_trimmed(field, sizeof field, line + 60, 6);
        if (nf_parse_double(field, &v[3])) t->b = (float)v[3];
      }
      for (int i = 0; i < 3; i++) t->x[i] = (float)v[i];
      a.n++;
    }
    line = *end ? end + 1 : end;
  }
  *ret_atoms = a;
  return NF_OK;
}

static nf_status read_mmcif(const char *path, const char *text, size_t length, nf_arena *arena, atoms *ret_atoms) {
  cif_file file;
  NF_TRY(cif_parse(path, text, length, arena, &file));
  if (file.n_blocks == 0) return nf_fail(NF_INPUT, "%s: holds no data block", path);
  static const char *const names[] = {"_atom_site.label_asym_id", "_atom_site.label_atom_id", "_atom_site.label_seq_id",
                                      "_atom_site.auth_seq_id",   "_atom_site.Cartn_x",       "_atom_site.Cartn_y",
                                      "_atom_site.Cartn_z",       "_atom_site.B_iso_or_equiv"};
  const cif_column *c[8];
  for (int i = 0; i < 8; i++) {
    c[i] = cif_find(&file.blocks[0], names[i]);
    if (!c[i]) return nf_fail(NF_INPUT, "%s: %s is missing", path, names[i]);
  }
  atoms a = {c[0]->n_rows, NF_NEW(arena, atom, c[0]->n_rows)};
  for (int r = 0; r < a.n; r++) {
    atom *t = &a.atoms[r];
    copy_trimmed(t->chain, sizeof t->chain, c[0]->values[r], strlen(c[0]->values[r]));
    copy_trimmed(t->atom, sizeof t->atom, c[1]->values[r], strlen(c[1]->values[r]));
    long long residue;
    const char *number = cif_is_null(c[2]->values[r]) ? c[3]->values[r] : c[2]->values[r];
    double v[4];
    bool fine = nf_parse_int(number, &residue);
    for (int i = 0; i < 4 && fine; i++) fine = nf_parse_double(c[4 + i]->values[r], &v[i]);
    if (!fine) return nf_fail(NF_INPUT, "%s: _atom_site: row %d holds something that is no number", path, r + 1);
    t->residue = (int)residue;
    for (int i = 0; i < 3; i++) t->x[i] = (float)v[i];
    t->b = (float)v[3];
  }
  *ret_atoms = a;
  return NF_OK;
}

static nf_status read_atoms(const char *path, nf_arena *arena, atoms *ret_atoms) {
  char *text;
  size_t length;
  NF_TRY(nf_read_maybe_compressed(path, 0, &text, &length));
  bool is_cif = strncmp(text, "data_", 5) == 0 || strstr(text, "\ndata_");
  nf_status status = is_cif ? read_mmcif(path, text, length, arena, ret_atoms) : read_pdb(path, text, arena, ret_atoms);
  free(text);
  if (status == NF_OK && ret_atoms->n == 0) status = nf_fail(NF_INPUT, "%s: holds no atoms", path);
  return status;
}

// RMSD over the atoms both have (only_ca: of the alpha carbons); NaN below three.
static double rmsd(const atoms *a, const atoms *b, bool only_ca, nf_arena *arena, int *ret_n) {
  float *x = NF_NEW(arena, float, (size_t)a->n * 3), *y = NF_NEW(arena, float, (size_t)a->n * 3);
  int n = 0;
  for (int i = 0; i < a->n; i++) {
    const atom *s = &a->atoms[i];
    if (only_ca && strcmp(s->atom, "CA") != 0) continue;
    for (int j = 0; j < b->n; j++) {
      const atom *t = &b->atoms[j];
      if (s->residue != t->residue || strcmp(s->atom, t->atom) != 0 || strcmp(s->chain, t->chain) != 0) continue;
      memcpy(x + 3 * n, s->x, sizeof s->x);
      memcpy(y + 3 * n, t->x, sizeof t->x);
      n++;
      break;
    }
  }
  *ret_n = n;
  return n < 3 ? NAN : superpose_rmsd(x, y, n);
}

static nf_status run(const compare_options *o, int n, const char *const *paths, nf_arena *arena) {
  if (!o->reference) return nf_fail(NF_INPUT, "compare: --reference is not given: name the known structure");
  if (n == 0) return nf_fail(NF_INPUT, "compare: name one prediction or more");
  atoms known;
  NF_TRY(read_atoms(o->reference, arena, &known));
  double worst = 0;
  printf("%10s %10s %8s %8s  %s\n", "CA RMSD", "all atoms", "atoms", "B mean", "prediction");
  for (int i = 0; i < n; i++) {
    atoms predicted;
    NF_TRY(read_atoms(paths[i], arena, &predicted));
    int n_ca, n_all;
    double ca = rmsd(&predicted, &known, true, arena, &n_ca), all = rmsd(&predicted, &known, false, arena, &n_all);
    double b = 0;
    for (int k = 0; k < predicted.n; k++) b += predicted.atoms[k].b;
    printf("%10.3f %10.3f %8d %8.2f  %s\n", ca, all, n_all, b / predicted.n, paths[i]);
    if (!(ca <= worst)) worst = ca;  // a NaN stays
  }
  if (!isnan(o->max_ca_rmsd) && !(worst <= o->max_ca_rmsd)) {
    return nf_fail(NF_FAILED, "compare: the largest CA RMSD to %s is %.3f angstrom, more than %.3f", o->reference, worst,
                   o->max_ca_rmsd);
  }
  return NF_OK;
}

int cli_compare(int argc, char **argv) {
  nf_arena *arena = nf_arena_create();
  compare_options o;
  flag_result given;
  nf_status status = flags_parse("nativefold compare", specs, N_SPECS, argc - 1, argv + 1, arena, &o, &given);
  if (status == NF_OK && given.help) {
    flags_help(stdout, "nativefold compare --reference=KNOWN.pdb PREDICTION.cif...",
               "Superposes each prediction on a known structure, atoms matched by chain, residue number and name; "
               "prints root mean square distances in angstrom and the mean B factor (pLDDT).",
               specs, N_SPECS);
  } else if (status == NF_OK) {
    status = run(&o, given.n_arguments, given.arguments, arena);
  }
  if (status != NF_OK) cli_fail(status);
  nf_arena_free(arena);
  return status;
}
