#include "search/alignment.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static bool is_small(char c) { return c >= 'a' && c <= 'z'; }
static char to_small(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c; }

static void strip(const char **text, size_t *n) {
  while (*n && is_blank(**text)) (*text)++, (*n)--;
  while (*n && is_blank((*text)[*n - 1])) (*n)--;
}

// The next word, cut off the front of the text.
static void take_word(const char **text, size_t *n, const char **ret_word, size_t *ret_length) {
  while (*n && is_blank(**text)) (*text)++, (*n)--;
  *ret_word = *text;
  while (*n && !is_blank(**text)) (*text)++, (*n)--;
  *ret_length = (size_t)(*text - *ret_word);
}

// ---- rows ----

static alignment_row *new_row(nf_alignment *a) {
  if (a->n_rows == a->capacity) {
    a->capacity = a->capacity ? 2 * a->capacity : 64;
    a->rows = nf_realloc(a->rows, (size_t)a->capacity, sizeof *a->rows);
  }
  return &a->rows[a->n_rows++];
}

void alignment_add(nf_alignment *a, const char *description, size_t n_description, const char *sequence,
                   size_t n_sequence) {
  alignment_row *row = new_row(a);
  nf_str_putc(&a->text, '>');
  row->description = a->text.length;
  row->n_description = n_description;
  nf_str_append(&a->text, description, n_description);
  nf_str_putc(&a->text, '\n');
  row->sequence = a->text.length;
  row->n_sequence = n_sequence;
  nf_str_append(&a->text, sequence, n_sequence);
  nf_str_putc(&a->text, '\n');
}

void alignment_free(nf_alignment *a) {
  nf_str_free(&a->text);
  free(a->rows);
  *a = (nf_alignment){0};
}

const char *alignment_description(const nf_alignment *a, int row) { return a->text.data + a->rows[row].description; }
const char *alignment_sequence(const nf_alignment *a, int row) { return a->text.data + a->rows[row].sequence; }

void alignment_parse(const char *text, size_t length, nf_alignment *a) {
  bool open = false;
  for (const char *end = text + length; text < end;) {
    const char *stop = memchr(text, '\n', (size_t)(end - text));
    const char *line = text;
    size_t n = (size_t)((stop ? stop : end) - text);
    text = stop ? stop + 1 : end;
    strip(&line, &n);
    if (n && *line == '>') {
      if (open) nf_str_putc(&a->text, '\n');
      open = true;
      alignment_row *row = new_row(a);
      nf_str_putc(&a->text, '>');
      line++, n--;
      *row = (alignment_row){.description = a->text.length, .n_description = n};
      nf_str_append(&a->text, line, n);
      nf_str_putc(&a->text, '\n');
      row->sequence = a->text.length;
    } else if (open && n) {
      nf_str_append(&a->text, line, n);
      a->rows[a->n_rows - 1].n_sequence += n;
    }
  }
  if (open) nf_str_putc(&a->text, '\n');
}

// ---- merging ----

static uint64_t hash_aligned(const char *s, size_t n) {
  uint64_t h = 1469598103934665603u;
  for (size_t i = 0; i < n; i++) {
    if (!is_small(s[i])) h = (h ^ (unsigned char)s[i]) * 1099511628211u;
  }
  return h;
}

static bool same_aligned(const char *a, size_t n_a, const char *b, size_t n_b) {
  for (size_t i = 0, j = 0;; i++, j++) {
    while (i < n_a && is_small(a[i])) i++;
    while (j < n_b && is_small(b[j])) j++;
    if (i == n_a || j == n_b) return i == n_a && j == n_b;
    if (a[i] != b[j]) return false;
  }
}

