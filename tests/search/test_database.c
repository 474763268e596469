// Databases: found under --db_dir, split into shards, counted.
#include "search/database.h"

#include "base/file.h"
#include "base/str.h"
#include "tests/test.h"

// A path in the program's directory; valid until the eighth next call.
static char *path_of(const char *name) {
  static char dir[256], paths[8][512];
  static int next;
  if (!dir[0]) snprintf(dir, sizeof dir, "%s", test_dir());
  char *path = paths[next++ % 8];
  snprintf(path, sizeof paths[0], "%s/%s", dir, name);
  return path;
}

static char *make_fasta(int n, const char *name) {
  nf_str s = {0};
  char *path = path_of(name);
  for (int i = 0; i < n; i++) {
    nf_str_printf(&s, ">s%d some > text\nACDEFGHIKL\n", i);
    for (int k = 0; k < i % 7; k++) nf_str_puts(&s, "MNPQ \n");
  }
  s.length--;  // no newline at the end
  if (nf_file_write(path, s.data, s.length) != NF_OK) test_fail(__FILE__, __LINE__, "%s", nf_message());
  nf_str_free(&s);
  return path;
}

TEST(shards_hold_every_record_once) {
  nf_arena *arena = nf_arena_create();
  char *fasta = make_fasta(500, "db.fa");
  const char *spec;
  int64_t sequences, residues, n, r;
  REQUIRE_OK(database_shard(fasta, path_of("part"), 7, 3, arena, &spec, &sequences, &residues));
  CHECK_INT(sequences, 500);
  CHECK_STR(spec, path_of("part@7"));
  nf_database whole, parts, any;
  REQUIRE_OK(database_find("flag", fasta, 0, NULL, arena, &whole));
  REQUIRE_OK(database_find("flag", spec, 0, NULL, arena, &parts));
  REQUIRE_OK(database_find("flag", path_of("part@*"), 0, NULL, arena, &any));
  CHECK_INT(parts.n_files, 7);
  CHECK_STR(any.spec, spec);
  CHECK(parts.is_sharded && parts.has_record && !whole.is_sharded);
  CHECK_INT(parts.n_sequences, 500);
  REQUIRE_OK(database_count(&whole, &n, &r));
  CHECK_INT(n, 500);
  CHECK_INT(r, residues);
  CHECK_INT(parts.n_residues, residues);
  CHECK_INT(parts.bytes, whole.bytes + 1);
  bool seen[500] = {false};
  for (int i = 0; i < 7; i++) {
    char *text;
    size_t size;
    int here = 0;
    REQUIRE_OK(nf_file_read(parts.files[i], &text, &size));
    for (char *p = text; (p = strchr(p, '>')); p = strchr(p, '\n')) {
      int k = atoi(p + 2);
      CHECK(p[1] == 's' && k >= 0 && k < 500 && !seen[k]);
      seen[k] = true;
      here++;
    }
    CHECK(here > 40 && here < 110);  // about 71 each
    free(text);
  }
  for (int k = 0; k < 500; k++) CHECK(seen[k]);
  nf_arena_free(arena);
}

