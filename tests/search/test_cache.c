// Kept results: found again, never when damaged.
#include "search/cache.h"

#include <dirent.h>

#include "base/file.h"
#include "tests/test.h"

TEST(results_are_found_by_their_key) {
  char dir[512];
  nf_str text = {0};
  snprintf(dir, sizeof dir, "%s/new/cache", test_dir());
  CHECK(!cache_read(dir, "key one\nline", &text));
  cache_write(dir, "key one\nline", ">a\nMK\n", 6);
  cache_write(dir, "key two", "", 0);
  CHECK(cache_read(dir, "key one\nline", &text));
  CHECK_STR(text.data, ">a\nMK\n");
  CHECK(!cache_read(dir, "key one", &text));
  CHECK(cache_read(dir, "key two", &text));
  CHECK(!cache_read(NULL, "key two", &text));
  nf_str_free(&text);
}

TEST(damaged_results_are_not_found) {
  const char *dir = test_dir();
  nf_str text = {0};
  cache_write(dir, "k", "result", 6);
  DIR *d = opendir(dir);
  char path[1024] = "", *data;
  for (struct dirent *e; (e = readdir(d));) {
    if (strlen(e->d_name) > 60) snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
  }
  closedir(d);
  size_t size;
  REQUIRE_OK(nf_file_read(path, &data, &size));
  for (size_t cut = 0; cut < size; cut += 40) {
    REQUIRE_OK(nf_file_write(path, data, cut));
    CHECK(!cache_read(dir, "k", &text));
  }
  data[size - 1] ^= 1;
  REQUIRE_OK(nf_file_write(path, data, size));
  CHECK(!cache_read(dir, "k", &text));
  data[size - 1] ^= 1;
  REQUIRE_OK(nf_file_write(path, data, size));
  CHECK(cache_read(dir, "k", &text));
  free(data);
  nf_str_free(&text);
}