void alignment_merge(nf_alignment *const *parts, int n_parts, bool deduplicate, nf_alignment *ret) {
  size_t n = 0, mask = 1;
  for (int p = 0; p < n_parts; p++) n += (size_t)parts[p]->n_rows;
  while (mask < 2 * n) mask *= 2;
  int *table = nf_calloc(mask, sizeof *table);  // row + 1, by hash
  for (int p = 0; p < n_parts; p++) {
    const nf_alignment *a = parts[p];
    for (int r = 0; r < a->n_rows; r++) {
      const alignment_row *row = &a->rows[r];
      const char *sequence = alignment_sequence(a, r);
      size_t slot = hash_aligned(sequence, row->n_sequence) & (mask - 1);
      bool found = false;
      while (deduplicate && !found && table[slot]) {
        int other = table[slot] - 1;
        found = same_aligned(sequence, row->n_sequence, alignment_sequence(ret, other), ret->rows[other].n_sequence);
        slot = (slot + 1) & (mask - 1);
      }
      if (found) continue;
      alignment_add(ret, alignment_description(a, r), row->n_description, sequence, row->n_sequence);
      if (deduplicate) table[slot] = ret->n_rows;
    }
  }
  free(table);
}

nf_status alignment_check_query(const nf_alignment *a, const char *label, nf_chain_kind kind, const char *query) {
  size_t length = strlen(query), column = 0;
  const char *row = alignment_sequence(a, 0);
  for (size_t i = 0; i < a->rows[0].n_sequence; i++) {
    if (is_small(row[i])) continue;
    if (column >= length || msa_class(kind, row[i]) != msa_class(kind, query[column])) {
      return nf_fail(NF_FAILED, "%s: the first row of the alignment is not the query", label);
    }
    column++;
  }
  return column == length ? NF_OK : nf_fail(NF_FAILED, "%s: the first row of the alignment is cut short", label);
}

// ---- reading Stockholm ----

void stockholm_start(stockholm_reader *r, const char *label, stockholm_mode mode, int max_rows, nf_alignment *out) {
  *r = (stockholm_reader){.label = label, .mode = mode, .max_rows = max_rows, .out = out};
  r->description_of = nf_map_create();
  r->seen = nf_map_create();
}

void stockholm_free(stockholm_reader *r) {
  nf_str_free(&r->line);
  nf_str_free(&r->first);
  nf_str_free(&r->row);
  nf_str_free(&r->descriptions);
  nf_map_free(r->description_of);
  nf_map_free(r->seen);
}

static bool is_word(const char *word, size_t n, const char *what) { return n == strlen(what) && memcmp(word, what, n) == 0; }

// "#=GS name DE text". The lines stand in the order of the rows, so no more are needed than rows are kept.
static void read_description(stockholm_reader *r, const char *line, size_t n) {
  const char *word, *name;
  size_t length, n_name;
  take_word(&line, &n, &word, &length);
  take_word(&line, &n, &name, &n_name);
  take_word(&line, &n, &word, &length);
  if (!n_name || !is_word(word, length, "DE")) return;
  if (r->max_rows && nf_map_size(r->description_of) >= (size_t)r->max_rows) return;
  strip(&line, &n);
  char *key = nf_strndup(name, n_name);
  nf_map_set(r->description_of, key, (int64_t)r->descriptions.length);
  free(key);
  nf_str_append(&r->descriptions, line, n);
  nf_str_append(&r->descriptions, "", 1);
}

static nf_status convert_row(stockholm_reader *r, const char *name, const char *s, size_t n) {
  r->row.length = 0;
  if (r->mode == STOCKHOLM_TO_QUERY && n != r->first.length) {
    return nf_fail(NF_FAILED, "%s: alignment row %.64s has %zu columns, the query has %zu", r->label, name, n,
                   r->first.length);
  }
  for (size_t i = 0; i < n; i++) {
    char c = s[i];
    if (r->mode == STOCKHOLM_TO_QUERY && r->first.data[i] == '-') {
      if (c == '-') continue;
      c = to_small(c);
    }
    if (c == '.' || (c == '-' && r->mode == STOCKHOLM_RESIDUES)) continue;
    nf_str_putc(&r->row, c);
  }
  return NF_OK;
}

