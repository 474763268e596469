// CIF: what is read, what is refused and where, and how it is written.
#include "../test.h"
#include "base/file.h"
#include "formats/cif.h"

static nf_arena *arena;

static cif_block parse_one(const char *text) {
  cif_file file = {0};
  if (!arena) arena = nf_arena_create();
  if (cif_parse("t.cif", text, strlen(text), arena, &file) != NF_OK) {
    test_fail(__FILE__, __LINE__, "refused: %s", nf_message());
    CHECK_OK(cif_parse("t.cif", "data_empty", 10, arena, &file));
  }
  return file.blocks[0];
}

static void check_value(const cif_block *block, const char *name, int row, const char *expected) {
  CHECK_STR(cif_value(block, name, row), expected);
}

TEST(items_loops_and_quotes) {
  cif_block b = parse_one(
      "# a comment\n"
      "data_1ABC # another\n"
      "_a.one   1\n"
      "_a.two 'it''s a dog's life' _a.three \"\"A\"\n"
      "_a.four ' '\n"
      "_a.five ''\n"
      "_a.six A' _a.seven #hidden\n x#y\n"
      "loop_\n_b.x _b.y\n_b.z\n1 2 3\n4 5\n\n6\n");
  CHECK_STR(b.name, "1ABC");
  check_value(&b, "_a.one", 0, "1");
  check_value(&b, "_a.two", 0, "it''s a dog's life");
  check_value(&b, "_a.three", 0, "\"A");
  check_value(&b, "_a.four", 0, " ");
  check_value(&b, "_a.five", 0, "");
  check_value(&b, "_a.six", 0, "A'");
  check_value(&b, "_a.seven", 0, "x#y");
  CHECK_INT(b.n_columns, 10);
  CHECK_INT(cif_find(&b, "_b.y")->n_rows, 2);
  check_value(&b, "_b.x", 1, "4");
  check_value(&b, "_b.z", 1, "6");
  CHECK(!cif_value(&b, "_b.z", 2));
  CHECK(!cif_value(&b, "_b.z", -1));
  CHECK(!cif_find(&b, "_b.w"));
  CHECK(!cif_find(&b, "_b"));
}

TEST(names_without_regard_to_case) {
  cif_block b = parse_one("DATA_x\n_Atom_Site.ID 7\nLoop_\n_C.Dd\n1\n2\n");
  check_value(&b, "_atom_site.id", 0, "7");
  check_value(&b, "_c.dD", 1, "2");
  CHECK_STR(cif_find(&b, "_c.dd")->name, "_C.Dd");
  CHECK_STR(b.name, "x");
}

TEST(text_fields) {
  cif_block b = parse_one(
      "data_x\n_a.t\n; first  \n  second\t\n\n;\n_a.u\n;one\r\ntwo\r\n;\r\n_a.v\n;\n;\n"
      "loop_\n_l.a\n_l.b\n1\n;x;\n;2 3\n");
  check_value(&b, "_a.t", 0, " first\n  second\n");
  check_value(&b, "_a.v", 0, "");
  // The second semicolon at a line's start ends the field, and the next value follows it at once.
  check_value(&b, "_l.b", 0, "x;");
  check_value(&b, "_l.b", 1, "3");
}

TEST(text_field_ends_at_any_semicolon_that_starts_a_line) {
  cif_block b = parse_one("data_x\n_a.u\n;one\r\ntwo\r\n;\r\n_a.w ;x\n");
  check_value(&b, "_a.u", 0, "one\ntwo");
  check_value(&b, "_a.w", 0, ";x");
}

TEST(nulls) {
  cif_block b = parse_one("data_x\nloop_\n_a\n.\n?\n'.'\n\"?\"\n..\n;?\n;\n");
  const cif_column *c = cif_find(&b, "_a");
  CHECK_INT(c->n_rows, 6);
  static const bool null[] = {true, true, false, false, false, false};
  static const char *const text[] = {".", "?", ".", "?", "..", "?"};
  for (int i = 0; i < 6; i++) {
    CHECK_INT(cif_is_null(c->values[i]), null[i]);
    CHECK_STR(c->values[i], text[i]);
  }
  CHECK(cif_is_null(NULL));
  CHECK(!cif_is_null("."));
}

TEST(line_ends_and_odd_places) {
  cif_block b = parse_one(
      "\xef\xbb\xbf"
      "data_x\r_a 1\r\n_b\t2\r\r\nloop_ _c 1 2 loop_ _d _e 3 4");
  check_value(&b, "_a", 0, "1");
  check_value(&b, "_b", 0, "2");
  check_value(&b, "_c", 1, "2");
  check_value(&b, "_e", 0, "4");
  // Quoted words are neither keywords nor names.
  b = parse_one("data_x\nloop_\n_a\n_b\n'data_y' \"loop_\"\n'save_' '_odd'\n_c 'stop_'\n");
  check_value(&b, "_b", 0, "loop_");
  check_value(&b, "_b", 1, "_odd");
  check_value(&b, "_c", 0, "stop_");
  b = parse_one("data_x loop_ _a _b");
  CHECK_INT(cif_find(&b, "_b")->n_rows, 0);
}

