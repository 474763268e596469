// CIF 1.1 reading in one pass without recursion, and writing with aligned loops.
#include "formats/cif.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"

// Unquoted nulls all point here, so that cif_is_null tells them from a quoted '.' by address.
static const char null_dot[] = ".";
static const char null_query[] = "?";

bool cif_is_null(const char *value) { return !value || value == null_dot || value == null_query; }

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

// Whether text[0..length) begins with `word` (given in lower case), without regard to case.
static bool starts_with(const char *text, size_t length, const char *word) {
  for (; *word; word++, text++, length--) {
    if (!length || lower(*text) != *word) return false;
  }
  return true;
}

static bool equals(const char *text, size_t length, const char *word) {
  return length == strlen(word) && starts_with(text, length, word);
}

// ---- tokens ----

typedef enum { END, NAME, VALUE, DATA, LOOP, SAVE } token_kind;

typedef struct {
  const char *label;
  const char *p, *end, *start;
  long line;  // of p, from 1
  // The token read last.
  token_kind kind;
  const char *text;  // between the quotes; of a text field: after the first ';', up to the line end before the last
  size_t length;
  long token_line;
  bool quoted, field;
} scanner;

enum { SNIPPET = 48 };

// A printable piece of the file for messages.
static const char *snippet(const char *text, size_t length, char out[SNIPPET + 4]) {
  size_t n = length < SNIPPET ? length : SNIPPET;
  for (size_t i = 0; i < n; i++) out[i] = text[i] >= 32 && text[i] < 127 ? text[i] : '?';
  strcpy(out + n, n < length ? "..." : "");
  return out;
}

static nf_status fail_at(const scanner *s, long line, const char *what, const char *text, size_t length) {
  char piece[SNIPPET + 4];
  if (!text) return nf_fail(NF_INPUT, "%s: line %ld: %s", s->label, line, what);
  return nf_fail(NF_INPUT, "%s: line %ld: %s: %s", s->label, line, what, snippet(text, length, piece));
}

static bool is_break(char c) { return c == '\n' || c == '\r'; }
static bool is_blank(char c) { return c == ' ' || c == '\t' || is_break(c); }

// Steps over one line end ("\n", "\r\n" or "\r").
static void skip_break(scanner *s) {
  if (*s->p == '\r' && s->p + 1 < s->end && s->p[1] == '\n') s->p++;
  s->p++;
  s->line++;
}

static nf_status next_field(scanner *s) {
  s->token_line = s->line;
  s->kind = VALUE;
  s->quoted = s->field = true;
  s->text = ++s->p;
  while (s->p < s->end) {
    while (s->p < s->end && !is_break(*s->p)) s->p++;
    const char *line_end = s->p;
    if (s->p == s->end) break;
    skip_break(s);
    if (s->p < s->end && *s->p == ';') {
      s->length = (size_t)(line_end - s->text);
      s->p++;
      return NF_OK;
    }
  }
  return fail_at(s, s->token_line, "a text field is not ended by a semicolon at the start of a line", NULL, 0);
}

