// Weights: whatever the bytes, a record file or a mappable file is read or refused, and what is read converts back.
// The first byte chooses the ending of the file's name. Build:
//   clang -g -O1 -fsanitize=fuzzer,address,undefined -D_GNU_SOURCE -Isrc -I. -o fuzz_weights fuzz/fuzz_weights.c \
//     src/base/*.c src/formats/*.c src/weights/*.c -lzstd -llzma -lz -ljansson -lm
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "weights/weights.h"

// In memory where that can be: on a disk most of the time goes by waiting for it.
static char in_memory[] = "/dev/shm/nativefold_fuzz_XXXXXX", on_disk[] = "/tmp/nativefold_fuzz_XXXXXX";
static char *directory = in_memory;
static const char *const endings[] = {"bin", "bin.zst", "nfw"};

static const char *path_of(const char *name, const char *ending) {
  static char paths[4][128];
  static int next;
  char *path = paths[next++ % 4];
  snprintf(path, sizeof paths[0], "%s/%s.%s", directory, name, ending);
  return path;
}

static void clean_up(void) {
  for (int i = 0; i < 3; i++) unlink(path_of("in", endings[i]));
  unlink(path_of("in", "bin.nfw"));
  unlink(path_of("in", "bin.zst.nfw"));
  unlink(path_of("out", "bin"));
  rmdir(directory);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  if (!mkdtemp(directory) && !mkdtemp(directory = on_disk)) abort();
  atexit(clean_up);
  nf_log_quiet(true);
  return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!size) return 0;
  const char *in = path_of("in", endings[data[0] % 3]);
  if (nf_file_write(in, data + 1, size - 1) != NF_OK) abort();
  nf_weights *weights = NULL;
  if (weights_open(in, &weights) == NF_OK) {
    int n = weights_count(weights);
    // Touches every value that it says is there.
    volatile float sum = 0;
    for (int i = 0; i < n; i++) {
      const weights_record *record = weights_at(weights, i);
      for (int64_t k = 0; record->values && k < record->count; k++) sum += record->values[k];
    }
    if (weights_convert(weights, path_of("out", "bin")) != NF_OK) abort();
    weights_close(weights);
    if (weights_open(path_of("out", "bin"), &weights) == NF_OK) {
      if (weights_count(weights) != n) abort();
      weights_close(weights);
    }
    unlink(path_of("out", "bin"));
    unlink(path_of("out", "bin.nfw"));
  }
  unlink(in);
  unlink(path_of("in", "bin.nfw"));
  unlink(path_of("in", "bin.zst.nfw"));
  return 0;
}
