// Structures from directories and archives.
#include "search/mmcif_store.h"

#include "base/file.h"
#include "tests/test.h"

static char dir[256];

// Runs a shell command in the program's directory.
static bool shell(const char *command) {
  char line[1024];
  if (!dir[0]) snprintf(dir, sizeof dir, "%s", test_dir());
  snprintf(line, sizeof line, "cd '%s' && { %s; } > /dev/null 2>&1", dir, command);
  return system(line) == 0;
}

static void check_entry(const nf_mmcif_store *store, const char *id, const char *expected) {
  char *text;
  size_t size;
  CHECK_OK(mmcif_store_read(store, id, &text, &size));
  if (expected) {
    CHECK_STR(text, expected);
  } else {
    CHECK(text == NULL);
  }
  free(text);
}

static bool make_files(void) {
  return shell("mkdir -p d/ab && printf data_1abc > d/1abc.cif && printf data_2abc > d/2abc.cif && "
               "gzip -nf d/2abc.cif && printf data_3abc > d/ab/3abc.cif && printf x > d/notes.txt && mkdir -p d/4abc.cif");
}

TEST(files_of_a_directory) {
  if (!make_files()) SKIP("no gzip");
  nf_mmcif_store *store;
  char path[512];
  snprintf(path, sizeof path, "%s/d", dir);
  REQUIRE_OK(mmcif_store_open(path, &store));
  check_entry(store, "1abc", "data_1abc");
  check_entry(store, "2abc", "data_2abc");
  check_entry(store, "3abc", "data_3abc");
  check_entry(store, "4abc", NULL);
  check_entry(store, "notes", NULL);
  mmcif_store_close(store);
  snprintf(path, sizeof path, "%s/absent", dir);
  CHECK_INT(mmcif_store_open(path, &store), NF_INPUT);
}

TEST(members_of_an_archive) {
  static const char *const formats[] = {"gnu", "ustar", "pax", "v7"};
  if (!make_files() || !shell("tar --version")) SKIP("no tar");
  // A name longer than a header holds.
  CHECK(shell("long=$(printf 'd%.0s' $(seq 90)); mkdir -p d/$long/$long && printf data_9XYZ > d/$long/$long/9XYZ.cif"));
  for (int i = 0; i < 3; i++) {
    char command[256], path[512];
    snprintf(command, sizeof command, "tar --format=%s -cf %s.tar d", formats[i], formats[i]);
    CHECK(shell(command));
    snprintf(path, sizeof path, "%s/%s.tar", dir, formats[i]);
    nf_mmcif_store *store;
    REQUIRE_OK(mmcif_store_open(path, &store));
    check_entry(store, "1abc", "data_1abc");
    check_entry(store, "2abc", "data_2abc");
    check_entry(store, "3abc", "data_3abc");
    check_entry(store, "9xyz", "data_9XYZ");
    check_entry(store, "4abc", NULL);
    check_entry(store, "notes", NULL);
    mmcif_store_close(store);
  }
}

TEST(damaged_archives_are_refused) {
  nf_mmcif_store *store;
  char path[512], *data;
  size_t size;
  if (!make_files() || !shell("tar -cf good.tar d && printf 'no archive at all' | cat - /dev/zero | head -c 2000 > bad.tar")) {
    SKIP("no tar");
  }
  snprintf(path, sizeof path, "%s/bad.tar", dir);
  CHECK_INT(mmcif_store_open(path, &store), NF_INPUT);
  CHECK(strstr(nf_message(), "no uncompressed tar archive") != NULL);
  snprintf(path, sizeof path, "%s/good.tar", dir);
  REQUIRE_OK(nf_file_read(path, &data, &size));
  // Whatever is cut off, or stands in a size, nothing is read beyond the file.
  snprintf(path, sizeof path, "%s/cut.tar", dir);
  for (size_t cut = 0; cut < 6000 && cut < size; cut += 333) {
    REQUIRE_OK(nf_file_write(path, data, cut));
    if (mmcif_store_open(path, &store) == NF_OK) mmcif_store_close(store);
  }
  for (int i = 124; i < 136; i++) {
    char old = data[i];
    data[i] = (char)0xff;
    REQUIRE_OK(nf_file_write(path, data, size));
    if (mmcif_store_open(path, &store) == NF_OK) mmcif_store_close(store);
    data[i] = old;
  }
  free(data);
}