static nf_status next_token(scanner *s) {
  for (;;) {
    while (s->p < s->end && is_blank(*s->p)) {
      if (is_break(*s->p)) {
        skip_break(s);
      } else {
        s->p++;
      }
    }
    if (s->p == s->end || *s->p != '#') break;
    while (s->p < s->end && !is_break(*s->p)) s->p++;
  }
  s->token_line = s->line;
  s->quoted = s->field = false;
  if (s->p == s->end) {
    s->kind = END;
    s->text = s->p;
    s->length = 0;
    return NF_OK;
  }
  char c = *s->p;
  if (c == ';' && (s->p == s->start || is_break(s->p[-1]))) return next_field(s);
  if (c == '\'' || c == '"') {
    const char *open = s->p++;
    for (; s->p < s->end && !is_break(*s->p); s->p++) {
      // A quote in the middle of a word belongs to the text: 'a dog's life'.
      if (*s->p == c && (s->p + 1 == s->end || is_blank(s->p[1]))) {
        s->kind = VALUE;
        s->quoted = true;
        s->text = open + 1;
        s->length = (size_t)(s->p - s->text);
        s->p++;
        return NF_OK;
      }
    }
    return fail_at(s, s->line, "the quote is not closed on its line", open, (size_t)(s->p - open));
  }
  s->text = s->p;
  while (s->p < s->end && !is_blank(*s->p)) s->p++;
  s->length = (size_t)(s->p - s->text);
  s->kind = VALUE;
  if (c == '_') {
    s->kind = NAME;
  } else if ((c | 32) == 'd' && starts_with(s->text, s->length, "data_")) {
    s->kind = DATA;
  } else if ((c | 32) == 'l' && equals(s->text, s->length, "loop_")) {
    s->kind = LOOP;
  } else if ((c | 32) == 's' && starts_with(s->text, s->length, "save_")) {
    s->kind = SAVE;
  } else if (((c | 32) == 'g' && equals(s->text, s->length, "global_")) ||
             ((c | 32) == 's' && equals(s->text, s->length, "stop_"))) {
    return fail_at(s, s->line, "this word is reserved and may not stand here", s->text, s->length);
  }
  return NF_OK;
}

// ---- blocks ----

// What is known of the block being read. Values and columns live in the arena, the lists on the heap.
typedef struct {
  scanner s;
  nf_arena *arena;
  char *pool;  // where short strings are packed
  size_t pool_left, pool_size;
  cif_column *columns;
  size_t n_columns, columns_capacity;
  int32_t *slots;  // column + 1 by hash of its name, 0 free; n_slots is a power of two at least twice n_columns
  size_t n_slots;
  const char **row;  // values of the loop being read, row by row
  size_t n_values, values_capacity;
} reader;

static uint64_t name_hash(const char *name, size_t length) {
  uint64_t h = 14695981039346656037u;
  for (size_t i = 0; i < length; i++) h = (h ^ (unsigned char)lower(name[i])) * 1099511628211u;
  return h;
}

static bool same_name(const char *a, const char *b, size_t b_length) {
  for (size_t i = 0; i < b_length; i++) {
    if (lower(a[i]) != lower(b[i])) return false;  // a's NUL differs from every byte of b
  }
  return a[b_length] == '\0';
}

// The slot of the name, or the free one where it belongs.
static int32_t *find_slot(const cif_column *columns, int32_t *slots, size_t n_slots, const char *name, size_t length) {
  size_t i = (size_t)name_hash(name, length) & (n_slots - 1);
  while (slots[i] && !same_name(columns[slots[i] - 1].name, name, length)) i = (i + 1) & (n_slots - 1);
  return &slots[i];
}

static char *pool_take(reader *r, size_t bytes) {
  if (bytes > r->pool_left) {
    if (bytes > r->pool_size / 4 && r->pool_size) return nf_arena_alloc(r->arena, bytes);
    r->pool_size = r->pool_size < (1u << 20) ? 2 * r->pool_size + 4096 : r->pool_size;
    if (r->pool_size < bytes) r->pool_size = bytes;
    r->pool = nf_arena_alloc(r->arena, r->pool_size);
    r->pool_left = r->pool_size;
  }
  char *piece = r->pool;
  r->pool += bytes;
  r->pool_left -= bytes;
  return piece;
}

// Room for one pointer, aligned.
static const char **pool_take_pointer(reader *r) {
  uintptr_t piece = (uintptr_t)pool_take(r, 2 * sizeof(char *) - 1);
  return (const char **)((piece + sizeof(char *) - 1) / sizeof(char *) * sizeof(char *));
}

