// The directory of a job: names, terms of use, ranking, compression, and what failures leave behind.
#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../test.h"
#include "base/file.h"
#include "base/log.h"
#include "fixture.h"
#include "formats/compress.h"

// The path of a name in a directory; valid for the next 15 calls.
__attribute__((noinline)) static const char *in(const char *dir, const char *name) {
  static char paths[16][600];
  static int next;
  char *path = paths[next++ % 16];
  snprintf(path, sizeof paths[0], "%s/%s", dir, name);
  return path;
}

static int n_entries(const char *dir) {
  DIR *d = opendir(dir);
  int n = 0;
  if (!d) return -1;
  for (struct dirent *e; (e = readdir(d));) n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
  closedir(d);
  return n;
}

static nf_status write_to(const fixture *f, const char *dir, const char *prefix) {
  return output_write_sample(dir, prefix, &f->job, &f->layout, &f->batch, &f->scores, &f->origin, &f->options);
}

TEST(names) {
  fixture f;
  fixture_make(&f);
  const char *dir = in(test_dir(), "job/seed-1_sample-0");
  REQUIRE_OK(write_to(&f, dir, "job_seed-1_sample-0"));
  CHECK_INT(n_entries(dir), 3);
  CHECK(nf_file_exists(in(dir, "job_seed-1_sample-0_model.cif")));
  CHECK(nf_file_exists(in(dir, "job_seed-1_sample-0_confidences.json")));
  CHECK(nf_file_exists(in(dir, "job_seed-1_sample-0_summary_confidences.json")));
  REQUIRE_OK(write_to(&f, dir, "job_seed-1_sample-0"));  // again, over what is there
  CHECK_INT(n_entries(dir), 3);
  fixture_free(&f);
}

TEST(terms_only_for_alphafold3) {
  fixture f;
  fixture_make(&f);
  const char *dir = test_dir();
  REQUIRE_OK(output_write_terms(dir, &f.origin, &f.options));
  CHECK_INT(n_entries(dir), 0);
  f.origin.is_alphafold3 = true;
  f.options.save_terms_of_use = false;
  REQUIRE_OK(output_write_terms(dir, &f.origin, &f.options));
  CHECK_INT(n_entries(dir), 0);
  f.options.save_terms_of_use = true;
  REQUIRE_OK(output_write_terms(dir, &f.origin, &f.options));
  char *text, *source;
  size_t size, source_size;
  REQUIRE_OK(nf_file_read(in(dir, "TERMS_OF_USE.md"), &text, &size));
  REQUIRE_OK(nf_file_read(test_source("data/ALPHAFOLD3_OUTPUT_TERMS_OF_USE.md"), &source, &source_size));
  CHECK_INT(size, source_size);
  CHECK_STR(text, source);
  CHECK(strncmp(text, "# ALPHAFOLD 3 OUTPUT TERMS OF USE\n", 34) == 0);
  free(text);
  free(source);
  fixture_free(&f);
}

TEST(compressed_files_hold_the_same_bytes) {
  fixture f;
  fixture_make(&f);
  const char *plain = test_dir();
  char dir[300];
  snprintf(dir, sizeof dir, "%s", in(plain, "z"));
  REQUIRE_OK(write_to(&f, plain, "p"));
  f.options.compress = true;
  REQUIRE_OK(write_to(&f, dir, "p"));
  CHECK_INT(n_entries(dir), 3);
  CHECK(nf_file_exists(in(dir, "p_summary_confidences.json")));
  static const char *const names[] = {"p_model.cif", "p_confidences.json"};
  for (int i = 0; i < 2; i++) {
    char *expected, *packed, *text, name[64];
    size_t expected_size, packed_size, size;
    snprintf(name, sizeof name, "%s.zst", names[i]);
    REQUIRE_OK(nf_file_read(in(plain, names[i]), &expected, &expected_size));
    REQUIRE_OK(nf_file_read(in(dir, name), &packed, &packed_size));
    REQUIRE_OK(nf_decompress(name, packed, packed_size, 0, &text, &size));
    CHECK(packed_size < expected_size / 2);
    if (i == 0) {  // the time stamps may differ by a second
      char *a = strstr(expected, " @ "), *b = strstr(text, " @ ");
      CHECK(a && b);
      if (a && b) memcpy(a, b, 22);
    }
    CHECK_INT(size, expected_size);
    CHECK(size == expected_size && memcmp(text, expected, size) == 0);
    free(expected);
    free(packed);
    free(text);
  }
  fixture_free(&f);
}

TEST(ranking_file) {
  output_rank ranks[] = {{1234, 0, 0.7190632275583329}, {1234, 1, 0.8}, {4294967295u, 2, -99.0}, {7, 0, NAN}};
  const char *dir = test_dir();
  REQUIRE_OK(output_write_ranking(dir, "job", ranks, 4));
  char *text;
  size_t size;
  REQUIRE_OK(nf_file_read(in(dir, "job_ranking_scores.csv"), &text, &size));
  CHECK_STR(
      text,
      "seed,sample,ranking_score\r\n1234,0,0.7190632275583329\r\n1234,1,0.8\r\n4294967295,2,-99.0\r\n7,0,nan\r\n");
  free(text);
  CHECK_INT(output_best(ranks, 4), 1);
  CHECK_INT(output_best(ranks + 2, 2), 0);
  CHECK_INT(output_best(ranks, 0), -1);
  output_rank ties[] = {{1, 0, NAN}, {1, 1, 0.5}, {1, 2, 0.5}};
  CHECK_INT(output_best(ties, 3), 1);
  CHECK_INT(output_best(ties, 1), 0);
}