// nhmmer refuses a file whose first sequence does not show that it is RNA.
TEST(shards_begin_with_a_sequence_that_shows_the_bases) {
  nf_arena *arena = nf_arena_create();
  const char *spec;
  static const struct {
    const char *text, *sharded;
  } rows[] = {{">a\nGGAAUUGGAAGG\n>b\nACGUN\n>c x\nACGU\nacgtACGU\n>d\nAC\n",
               ">c x\nACGU\nacgtACGU\n>a\nGGAAUUGGAAGG\n>b\nACGUN\n>d\nAC\n"},
              {">c\nACGUACGUACGU\n>a\nGG\n", ">c\nACGUACGUACGU\n>a\nGG\n"},
              {">a\nGG\n>c\nACGUACGUACGU", ">a\nGG\n>c\nACGUACGUACGU\n"},  // the last may go on beyond what is at hand
              {">a\nMKVLAACGTACGTACGT\n>b\nMKV\n", ">a\nMKVLAACGTACGTACGT\n>b\nMKV\n"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    int64_t sequences, residues;
    char *text;
    size_t size;
    REQUIRE_OK(nf_file_write(path_of("rna.fa"), rows[i].text, strlen(rows[i].text)));
    REQUIRE_OK(database_shard(path_of("rna.fa"), path_of("rna"), 1, 1, arena, &spec, &sequences, &residues));
    REQUIRE_OK(nf_file_read(path_of("rna-00000-of-00001"), &text, &size));
    CHECK_STR(text, rows[i].sharded);
    free(text);
  }
  nf_arena_free(arena);
}

TEST(more_shards_than_records) {
  nf_arena *arena = nf_arena_create();
  const char *spec;
  int64_t sequences, residues;
  REQUIRE_OK(database_shard(make_fasta(3, "few.fa"), path_of("few"), 40, 1, arena, &spec, &sequences, &residues));
  nf_database d;
  REQUIRE_OK(database_find("flag", spec, 0, NULL, arena, &d));
  CHECK_INT(d.n_files, 40);
  nf_arena_free(arena);
}

TEST(what_is_no_fasta_is_refused_and_leaves_nothing) {
  nf_arena *arena = nf_arena_create();
  const char *spec;
  int64_t sequences, residues;
  REQUIRE_OK(nf_file_write(path_of("bad.fa"), "ACDEF\n>x\nACD\n", 13));
  CHECK_INT(database_shard(path_of("bad.fa"), path_of("bad"), 2, 1, arena, &spec, &sequences, &residues), NF_INPUT);
  CHECK(strstr(nf_message(), "is no FASTA file") != NULL);
  REQUIRE_OK(nf_file_write(path_of("empty.fa"), "\n\n", 2));
  CHECK_INT(database_shard(path_of("empty.fa"), path_of("bad"), 2, 1, arena, &spec, &sequences, &residues), NF_INPUT);
  CHECK_INT(database_shard(path_of("absent.fa"), path_of("bad"), 2, 1, arena, &spec, &sequences, &residues), NF_INPUT);
  CHECK_INT(database_shard(path_of("bad.fa"), path_of("bad"), 0, 1, arena, &spec, &sequences, &residues), NF_INPUT);
  CHECK(!nf_file_exists(path_of("bad-00000-of-00002")));
  nf_arena_free(arena);
}

TEST(directories_are_looked_through_in_order) {
  nf_arena *arena = nf_arena_create();
  const char *dirs[] = {nf_arena_strdup(arena, path_of("a")), nf_arena_strdup(arena, path_of("b"))};
  REQUIRE_OK(nf_dir_create(dirs[0]));
  REQUIRE_OK(nf_dir_create(dirs[1]));
  REQUIRE_OK(nf_file_write(path_of("b/x.fa"), ">x\nA\n", 5));
  nf_database d;
  REQUIRE_OK(database_find("flag", "${DB_DIR}/x.fa", 2, dirs, arena, &d));
  CHECK_STR(d.spec, path_of("b/x.fa"));
  REQUIRE_OK(nf_file_write(path_of("a/x.fa"), ">x\nAA\n", 6));
  REQUIRE_OK(database_find("flag", "$DB_DIR/x.fa", 2, dirs, arena, &d));
  CHECK_STR(d.spec, path_of("a/x.fa"));
  CHECK_INT(d.bytes, 6);
  // A database of which a shard is missing is not there.
  REQUIRE_OK(nf_file_write(path_of("a/y-00000-of-00002.fa"), ">x\nA\n", 5));
  CHECK_INT(database_find("uniref90_database_path", "${DB_DIR}/y@2.fa", 2, dirs, arena, &d), NF_INPUT);
  CHECK(strstr(nf_message(), "--uniref90_database_path: ${DB_DIR}/y@2.fa is in none of the directories") != NULL);
  CHECK_INT(database_find("flag", path_of("a/y@2.fa"), 2, dirs, arena, &d), NF_INPUT);
  CHECK(strstr(nf_message(), "a/y-00001-of-00002.fa does not exist") != NULL);
  REQUIRE_OK(nf_file_write(path_of("b/y-00000-of-00002.fa"), ">x\nA\n", 5));
  REQUIRE_OK(nf_file_write(path_of("b/y-00001-of-00002.fa"), ">x\nA\n", 5));
  REQUIRE_OK(database_find("flag", "${DB_DIR}/y@2.fa", 2, dirs, arena, &d));
  CHECK_STR(d.files[1], path_of("b/y-00001-of-00002.fa"));
  CHECK(!d.has_record);
  // Something@else is a plain name.
  REQUIRE_OK(nf_file_write(path_of("a/me@home"), ">x\nA\n", 5));
  REQUIRE_OK(database_find("flag", path_of("a/me@home"), 0, NULL, arena, &d));
  CHECK(!d.is_sharded);
  nf_arena_free(arena);
}