// The token's text as a value; `above` is the value in the row before, shared if it is the same (or NULL).
static nf_status take_value(reader *r, const char *above, const char **ret_value) {
  const scanner *s = &r->s;
  if (!s->quoted && s->length == 1 && (*s->text == '.' || *s->text == '?')) {
    *ret_value = *s->text == '.' ? null_dot : null_query;
    return NF_OK;
  }
  if (memchr(s->text, '\0', s->length)) {
    return fail_at(s, s->token_line, "a NUL byte in a value; this is not a text file", NULL, 0);
  }
  if (!s->field) {
    if (above && !cif_is_null(above) && strncmp(above, s->text, s->length) == 0 && !above[s->length]) {
      *ret_value = above;
      return NF_OK;
    }
    char *copy = pool_take(r, s->length + 1);
    memcpy(copy, s->text, s->length);
    copy[s->length] = '\0';
    *ret_value = copy;
    return NF_OK;
  }
  // Text fields: blanks at line ends mean nothing, and every line end becomes "\n".
  char *copy = pool_take(r, s->length + 1), *out = copy, *line = copy;
  for (size_t i = 0; i < s->length; i++) {
    char c = s->text[i];
    if (is_break(c)) {
      if (c == '\r' && i + 1 < s->length && s->text[i + 1] == '\n') i++;
      while (out > line && is_blank(out[-1])) out--;
      *out++ = '\n';
      line = out;
    } else {
      *out++ = c;
    }
  }
  while (out > line && is_blank(out[-1])) out--;
  *out = '\0';
  *ret_value = copy;
  return NF_OK;
}

static nf_status add_column(reader *r) {
  scanner *s = &r->s;
  if (2 * (r->n_columns + 1) > r->n_slots) {
    size_t n = r->n_slots ? 2 * r->n_slots : 64;
    int32_t *slots = nf_calloc(n, sizeof *slots);
    for (size_t i = 0; i < r->n_columns; i++) {
      const char *name = r->columns[i].name;
      *find_slot(r->columns, slots, n, name, strlen(name)) = (int32_t)i + 1;
    }
    free(r->slots);
    r->slots = slots;
    r->n_slots = n;
  }
  if (memchr(s->text, '\0', s->length)) {
    return fail_at(s, s->token_line, "a NUL byte in a name; this is not a text file", NULL, 0);
  }
  int32_t *slot = find_slot(r->columns, r->slots, r->n_slots, s->text, s->length);
  if (*slot) return fail_at(s, s->token_line, "the block has this item twice", s->text, s->length);
  if (r->n_columns == INT32_MAX / 4) return fail_at(s, s->token_line, "too many items in one block", NULL, 0);
  if (r->n_columns == r->columns_capacity) {
    r->columns_capacity = r->columns_capacity ? 2 * r->columns_capacity : 64;
    r->columns = nf_realloc(r->columns, r->columns_capacity, sizeof *r->columns);
  }
  char *name = pool_take(r, s->length + 1);
  memcpy(name, s->text, s->length);
  name[s->length] = '\0';
  r->columns[r->n_columns++] = (cif_column){.name = name};
  *slot = (int32_t)r->n_columns;
  return NF_OK;
}

// Reads one item: the scanner stands at its name, and afterwards at the token behind its value.
static nf_status read_item(reader *r) {
  scanner *s = &r->s;
  const char *name = s->text;
  size_t length = s->length;
  long line = s->token_line;
  NF_TRY(add_column(r));
  NF_TRY(next_token(s));
  if (s->kind != VALUE) return fail_at(s, line, "the item has no value", name, length);
  const char **values = pool_take_pointer(r);
  NF_TRY(take_value(r, NULL, values));
  cif_column *column = &r->columns[r->n_columns - 1];
  column->n_rows = 1;
  column->values = values;
  return next_token(s);
}

