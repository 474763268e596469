// A3M and FASTA records.
#include "../test.h"
#include "formats/a3m.h"

static nf_a3m parse(nf_arena *arena, const char *text) {
  nf_a3m a;
  size_t n = strlen(text);
  char *copy = malloc(n ? n : 1);  // exact, so that a sanitizer sees a byte too far
  memcpy(copy, text, n);
  CHECK_OK(a3m_parse("t.a3m", copy, n, arena, &a));
  free(copy);
  return a;
}

TEST(records) {
  nf_arena *arena = nf_arena_create();
  nf_a3m a = parse(arena, "> query one \nACDE\n>\tb\nac-DE\r\n  FG \n\n>c\n>d\nAA");
  CHECK_INT(a.n_rows, 4);
  CHECK_STR(a.descriptions[0], "query one");
  CHECK_STR(a.sequences[0], "ACDE");
  CHECK_STR(a.descriptions[1], "b");
  CHECK_STR(a.sequences[1], "ac-DEFG");
  CHECK_STR(a.descriptions[2], "c");
  CHECK_STR(a.sequences[2], "");
  CHECK_STR(a.sequences[3], "AA");
  nf_arena_free(arena);
}

TEST(odd_texts) {
  nf_arena *arena = nf_arena_create();
  CHECK_INT(parse(arena, "").n_rows, 0);
  CHECK_INT(parse(arena, "\n\n \n").n_rows, 0);
  CHECK_INT(parse(arena, "ACDE\n").n_rows, 0);
  nf_a3m a = parse(arena, "ACDE\n>");
  CHECK_INT(a.n_rows, 1);
  CHECK_STR(a.descriptions[0], "");
  CHECK_STR(a.sequences[0], "");
  a = parse(arena, ">>x>\nA>B");
  CHECK_INT(a.n_rows, 1);
  CHECK_STR(a.descriptions[0], ">x>");
  CHECK_STR(a.sequences[0], "A>B");
  a = parse(arena, ">\n>\n>\n>\n>");
  CHECK_INT(a.n_rows, 5);
  CHECK_STR(a.sequences[4], "");
  CHECK_INT(a3m_parse("t.a3m", ">a\nA\0B", 6, arena, &a), NF_INPUT);
  CHECK_STR(nf_message(), "t.a3m: a NUL byte; this is not a text file");
  nf_arena_free(arena);
}