TEST(save_frames_are_read_over) {
  cif_block b = parse_one("data_dic\n_a 1\nsave_frame\n_a 2\nloop_ _b x y\nsave_\n_c 3\n");
  CHECK_INT(b.n_columns, 2);
  check_value(&b, "_a", 0, "1");
  check_value(&b, "_c", 0, "3");
}

TEST(several_blocks) {
  nf_arena *a = nf_arena_create();
  cif_file file;
  const char text[] = "data_A _x 1 data_B\n_x 2\n_y data_is_no_value_prefix\n";
  // "data_..." begins a block wherever it stands bare.
  CHECK_INT(cif_parse("t", text, strlen(text), a, &file), NF_INPUT);
  REQUIRE_OK(cif_parse("t", text, 28, a, &file));
  CHECK_INT(file.n_blocks, 2);
  CHECK_STR(file.blocks[1].name, "B");
  check_value(&file.blocks[0], "_x", 0, "1");
  check_value(&file.blocks[1], "_x", 0, "2");
  nf_arena_free(a);
}

typedef struct {
  int n, stop_at;
  char names[64];
} seen;

static nf_status visit(void *context, const cif_block *block) {
  seen *s = context;
  if (++s->n == s->stop_at) return nf_fail(NF_FAILED, "enough");
  strcat(s->names, block->name);
  const cif_column *c = cif_find(block, "_v");
  for (int i = 0; c && i < c->n_rows; i++) strcat(s->names, c->values[i]);
  return NF_OK;
}

TEST(visiting_blocks) {
  const char text[] = "data_A _v 1 data_B loop_ _v 2 3 data_C\ndata_D _v 4";
  seen s = {0};
  CHECK_OK(cif_visit_blocks("t", text, strlen(text), visit, &s));
  CHECK_STR(s.names, "A1B23CD4");
  s = (seen){.stop_at = 3};
  CHECK_INT(cif_visit_blocks("t", text, strlen(text), visit, &s), NF_FAILED);
  CHECK_STR(nf_message(), "enough");
  CHECK_STR(s.names, "A1B23");
  const char broken[] = "data_A _v 1 data_B _v";
  s = (seen){0};
  CHECK_INT(cif_visit_blocks("t", broken, strlen(broken), visit, &s), NF_INPUT);
  CHECK_INT(s.n, 1);
}

TEST(many_columns_and_rows) {
  nf_str s = {0};
  nf_str_puts(&s, "data_big\n");
  for (int i = 0; i < 3000; i++) nf_str_printf(&s, "_single.i%d %d\n", i, 2 * i);
  nf_str_puts(&s, "loop_\n");
  for (int i = 0; i < 200; i++) nf_str_printf(&s, "_loop.c%d\n", i);
  for (int i = 0; i < 200 * 150; i++) nf_str_printf(&s, "%d%c", i % 7 ? i : 5, i % 13 ? ' ' : '\n');
  cif_block b = parse_one(s.data);
  check_value(&b, "_SINGLE.i2999", 0, "5998");
  check_value(&b, "_loop.c7", 3, "607");
  check_value(&b, "_loop.c0", 149, "29800");
  nf_str_free(&s);
}

static void check_refused(const char *text, size_t length, const char *message) {
  nf_arena *a = nf_arena_create();
  cif_file file;
  // A copy without a NUL behind it, so that a sanitizer sees a byte too far.
  char *copy = malloc(length ? length : 1);
  memcpy(copy, text, length);
  CHECK_INT(cif_parse("t.cif", copy, length, a, &file), NF_INPUT);
  CHECK_STR(nf_message(), message);
  CHECK_INT(file.n_blocks, 0);
  free(copy);
  nf_arena_free(a);
}
#define REFUSED(text, message) check_refused(text, sizeof text - 1, message)