// Reads a loop: the scanner stands at "loop_", and afterwards at the token behind the last value.
static nf_status read_loop(reader *r) {
  scanner *s = &r->s;
  long line = s->token_line;
  size_t first = r->n_columns;
  NF_TRY(next_token(s));
  while (s->kind == NAME) {
    NF_TRY(add_column(r));
    NF_TRY(next_token(s));
  }
  size_t width = r->n_columns - first;
  if (!width) return fail_at(s, line, "a loop_ without item names", NULL, 0);
  r->n_values = 0;
  while (s->kind == VALUE) {
    if (r->n_values == r->values_capacity) {
      r->values_capacity = r->values_capacity ? 2 * r->values_capacity : 1024;
      r->row = nf_realloc(r->row, r->values_capacity, sizeof *r->row);
    }
    NF_TRY(take_value(r, r->n_values >= width ? r->row[r->n_values - width] : NULL, &r->row[r->n_values]));
    r->n_values++;
    NF_TRY(next_token(s));
  }
  if (r->n_values % width) {
    return nf_fail(NF_INPUT, "%s: line %ld: the loop has %zu values, which do not fill rows of %zu columns", s->label,
                   line, r->n_values, width);
  }
  size_t n_rows = r->n_values / width;
  if (n_rows > INT_MAX) return fail_at(s, line, "the loop has too many rows", NULL, 0);
  for (size_t c = 0; c < width; c++) {
    const char **values = nf_arena_alloc(r->arena, n_rows * sizeof *values);
    for (size_t i = 0; i < n_rows; i++) values[i] = r->row[i * width + c];
    r->columns[first + c].n_rows = (int)n_rows;
    r->columns[first + c].values = values;
  }
  return NF_OK;
}

// Save frames belong to dictionaries; here they are read over.
static nf_status skip_frame(reader *r) {
  scanner *s = &r->s;
  long line = s->token_line;
  const char *name = s->text;
  size_t length = s->length;
  if (length == 5) return fail_at(s, line, "a save_ that ends no frame", NULL, 0);
  do {
    NF_TRY(next_token(s));
    if (s->kind == END || s->kind == DATA) return fail_at(s, line, "the frame is not ended by save_", name, length);
  } while (s->kind != SAVE || s->length != 5);
  return next_token(s);
}

typedef struct {
  size_t n_slots;
  const int32_t *slots;
} block_index;

// Reads a block: the scanner stands at its data_, and afterwards at the next one's or the end.
static nf_status read_block(reader *r, cif_block *ret_block) {
  scanner *s = &r->s;
  if (s->kind != DATA) {
    return s->kind == END ? nf_fail(NF_INPUT, "%s: holds no CIF data block (it is empty)", s->label)
                          : fail_at(s, s->token_line, "a CIF file begins with data_NAME, this is", s->text, s->length);
  }
  if (s->length == 5) return fail_at(s, s->token_line, "data_ without the name of the block", NULL, 0);
  if (memchr(s->text, '\0', s->length)) {
    return fail_at(s, s->token_line, "a NUL byte in a name; this is not a text file", NULL, 0);
  }
  char *name = pool_take(r, s->length - 4);
  memcpy(name, s->text + 5, s->length - 5);
  name[s->length - 5] = '\0';
  r->n_columns = 0;
  if (r->n_slots) memset(r->slots, 0, r->n_slots * sizeof *r->slots);
  NF_TRY(next_token(s));
  while (s->kind != END && s->kind != DATA) {
    switch (s->kind) {
      case NAME:
        NF_TRY(read_item(r));
        break;
      case LOOP:
        NF_TRY(read_loop(r));
        break;
      case SAVE:
        NF_TRY(skip_frame(r));
        break;
      default:
        return fail_at(s, s->token_line, "a value without an item name", s->text, s->length);
    }
  }
  size_t bytes = r->n_columns * sizeof *r->columns;
  cif_column *columns = nf_arena_alloc(r->arena, bytes);
  if (bytes) memcpy(columns, r->columns, bytes);
  block_index *index = nf_arena_calloc(r->arena, 1, sizeof *index);
  size_t n_slots = 4;
  while (n_slots < 2 * r->n_columns) n_slots *= 2;
  int32_t *slots = nf_arena_calloc(r->arena, n_slots, sizeof *slots);
  for (size_t i = 0; i < r->n_columns; i++) {
    *find_slot(columns, slots, n_slots, columns[i].name, strlen(columns[i].name)) = (int32_t)i + 1;
  }
  *index = (block_index){n_slots, slots};
  *ret_block = (cif_block){name, (int)r->n_columns, columns, index};
  return NF_OK;
}

