// Status, arenas, strings, maps, files.
#include "../test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/str.h"

TEST(status_keeps_the_sentence) {
  CHECK_INT(nf_fail(NF_INPUT, "%s: field %s", "a.json", "x"), NF_INPUT);
  CHECK_STR(nf_message(), "a.json: field x");
  CHECK_INT(nf_fail_in(NF_FAILED, "job %d", 3), NF_FAILED);
  CHECK_STR(nf_message(), "job 3: a.json: field x");
  CHECK_INT(nf_fail(NF_INPUT, "again: %s", nf_message()), NF_INPUT);
  CHECK_STR(nf_message(), "again: job 3: a.json: field x");
}

TEST(arena_pieces_are_apart_and_aligned) {
  nf_arena *a = nf_arena_create();
  unsigned char *pieces[200];
  for (int i = 0; i < 200; i++) {
    size_t n = (size_t)i * 977 % 70000 + 1;
    pieces[i] = nf_arena_alloc(a, n);
    CHECK_INT((size_t)pieces[i] % 64, 0);
    memset(pieces[i], i, n);
  }
  for (int i = 0; i < 200; i++) {
    size_t n = (size_t)i * 977 % 70000 + 1;
    for (size_t k = 0; k < n; k++) {
      if (pieces[i][k] != i) {
        CHECK(!"a later piece overlaps an earlier one");
        break;
      }
    }
  }
  nf_arena_mark mark = nf_arena_here(a);
  void *first = nf_arena_alloc(a, 100);
  nf_arena_alloc(a, 50u << 20);
  nf_arena_reset(a, mark);
  CHECK(nf_arena_alloc(a, 100) == first);
  CHECK(nf_arena_peak(a) >= 50u << 20);
  nf_arena_free(a);
}

TEST(map_finds_what_was_added) {
  nf_map *m = nf_map_create();
  char key[32];
  for (int i = 0; i < 5000; i++) {
    snprintf(key, sizeof key, "key%d", i);
    CHECK(nf_map_add(m, key, i * 7));
  }
  CHECK(!nf_map_add(m, "key42", 1));
  int64_t v = 0;
  for (int i = 0; i < 5000; i++) {
    snprintf(key, sizeof key, "key%d", i);
    CHECK(nf_map_get(m, key, &v) && v == i * 7);
  }
  CHECK(!nf_map_get(m, "key5000", &v));
  CHECK_INT(nf_map_size(m), 5000);
  nf_map_free(m);
}

TEST(numbers_are_parsed_whole) {
  long long i;
  double d;
  CHECK(nf_parse_int("-12", &i) && i == -12);
  CHECK(!nf_parse_int("12x", &i));
  CHECK(!nf_parse_int(" 12", &i));
  CHECK(!nf_parse_int("", &i));
  CHECK(!nf_parse_int("99999999999999999999", &i));
  CHECK(nf_parse_double("1.5e3", &d) && d == 1500);
  CHECK(!nf_parse_double("1.5.2", &d));
}

TEST(files_appear_whole_or_not_at_all) {
  const char *dir = test_dir();
  char path[200];
  snprintf(path, sizeof path, "%s/a/b/c.txt", dir);
  CHECK_INT(nf_file_write(path, "x", 1), NF_FAILED);
  CHECK(strstr(nf_message(), path) != NULL);
  char parent[200];
  snprintf(parent, sizeof parent, "%s/a/b", dir);
  CHECK_OK(nf_dir_create(parent));
  CHECK(nf_dir_is_empty(parent));
  nf_writer *w;
  REQUIRE_OK(nf_writer_open(path, &w));
  fputs("hello", nf_writer_stream(w));
  CHECK(!nf_file_exists(path));
  nf_writer_abandon(w);
  CHECK(nf_dir_is_empty(parent));
  CHECK_OK(nf_file_write(path, "hello", 5));
  char *data;
  size_t size;
  REQUIRE_OK(nf_file_read(path, &data, &size));
  CHECK_INT(size, 5);
  CHECK_STR(data, "hello");
  free(data);
  const void *mapped;
  REQUIRE_OK(nf_file_map(path, &mapped, &size));
  CHECK(size == 5 && memcmp(mapped, "hello", 5) == 0);
  nf_file_unmap(mapped, size);
  CHECK_INT(nf_file_read(parent, &data, &size), NF_INPUT);
  CHECK_INT(nf_file_map("/nonexistent/x", &mapped, &size), NF_INPUT);
}
