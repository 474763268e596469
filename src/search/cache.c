#include "search/cache.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "formats/sha256.h"

static const char MAGIC[] = "nativefold search result 1\n";

static char *file_of(const char *dir, const char *key) {
  char hex[65];
  nf_str path = {0};
  sha256_hex(key, strlen(key), hex);
  nf_str_printf(&path, "%s/%s.a3m", dir, hex);
  return path.data;
}

// The file: the magic line, the checksum of what follows the line with it, the key's length, the key, the text.
static void checksum(const char *key, const char *text, size_t length, char hex[65]) {
  uint8_t both[2][32];
  sha256(key, strlen(key), both[0]);
  sha256(text, length, both[1]);
  sha256_hex(both, sizeof both, hex);
}

bool cache_read(const char *dir, const char *key, nf_str *ret) {
  if (!dir) return false;
  char *path = file_of(dir, key), *data = NULL, hex[65];
  size_t size = 0, head = strlen(MAGIC), n_key = strlen(key);
  bool good = false;
  if (nf_file_exists(path) && nf_file_read(path, &data, &size) == NF_OK) {
    size_t need = head + 65 + n_key + 1;
    good = size >= need && memcmp(data, MAGIC, head) == 0 && data[head + 64] == '\n' &&
           memcmp(data + head + 65, key, n_key) == 0 && data[need - 1] == '\n';
    if (good) {
      checksum(key, data + need, size - need, hex);
      good = memcmp(hex, data + head, 64) == 0;
    }
    if (good) {
      nf_str_append(ret, data + need, size - need);
    } else {
      nf_warn("%s: this search result is damaged; it is searched for again", path);
    }
  }
  free(data);
  free(path);
  return good;
}

void cache_write(const char *dir, const char *key, const char *text, size_t length) {
  if (!dir) return;
  static atomic_bool has_warned;
  char *path = file_of(dir, key), hex[65];
  nf_writer *writer;
  nf_status status = nf_dir_create(dir);
  if (status == NF_OK) status = nf_writer_open(path, &writer);
  if (status == NF_OK) {
    FILE *f = nf_writer_stream(writer);
    checksum(key, text, length, hex);
    fprintf(f, "%s%s\n%s\n", MAGIC, hex, key);
    (void)!fwrite(text, 1, length, f);  // a short write leaves ferror set for commit
    status = nf_writer_commit(writer);
  }
  if (status != NF_OK && !atomic_exchange(&has_warned, true)) {
    nf_warn("--msa_cache: search results are not kept: %s", nf_message());
  }
  free(path);
}