static nf_status reader_start(reader *r, const char *label, const char *text, size_t length, nf_arena *arena) {
  *r = (reader){.s = {.label = label, .p = text, .end = text + length, .start = text, .line = 1}, .arena = arena};
  // A byte order mark, as some editors leave it.
  if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) r->s.start = r->s.p = text + 3;
  return next_token(&r->s);
}

static void reader_end(reader *r) {
  free(r->columns);
  free(r->slots);
  free(r->row);
}

nf_status cif_parse(const char *label, const char *text, size_t length, nf_arena *arena, cif_file *ret_file) {
  nf_status status;
  reader r = {0};
  cif_block *blocks = NULL;
  size_t n = 0, capacity = 0;
  *ret_file = (cif_file){0};
  NF_TRY_GOTO(done, reader_start(&r, label, text, length, arena));
  do {
    if (n == capacity) {
      capacity = capacity ? 2 * capacity : 4;
      blocks = nf_realloc(blocks, capacity, sizeof *blocks);
    }
    if (n == INT_MAX) {
      status = fail_at(&r.s, r.s.line, "too many data blocks", NULL, 0);
      goto done;
    }
    NF_TRY_GOTO(done, read_block(&r, &blocks[n]));
    n++;
  } while (r.s.kind == DATA);
  ret_file->blocks = nf_arena_alloc(arena, n * sizeof *blocks);
  memcpy(ret_file->blocks, blocks, n * sizeof *blocks);
  ret_file->n_blocks = (int)n;
done:
  free(blocks);
  reader_end(&r);
  return status;
}

nf_status cif_visit_blocks(const char *label, const char *text, size_t length, cif_visitor visit, void *context) {
  nf_status status;
  reader r = {0};
  nf_arena *arena = nf_arena_create();
  nf_arena_mark start = nf_arena_here(arena);
  NF_TRY_GOTO(done, reader_start(&r, label, text, length, arena));
  do {
    cif_block block;
    NF_TRY_GOTO(done, read_block(&r, &block));
    NF_TRY_GOTO(done, visit(context, &block));
    nf_arena_reset(arena, start);
    r.pool_left = r.pool_size = 0;
  } while (r.s.kind == DATA);
done:
  nf_arena_free(arena);
  reader_end(&r);
  return status;
}

const cif_column *cif_find(const cif_block *block, const char *name) {
  const block_index *index = block->index;
  size_t length = strlen(name);
  size_t i = (size_t)name_hash(name, length) & (index->n_slots - 1);
  for (; index->slots[i]; i = (i + 1) & (index->n_slots - 1)) {
    const cif_column *column = &block->columns[index->slots[i] - 1];
    if (same_name(column->name, name, length)) return column;
  }
  return NULL;
}

const char *cif_value(const cif_block *block, const char *name, int row) {
  const cif_column *column = cif_find(block, name);
  return column && row >= 0 && row < column->n_rows ? column->values[row] : NULL;
}

// ---- writing ----

typedef enum { BARE, SINGLE, DOUBLE, FIELD } quoting;

