// NAME_data.json: the job as the reference writes it, key by key and space by space.
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "input/job.h"
#include "input/utf8.h"

// A string in ASCII, other characters as \uXXXX.
static void put_string(nf_str *s, const char *text) {
  static const char names[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
  nf_str_putc(s, '"');
  size_t left = strlen(text);
  while (left) {
    size_t plain = 0;
    while (plain < left && text[plain] >= ' ' && text[plain] < 0x7f && text[plain] != '"' && text[plain] != '\\')
      plain++;
    nf_str_append(s, text, plain);
    text += plain;
    left -= plain;
    if (!left) break;
    uint32_t c;
    int n = utf8_decode(text, left, &c);
    NF_ASSERT(n > 0);  // checked when the job was read
    if (c == '"' || c == '\\') {
      nf_str_printf(s, "\\%c", (char)c);
    } else if (c < sizeof names && names[c]) {
      nf_str_printf(s, "\\%c", names[c]);
    } else if (c >= 0x10000) {
      nf_str_printf(s, "\\u%04x\\u%04x", 0xd800 + ((c - 0x10000) >> 10), 0xdc00 + ((c - 0x10000) & 0x3ff));
    } else {
      nf_str_printf(s, "\\u%04x", c);
    }
    text += n;
    left -= (size_t)n;
  }
  nf_str_putc(s, '"');
}

// Where the next value goes: its indentation, and whether a comma comes before it.
static void next_line(nf_str *s, int indent, bool first) { nf_str_printf(s, "%s\n%*s", first ? "" : ",", indent, ""); }

static void put_key(nf_str *s, int indent, bool first, const char *key) {
  next_line(s, indent, first);
  nf_str_printf(s, "\"%s\": ", key);
}

static void put_text(nf_str *s, int indent, const char *key, const char *text) {
  put_key(s, indent, false, key);
  if (text)
    put_string(s, text);
  else
    nf_str_puts(s, "null");
}

static void put_indices(nf_str *s, int indent, bool first, const char *key, const int *values, int n) {
  put_key(s, indent, first, key);
  nf_str_putc(s, '[');
  for (int i = 0; i < n; i++) nf_str_printf(s, "%s%d", i ? ", " : "", values[i]);
  nf_str_putc(s, ']');
}

static void put_modifications(nf_str *s, const job_chain *c) {
  const char *type = c->kind == NF_PROTEIN ? "ptmType" : "modificationType";
  const char *position = c->kind == NF_PROTEIN ? "ptmPosition" : "basePosition";
  put_key(s, 8, false, "modifications");
  nf_str_putc(s, '[');
  for (int i = 0; i < c->n_modifications; i++) {
    next_line(s, 10, i == 0);
    nf_str_putc(s, '{');
    put_key(s, 12, true, type);
    put_string(s, c->modifications[i].code);
    put_key(s, 12, false, position);
    nf_str_printf(s, "%d", c->modifications[i].position);
    next_line(s, 10, true);
    nf_str_putc(s, '}');
  }
  if (c->n_modifications) next_line(s, 8, true);
  nf_str_putc(s, ']');
}

static void put_templates(nf_str *s, const job_chain *c) {
  put_key(s, 8, false, "templates");
  if (c->n_templates < 0) {
    nf_str_puts(s, "null");
    return;
  }
  nf_str_putc(s, '[');
  for (int i = 0; i < c->n_templates; i++) {
    const job_template *t = &c->templates[i];
    next_line(s, 10, i == 0);
    nf_str_putc(s, '{');
    put_key(s, 12, true, "mmcif");
    put_string(s, t->mmcif);
    put_indices(s, 12, false, "queryIndices", t->query_indices, t->n_indices);
    put_indices(s, 12, false, "templateIndices", t->template_indices, t->n_indices);
    next_line(s, 10, true);
    nf_str_putc(s, '}');
  }
  if (c->n_templates) next_line(s, 8, true);
  nf_str_putc(s, ']');
}

static void put_codes(nf_str *s, const job_chain *c) {
  if (c->smiles) {
    put_text(s, 8, "smiles", c->smiles);
    return;
  }
  put_key(s, 8, false, "ccdCodes");
  nf_str_putc(s, '[');
  for (int i = 0; i < c->n_codes; i++) {
    next_line(s, 10, i == 0);
    put_string(s, c->codes[i]);
  }
  next_line(s, 8, true);
  nf_str_putc(s, ']');
}

// ---- Chains that say the same are written as one entry with several ids, wherever they stand in the job.

static bool same_text(const char *a, const char *b) { return a == b || (a && b && strcmp(a, b) == 0); }

static bool same_templates(const job_chain *a, const job_chain *b) {
  if (a->n_templates != b->n_templates) return false;
  for (int i = 0; i < a->n_templates && a->templates != b->templates; i++) {
    const job_template *s = &a->templates[i], *t = &b->templates[i];
    size_t size = sizeof(int) * (size_t)s->n_indices;
    if (s->n_indices != t->n_indices || !same_text(s->mmcif, t->mmcif)) return false;
    if (size && memcmp(s->query_indices, t->query_indices, size) != 0) return false;
    if (size && memcmp(s->template_indices, t->template_indices, size) != 0) return false;
  }
  return true;
}

static bool same_content(const job_chain *a, const job_chain *b) {
  if (a->kind != b->kind || a->n_modifications != b->n_modifications || a->n_codes != b->n_codes) return false;
  if (!same_text(a->sequence, b->sequence) || !same_text(a->description, b->description)) return false;
  if (!same_text(a->smiles, b->smiles)) return false;
  if (!same_text(a->unpaired_msa, b->unpaired_msa) || !same_text(a->paired_msa, b->paired_msa)) return false;
  for (int i = 0; i < a->n_modifications; i++) {
    const job_modification *s = &a->modifications[i], *t = &b->modifications[i];
    if (s->position != t->position || strcmp(s->code, t->code) != 0) return false;
  }
  for (int i = 0; i < a->n_codes; i++) {
    if (strcmp(a->codes[i], b->codes[i]) != 0) return false;
  }
  return same_templates(a, b);
}

// group[i] = the first chain that says the same as chain i.
static int *group_chains(const nf_job *job, nf_arena *arena) {
  int *group = NF_NEW(arena, int, job->n_chains + 1);
  for (int i = 0; i < job->n_chains; i++) {
    group[i] = i;
    if (i && job->chains[i].entity == job->chains[i - 1].entity) {
      group[i] = group[i - 1];
      continue;
    }
    for (int j = 0; j < i && group[i] == i; j++) {
      if (group[j] == j && same_content(&job->chains[j], &job->chains[i])) group[i] = j;
    }
  }
  return group;
}

static void put_entry(nf_str *s, const nf_job *job, const int *group, int first, bool first_entry) {
  const job_chain *c = &job->chains[first];
  int n_ids = 0, put = 0;
  for (int i = first; i < job->n_chains; i++) n_ids += group[i] == first;
  next_line(s, 4, first_entry);
  nf_str_putc(s, '{');
  put_key(s, 6, true, job_kind_name(c->kind));
  nf_str_putc(s, '{');
  put_key(s, 8, true, "id");
  if (n_ids > 1) nf_str_putc(s, '[');
  for (int i = first; i < job->n_chains; i++) {
    if (group[i] != first) continue;
    if (n_ids > 1) next_line(s, 10, put++ == 0);
    put_string(s, job->chains[i].id);
  }
  if (n_ids > 1) {
    next_line(s, 8, true);
    nf_str_putc(s, ']');
  }
  if (c->kind == NF_LIGAND) {
    put_codes(s, c);
  } else {
    put_text(s, 8, "sequence", c->sequence);
    put_modifications(s, c);
  }
  if (c->kind == NF_PROTEIN || c->kind == NF_RNA) put_text(s, 8, "unpairedMsa", c->unpaired_msa);
  if (c->kind == NF_PROTEIN) {
    put_text(s, 8, "pairedMsa", c->paired_msa);
    put_templates(s, c);
  }
  if (c->description) put_text(s, 8, "description", c->description);
  next_line(s, 6, true);
  nf_str_putc(s, '}');
  next_line(s, 4, true);
  nf_str_putc(s, '}');
}

static void put_bonds(nf_str *s, const nf_job *job) {
  put_key(s, 2, false, "bondedAtomPairs");
  if (!job->n_bonds) {
    nf_str_puts(s, "null");
    return;
  }
  nf_str_putc(s, '[');
  for (int i = 0; i < job->n_bonds; i++) {
    const job_bond *b = &job->bonds[i];
    next_line(s, 4, i == 0);
    nf_str_putc(s, '[');
    for (int k = 0; k < 2; k++) {
      next_line(s, 6, k == 0);
      nf_str_putc(s, '[');
      next_line(s, 8, true);
      put_string(s, k ? b->chain2 : b->chain1);
      next_line(s, 8, false);
      nf_str_printf(s, "%d", k ? b->residue2 : b->residue1);
      next_line(s, 8, false);
      put_string(s, k ? b->atom2 : b->atom1);
      next_line(s, 6, true);
      nf_str_putc(s, ']');
    }
    next_line(s, 4, true);
    nf_str_putc(s, ']');
  }
  next_line(s, 2, true);
  nf_str_putc(s, ']');
}

nf_status job_write(const nf_job *job, const char *path) {
  nf_str s = {0};
  nf_arena *arena = nf_arena_create();
  const int *group = group_chains(job, arena);
  bool first = true;
  nf_str_puts(&s, "{\n  \"dialect\": \"alphafold3\",\n  \"version\": 4,\n  \"name\": ");
  put_string(&s, job->name);
  put_key(&s, 2, false, "sequences");
  nf_str_putc(&s, '[');
  for (int i = 0; i < job->n_chains; i++) {
    if (group[i] != i) continue;
    put_entry(&s, job, group, i, first);
    first = false;
  }
  next_line(&s, 2, true);
  nf_str_putc(&s, ']');
  put_key(&s, 2, false, "modelSeeds");
  nf_str_putc(&s, '[');
  for (int i = 0; i < job->n_seeds; i++) {
    next_line(&s, 4, i == 0);
    nf_str_printf(&s, "%u", job->seeds[i]);
  }
  next_line(&s, 2, true);
  nf_str_putc(&s, ']');
  put_bonds(&s, job);
  put_text(&s, 2, "userCCD", job->user_ccd);
  nf_str_puts(&s, "\n}");
  nf_status status = nf_file_write(path, s.data, s.length);
  nf_arena_free(arena);
  nf_str_free(&s);
  return status;
}
