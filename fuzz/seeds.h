// Files a fuzz target starts from: written into a directory of their own, which is removed at exit.
#ifndef NF_FUZZ_SEEDS_H
#define NF_FUZZ_SEEDS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"

enum { MAX_SEEDS = 16 };
static char seed_paths[MAX_SEEDS][64], seed_dir[] = "/tmp/nativefold_fuzz_XXXXXX";
static int n_seeds;

static void seeds_remove(void) {
  for (int i = 0; i < n_seeds; i++) unlink(seed_paths[i]);
  rmdir(seed_dir);
}

// Where the next seed goes; the caller writes it.
static const char *seeds_next(void) {
  if (n_seeds == MAX_SEEDS) abort();
  if (n_seeds == 0) {
    if (!mkdtemp(seed_dir)) abort();
    atexit(seeds_remove);
  }
  snprintf(seed_paths[n_seeds], sizeof seed_paths[0], "%s/%d", seed_dir, n_seeds);
  return seed_paths[n_seeds++];
}

static void seeds_add(const void *data, size_t size) {
  if (nf_file_write(seeds_next(), data, size) != NF_OK) abort();
}

// To be called at the end of LLVMFuzzerInitialize: tells the fuzzer of the seeds.
static void seeds_use(int *argc, char ***argv) {
  nf_str flag = {0};
  for (int i = 0; i < n_seeds; i++) nf_str_printf(&flag, "%s%s", i ? "," : "-seed_inputs=", seed_paths[i]);
  char **more = nf_calloc((size_t)*argc + 2, sizeof *more);
  memcpy(more, *argv, sizeof *more * (size_t)*argc);
  more[(*argc)++] = flag.data;
  *argv = more;
}

#endif