static nf_status read_row(stockholm_reader *r, const char *line, size_t n) {
  const char *word;
  size_t n_word;
  if (r->block_ended) return nf_fail(NF_FAILED, "%s: alignment rows are broken into lines", r->label);
  if (r->max_rows && r->out->n_rows >= r->max_rows) return NF_OK;
  take_word(&line, &n, &word, &n_word);
  strip(&line, &n);
  char *name = nf_strndup(word, n_word);
  nf_status status = NF_OK;
  if (!r->has_first) {
    r->has_first = true;
    nf_str_append(&r->first, line, n);
  }
  // Entries of one name that were hit in the same places cannot be told apart: the first counts.
  if (nf_map_add(r->seen, name, 1)) {
    int64_t offset;
    if (nf_map_get(r->description_of, name, &offset)) {
      const char *text = r->descriptions.data + offset;
      if (*text) {
        name = nf_realloc(name, n_word + strlen(text) + 2, 1);
        name[n_word] = ' ';
        strcpy(name + n_word + 1, text);
      }
    }
    status = convert_row(r, name, line, n);
    if (status == NF_OK) {
      alignment_add(r->out, name, strlen(name), r->row.data ? r->row.data : "", r->row.length);
    }
  }
  free(name);
  return status;
}

static nf_status read_line(stockholm_reader *r) {
  const char *line = r->line.data;
  size_t n = r->line.length;
  strip(&line, &n);
  if (n >= 4 && memcmp(line, "#=GS", 4) == 0) {
    read_description(r, line, n);
    return NF_OK;
  }
  if (!n && r->has_first) r->block_ended = true;
  if (!n || *line == '#' || (n >= 2 && line[0] == '/' && line[1] == '/')) return NF_OK;
  return read_row(r, line, n);
}

nf_status stockholm_sink(void *context, const char *bytes, size_t n) {
  stockholm_reader *r = context;
  if (n == 0) {
    if (!r->line.length) return NF_OK;
    nf_status status = read_line(r);
    r->line.length = 0;
    return status;
  }
  while (n) {
    const char *stop = memchr(bytes, '\n', n);
    size_t length = stop ? (size_t)(stop - bytes) : n;
    nf_str_append(&r->line, bytes, length);
    if (!stop) break;
    NF_TRY(read_line(r));
    r->line.length = 0;
    bytes = stop + 1;
    n -= length + 1;
  }
  bool has_query = r->mode == STOCKHOLM_TO_QUERY && r->out->n_rows;
  if (r->opt_hits) atomic_store(r->opt_hits, r->out->n_rows - has_query);
  return NF_OK;
}

// ---- writing Stockholm ----

// The name of a row: the first word of its description, with the row's number to make it unique.
static void split_description(const nf_alignment *a, int row, const char **ret_name, size_t *ret_n_name,
                              const char **ret_rest, size_t *ret_n_rest) {
  const char *d = alignment_description(a, row);
  size_t n = a->rows[row].n_description, i = 0;
  while (i < n && d[i] != ' ' && d[i] != '\t') i++;
  *ret_name = d;
  *ret_n_name = i;
  *ret_rest = d + (i < n ? i + 1 : n);
  *ret_n_rest = n - (i < n ? i + 1 : n);
  strip(ret_rest, ret_n_rest);
}

static int digits(int i) {
  int n = 1;
  for (; i >= 10; i /= 10) n++;
  return n;
}

nf_status stockholm_writer_start(stockholm_writer *w, const char *label, const nf_alignment *a) {
  *w = (stockholm_writer){.a = a, .label = label};
  size_t columns = 0;
  for (int r = 0; r < a->n_rows; r++) {
    const char *s = alignment_sequence(a, r), *name, *rest;
    size_t n = 0, n_name, n_rest;
    for (size_t i = 0; i < a->rows[r].n_sequence; i++) n += !is_small(s[i]);
    if (r == 0) {
      if (n > INT_MAX - 1) return nf_fail(NF_INPUT, "%s: the alignment is too wide", label);
      columns = n;
      w->n_columns = (int)n;
      w->insertions = nf_calloc(n + 1, sizeof *w->insertions);
    } else if (n != columns) {
      return nf_fail(NF_INPUT, "%s: row %d of the alignment has %zu columns, the first has %zu", label, r + 1, n, columns);
    }
    int column = 0, run = 0;
    for (size_t i = 0; i < a->rows[r].n_sequence; i++) {
      if (is_small(s[i])) {
        if (++run > w->insertions[column]) w->insertions[column] = run;
      } else {
        column++;
        run = 0;
      }
    }
    split_description(a, r, &name, &n_name, &rest, &n_rest);
    int width = (int)(n_name > 4096 ? 4096 : n_name) + 1 + digits(r);
    if (width > w->width) w->width = width;
  }
  return NF_OK;
}