TEST(job_directory) {
  nf_log_quiet(true);
  nf_arena *arena = nf_arena_create();
  const char *root = test_dir(), *dir, *again, *third;
  char top[300];
  snprintf(top, sizeof top, "%s", in(root, "out"));
  REQUIRE_OK(output_job_dir(top, "job", false, arena, &dir));
  CHECK_STR(dir, in(top, "job"));
  CHECK(nf_dir_exists(dir));
  REQUIRE_OK(output_job_dir(top, "job", false, arena, &again));  // empty: the same
  CHECK_STR(again, dir);
  REQUIRE_OK(nf_file_write(in(dir, "x"), "x", 1));
  REQUIRE_OK(output_job_dir(top, "job", true, arena, &again));
  CHECK_STR(again, dir);
  REQUIRE_OK(output_job_dir(top, "job", false, arena, &again));
  CHECK(nf_dir_exists(again));
  int date, time, length = 0;
  CHECK_INT(sscanf(strrchr(again, '/'), "/job_%8d_%6d%n", &date, &time, &length), 2);
  CHECK_INT(length, 20);
  CHECK(date > 20240000);
  REQUIRE_OK(nf_file_write(in(again, "x"), "x", 1));
  REQUIRE_OK(output_job_dir(top, "job", false, arena, &third));  // within the same second, too
  CHECK(strcmp(third, again) != 0 && nf_dir_is_empty(third));

  CHECK_INT(output_job_dir(top, "..", false, arena, &dir), NF_INPUT);
  CHECK(strstr(nf_message(), "\"..\" cannot be the name of a directory"));
  CHECK_INT(output_job_dir(top, "", false, arena, &dir), NF_INPUT);
  REQUIRE_OK(nf_file_write(in(top, "file"), "x", 1));
  CHECK_INT(output_job_dir(top, "file", false, arena, &dir), NF_INPUT);
  CHECK(strstr(nf_message(), "/file: is a file, not a directory"));
  CHECK(output_job_dir(in(top, "file"), "job", false, arena, &dir) != NF_OK);
  nf_arena_free(arena);
  nf_log_quiet(false);
}

TEST(failures_leave_nothing) {
  fixture f;
  fixture_make(&f);
  // A place where nothing can be made, even by root.
  CHECK_INT(write_to(&f, "/proc/nativefold", "p"), NF_FAILED);
  CHECK(strncmp(nf_message(), "/proc/nativefold: ", 18) == 0);
  // A file where the directory should be.
  const char *root = test_dir();
  REQUIRE_OK(nf_file_write(in(root, "file"), "x", 1));
  CHECK_INT(write_to(&f, in(root, "file"), "p"), NF_FAILED);
  CHECK(strstr(nf_message(), "/file: "));
  // A directory where the third file should be: the first two must not appear either.
  char dir[300];
  snprintf(dir, sizeof dir, "%s", in(root, "sample"));
  REQUIRE_OK(nf_dir_create(in(dir, "p_summary_confidences.json")));
  CHECK_INT(write_to(&f, dir, "p"), NF_FAILED);
  CHECK(strstr(nf_message(), "/p_summary_confidences.json: cannot be written: "));
  CHECK_INT(n_entries(dir), 1);
  // Numbers that cannot be written: no directory is left.
  ((float *)f.scores.positions)[0] = NAN;
  CHECK_INT(write_to(&f, in(root, "new"), "p"), NF_FAILED);
  CHECK(!nf_dir_exists(in(root, "new")));
  fixture_free(&f);
}

// A file system without room, in a child process: files may not grow beyond some bytes.
static int write_with_limit(const fixture *f, const char *dir, rlim_t bytes) {
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){bytes, bytes});
    nf_status status = write_to(f, dir, "p");
    if (status == NF_OK) _exit(0);
    _exit(status == NF_FAILED && strstr(nf_message(), ": cannot be written: ") && strstr(nf_message(), dir) ? 100
                                                                                                            : 101);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

TEST(full_disk_leaves_nothing) {
  fixture f;
  fixture_make(&f);
  char dir[300];
  snprintf(dir, sizeof dir, "%s", in(test_dir(), "full"));
  for (int compress = 0; compress < 2; compress++) {
    f.options.compress = compress;
    CHECK_INT(write_with_limit(&f, dir, 0), 100);
    CHECK(!nf_dir_exists(dir));
    CHECK_INT(write_with_limit(&f, dir, 1500), 100);
    CHECK(!nf_dir_exists(dir));
  }
  CHECK_INT(write_with_limit(&f, dir, 1 << 20), 0);
  CHECK_INT(n_entries(dir), 3);
  fixture_free(&f);
}