static quoting value_quoting(const char *value) {
  static const char *const words[] = {"data_", "loop_", "save_", "stop_", "global_"};
  bool needs = !*value || strchr("_#$[];", *value);
  size_t length = strlen(value);
  for (size_t i = 0; !needs && i < sizeof words / sizeof *words; i++) needs = starts_with(value, length, words[i]);
  bool has_single = false, has_double = false;
  for (const char *p = value; *p; p++) {
    if (is_break(*p)) return FIELD;
    has_single |= *p == '\'';
    has_double |= *p == '"';
    needs |= *p == ' ' || *p == '\t' || *p == '\'' || *p == '"';
  }
  if (!needs) return BARE;
  if (!has_double) return DOUBLE;
  return has_single ? FIELD : SINGLE;
}

// The text of a field. A line that begins with a semicolon would end it, so it is moved in by a blank.
static void append_field(nf_str *out, const char *value) {
  nf_str_putc(out, ';');
  for (const char *p = value; *p; p++) {
    nf_str_putc(out, *p);
    if (is_break(*p) && p[1] == ';') nf_str_putc(out, ' ');
  }
  nf_str_puts(out, "\n;");
}

static void append_quoted(nf_str *out, const char *value, quoting q) {
  if (q != BARE) nf_str_putc(out, q == SINGLE ? '\'' : '"');
  nf_str_puts(out, value);
  if (q != BARE) nf_str_putc(out, q == SINGLE ? '\'' : '"');
}

void cif_append_value(nf_str *out, const char *value) {
  quoting q = value_quoting(value);
  if (q != FIELD) {
    append_quoted(out, value, q);
    return;
  }
  if (out->length && out->data[out->length - 1] != '\n') nf_str_putc(out, '\n');
  append_field(out, value);
  nf_str_putc(out, '\n');
}

static void pad_to(nf_str *out, size_t length) {
  while (out->length < length) nf_str_putc(out, ' ');
}

void cif_append_category(nf_str *out, const char *category, int n_columns, const char *const *names, int n_rows,
                         const char *const *values) {
  // Readers exist that expect atoms in a loop even if there is only one.
  if (n_rows == 1 && strcmp(category, "_atom_site") != 0) {
    size_t width = 0;
    for (int c = 0; c < n_columns; c++) width = strlen(names[c]) > width ? strlen(names[c]) : width;
    width += strlen(category) + 2;
    for (int c = 0; c < n_columns; c++) {
      size_t start = out->length;
      nf_str_printf(out, "%s.%s", category, names[c]);
      pad_to(out, start + width);
      quoting q = value_quoting(values[c]);
      if (q == FIELD) {
        nf_str_putc(out, '\n');
        append_field(out, values[c]);
      } else {
        append_quoted(out, values[c], q);
      }
      nf_str_putc(out, '\n');
    }
    nf_str_puts(out, "#\n");
    return;
  }
  nf_str_puts(out, "loop_\n");
  size_t *widths = nf_calloc((size_t)n_columns, sizeof *widths);
  for (int c = 0; c < n_columns; c++) {
    nf_str_printf(out, "%s.%s\n", category, names[c]);
    for (int i = 0; i < n_rows; i++) {
      const char *value = values[(size_t)i * (size_t)n_columns + (size_t)c];
      quoting q = value_quoting(value);
      size_t width = q == FIELD ? 0 : strlen(value) + (q == BARE ? 0 : 2);
      if (width > widths[c]) widths[c] = width;
    }
  }
  for (int i = 0; i < n_rows; i++) {
    for (int c = 0; c < n_columns; c++) {
      const char *value = values[(size_t)i * (size_t)n_columns + (size_t)c];
      quoting q = value_quoting(value);
      size_t start = out->length;
      if (q == FIELD) {
        if (c > 0) nf_str_putc(out, '\n');
        append_field(out, value);
        if (c + 1 < n_columns) nf_str_putc(out, '\n');
      } else {
        append_quoted(out, value, q);
        pad_to(out, start + widths[c] + 1);
      }
    }
    nf_str_putc(out, '\n');
  }
  nf_str_puts(out, "#\n");
  free(widths);
}