TEST(refusals) {
  REFUSED("", "t.cif: holds no CIF data block (it is empty)");
  REFUSED(" \n# only a comment", "t.cif: holds no CIF data block (it is empty)");
  REFUSED("\n\nATOM  1", "t.cif: line 3: a CIF file begins with data_NAME, this is: ATOM");
  REFUSED(
      "\x7f"
      "ELF\x02\x01",
      "t.cif: line 1: a CIF file begins with data_NAME, this is: ?ELF??");
  REFUSED("data_\n_a 1", "t.cif: line 1: data_ without the name of the block");
  REFUSED("data_x\n_a", "t.cif: line 2: the item has no value: _a");
  REFUSED("data_x\n_a\n_b 1", "t.cif: line 2: the item has no value: _a");
  REFUSED("data_x\n_a loop_", "t.cif: line 2: the item has no value: _a");
  REFUSED("data_x\n_a 1\n2", "t.cif: line 3: a value without an item name: 2");
  REFUSED("data_x _a 1 _A 2", "t.cif: line 1: the block has this item twice: _A");
  REFUSED("data_x\nloop_ _a\n_a 1 2", "t.cif: line 3: the block has this item twice: _a");
  REFUSED("data_x\nloop_\n1 2", "t.cif: line 2: a loop_ without item names");
  REFUSED("data_x\nloop_", "t.cif: line 2: a loop_ without item names");
  REFUSED("data_x\n\nloop_\n_a\n_b\n1 2\n3\n_c 4 5",
          "t.cif: line 3: the loop has 3 values, which do not fill rows of 2 columns");
  REFUSED("data_x\n_a 'open\nquote'", "t.cif: line 2: the quote is not closed on its line: 'open");
  REFUSED("data_x\n_a \"open", "t.cif: line 2: the quote is not closed on its line: \"open");
  REFUSED("data_x\n_a 'x'y", "t.cif: line 2: the quote is not closed on its line: 'x'y");
  REFUSED("data_x\n_a\n;text\nmore\n ;\n",
          "t.cif: line 3: a text field is not ended by a semicolon at the start of a line");
  REFUSED("data_x\n_a\n;", "t.cif: line 3: a text field is not ended by a semicolon at the start of a line");
  REFUSED("data_x\nsave_f\n_a 1\n", "t.cif: line 2: the frame is not ended by save_: save_f");
  REFUSED("data_x\nsave_f\n_a 1\ndata_y", "t.cif: line 2: the frame is not ended by save_: save_f");
  REFUSED("data_x\nsave_", "t.cif: line 2: a save_ that ends no frame");
  REFUSED("data_x\nglobal_", "t.cif: line 2: this word is reserved and may not stand here: global_");
  REFUSED("data_x\n_a stop_", "t.cif: line 2: this word is reserved and may not stand here: stop_");
  REFUSED("data_x\n_a 1\0002", "t.cif: line 2: a NUL byte in a value; this is not a text file");
  REFUSED("data_x\n_a\0b 1", "t.cif: line 2: a NUL byte in a name; this is not a text file");
  REFUSED("data_x\0 _a 1", "t.cif: line 1: a NUL byte in a name; this is not a text file");
}

TEST(long_words_are_cut_in_messages) {
  char text[400] = "data_x\n";
  memset(text + 7, 'y', 300);
  check_refused(text, 307,
                "t.cif: line 2: a value without an item name: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy...");
}

TEST(every_cut_of_a_file_is_read_or_refused) {
  const char text[] = "data_x\n_a 'b c'\nloop_\n_d\n_e\n1 \"2\"\n;3\n;\n?\nsave_f\n_g 1\nsave_\n_h i\n";
  int good = 0;
  for (size_t n = 0; n < sizeof text; n++) {
    nf_arena *a = nf_arena_create();
    cif_file file;
    char *copy = malloc(n ? n : 1);
    memcpy(copy, text, n);
    nf_status status = cif_parse("t", copy, n, a, &file);
    CHECK(status == NF_OK || status == NF_INPUT);
    good += status == NF_OK;
    free(copy);
    nf_arena_free(a);
  }
  CHECK(good > 10 && good < 60);
}

// ---- writing ----

static void check_written(const char *value, const char *expected) {
  nf_str s = {0};
  cif_append_value(&s, value);
  CHECK_STR(s.data, expected);
  // What was written reads back as it was.
  nf_str file = {0};
  nf_str_printf(&file, "data_x _a %s%s", strchr(value, '\n') ? "\n" : "", s.data);
  if (s.data[0] == ';') {
    file.length = 0;
    nf_str_printf(&file, "data_x _a\n%s", s.data);
  }
  cif_block b = parse_one(file.data);
  check_value(&b, "_a", 0, value);
  nf_str_free(&file);
  nf_str_free(&s);
}