void stockholm_writer_free(stockholm_writer *w) {
  free(w->insertions);
  nf_str_free(&w->piece);
}

static void append_spaces(nf_str *out, size_t from, int width) {
  while (out->length < from + (size_t)width) nf_str_putc(out, ' ');
}

static void append_row(stockholm_writer *w, int r) {
  const nf_alignment *a = w->a;
  const char *s = alignment_sequence(a, r), *name, *rest;
  size_t n_name, n_rest, n = a->rows[r].n_sequence, i = 0, from = w->piece.length;
  split_description(a, r, &name, &n_name, &rest, &n_rest);
  nf_str_append(&w->piece, name, n_name);
  nf_str_printf(&w->piece, "_%d", r);
  append_spaces(&w->piece, from, w->width);
  nf_str_putc(&w->piece, ' ');
  for (int c = 0; c <= w->n_columns; c++) {
    int run = 0;
    for (; i < n && is_small(s[i]); i++, run++) nf_str_putc(&w->piece, (char)(s[i] - 'a' + 'A'));
    for (; run < w->insertions[c]; run++) nf_str_putc(&w->piece, '-');
    if (i < n) nf_str_putc(&w->piece, s[i++]);
  }
  nf_str_putc(&w->piece, '\n');
}

static void append_reference(stockholm_writer *w) {
  const char *s = alignment_sequence(w->a, 0);
  size_t n = w->a->rows[0].n_sequence, i = 0, from = w->piece.length;
  nf_str_puts(&w->piece, "#=GC RF");
  append_spaces(&w->piece, from, w->width);
  nf_str_putc(&w->piece, ' ');
  for (int c = 0; c <= w->n_columns; c++) {
    int run = 0;
    for (; i < n && is_small(s[i]); i++, run++) nf_str_putc(&w->piece, 'x');
    for (; run < w->insertions[c]; run++) nf_str_putc(&w->piece, '.');
    if (i < n) nf_str_putc(&w->piece, s[i++] == '-' ? '.' : 'x');
  }
  nf_str_puts(&w->piece, "\n//\n");
}

nf_status stockholm_feed(void *context, const char **ret_bytes, size_t *ret_n) {
  enum { PIECE = 1 << 16 };
  stockholm_writer *w = context;
  int n = w->a->n_rows;
  w->piece.length = 0;
  // Steps: the opening, a line for each description, a blank line, a line for each row, the marks.
  for (; w->step <= 2 * n + 2 && w->piece.length < PIECE; w->step++) {
    if (w->step == 0) {
      nf_str_puts(&w->piece, "# STOCKHOLM 1.0\n\n");
    } else if (w->step <= n) {
      const char *name, *rest;
      size_t n_name, n_rest;
      split_description(w->a, w->step - 1, &name, &n_name, &rest, &n_rest);
      nf_str_puts(&w->piece, "#=GS ");
      nf_str_append(&w->piece, name, n_name);
      nf_str_printf(&w->piece, "_%d DE ", w->step - 1);
      // Some versions of hmmbuild stumble over an empty description.
      nf_str_append(&w->piece, n_rest ? rest : "<EMPTY>", n_rest ? n_rest : 7);
      nf_str_putc(&w->piece, '\n');
    } else if (w->step == n + 1) {
      nf_str_putc(&w->piece, '\n');
    } else if (w->step <= 2 * n + 1) {
      append_row(w, w->step - n - 2);
    } else {
      append_reference(w);
    }
  }
  *ret_bytes = w->piece.data;
  *ret_n = w->piece.length;
  return NF_OK;
}