TEST(values_are_quoted_as_needed) {
  check_written("plain", "plain");
  check_written("-1.5", "-1.5");
  check_written(".", ".");
  check_written("?", "?");
  check_written("", "\"\"");
  check_written("two words", "\"two words\"");
  check_written("tab\there", "\"tab\there\"");
  check_written("O5'", "\"O5'\"");
  check_written("a\"b", "'a\"b'");
  check_written("a'\"b", ";a'\"b\n;\n");
  check_written("two\nlines", ";two\nlines\n;\n");
  check_written("_name", "\"_name\"");
  check_written("#1", "\"#1\"");
  check_written("$x", "\"$x\"");
  check_written("[x]", "\"[x]\"");
  check_written("]x", "\"]x\"");
  check_written(";x", "\";x\"");
  check_written("x;#_", "x;#_");
  check_written("Data_x", "\"Data_x\"");
  check_written("LOOP_", "\"LOOP_\"");
  check_written("save_y", "\"save_y\"");
  check_written("stop_", "\"stop_\"");
  check_written("global_", "\"global_\"");
  check_written("_\"a", "'_\"a'");
}

TEST(a_value_cannot_end_its_own_text_field) {
  nf_str s = {0};
  nf_str_puts(&s, "data_x\n");
  const char *const names[] = {"a", "b"}, *const values[] = {"one\n;\n_evil 1\n;two", "3"};
  cif_append_category(&s, "_c", 2, names, 1, values);
  cif_block b = parse_one(s.data);
  CHECK_INT(b.n_columns, 2);
  check_value(&b, "_c.a", 0, "one\n ;\n_evil 1\n ;two");
  check_value(&b, "_c.b", 0, "3");
  nf_str_free(&s);
}

TEST(categories) {
  nf_str s = {0};
  const char *const names[] = {"id", "description"};
  const char *const one[] = {"1", "a b"};
  cif_append_category(&s, "_entity", 2, names, 1, one);
  CHECK_STR(s.data, "_entity.id          1\n_entity.description \"a b\"\n#\n");
  s.length = 0;
  const char *const field[] = {"1", "a\nb"};
  cif_append_category(&s, "_entity", 2, names, 1, field);
  CHECK_STR(s.data, "_entity.id          1\n_entity.description \n;a\nb\n;\n#\n");
  s.length = 0;
  const char *const three[] = {"1", "x", "10", "long one", "100", "a\nb"};
  cif_append_category(&s, "_entity", 2, names, 3, three);
  CHECK_STR(s.data, "loop_\n_entity.id\n_entity.description\n1   x          \n10  \"long one\" \n100 \n;a\nb\n;\n#\n");
  s.length = 0;
  const char *const first[] = {"a\nb", "x", "c", "d"};
  cif_append_category(&s, "_entity", 2, names, 2, first);
  CHECK_STR(s.data, "loop_\n_entity.id\n_entity.description\n;a\nb\n;\nx \nc d \n#\n");
  s.length = 0;
  const char *const atom[] = {"1", "CA"}, *const atom_names[] = {"id", "label_atom_id"};
  cif_append_category(&s, "_atom_site", 2, atom_names, 1, atom);
  CHECK_STR(s.data, "loop_\n_atom_site.id\n_atom_site.label_atom_id\n1 CA \n#\n");
  s.length = 0;
  cif_append_category(&s, "_entity", 2, names, 0, NULL);
  CHECK_STR(s.data, "loop_\n_entity.id\n_entity.description\n#\n");
  nf_str_free(&s);
}

TEST(reference_structures_are_read_and_written_alike) {
  REFERENCE_OR_SKIP(path, "af3_test_data/miniature_databases/pdb_mmcif/7rye.cif");
  char *text;
  size_t size;
  nf_arena *a = nf_arena_create();
  cif_file file, again;
  REQUIRE_OK(nf_file_read(path, &text, &size));
  REQUIRE_OK(cif_parse(path, text, size, a, &file));
  const cif_block *b = &file.blocks[0];
  CHECK_STR(b->name, "7RYE");
  nf_str out = {0};
  nf_str_printf(&out, "data_%s\n", b->name);
  for (int i = 0; i < b->n_columns; i++) {  // each column as a category of its own
    const char *dot = strchr(b->columns[i].name, '.') + 1;
    char category[100];
    snprintf(category, sizeof category, "%.*s%d", (int)(dot - 1 - b->columns[i].name), b->columns[i].name, i);
    cif_append_category(&out, category, 1, &dot, b->columns[i].n_rows, b->columns[i].values);
  }
  REQUIRE_OK(cif_parse("again", out.data, out.length, a, &again));
  CHECK_INT(again.blocks[0].n_columns, b->n_columns);
  long long n = 0;
  for (int i = 0; i < b->n_columns; i++) {
    const cif_column *x = &b->columns[i], *y = &again.blocks[0].columns[i];
    CHECK_INT(x->n_rows, y->n_rows);
    for (int r = 0; r < x->n_rows && r < y->n_rows; r++, n++) {
      if (strcmp(x->values[r], y->values[r]) != 0) CHECK_STR(y->values[r], x->values[r]);
    }
  }
  CHECK(n > 10000);
  nf_str_free(&out);
  free(text);
  nf_arena_free(a);
  nf_arena_free(arena);
  arena = NULL;
}
