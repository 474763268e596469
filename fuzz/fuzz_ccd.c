// The component dictionary: whatever the bytes, they are read or refused. The first byte chooses what they are: a
// components.cif, whose dictionary must then open and decode; a whole dictionary file; one record, put into a file
// whose checksums are right, so that the decoder itself is reached; or the components that come with a job. Build and
// run: tools/fuzz.sh
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/map.h"
#include "base/memory.h"
#include "chem/ccd.h"
#include "chem/ccd_format.h"

static char output[] = "/tmp/nativefold_fuzz_XXXXXX";
static int input;  // a file in memory
static char input_path[64];

static void clean_up(void) { unlink(output); }

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  (void)argc;
  (void)argv;
  int fd = mkstemp(output);
  input = memfd_create("fuzz", 0);
  if (fd < 0 || input < 0) abort();
  close(fd);
  atexit(clean_up);
  snprintf(input_path, sizeof input_path, "/proc/self/fd/%d", input);
  return 0;
}

static void append(const void *bytes, size_t size) {
  if (write(input, bytes, size) != (ssize_t)size) abort();
}

// Looks at all of the file's own components; the embedded ones come after them.
static void look(const nf_ccd *ccd, int n, bool must_decode) {
  volatile double sum = 0;
  for (int i = 0; i < n; i++) {
    const ccd_component *c = ccd_at(ccd, i);
    if (!c && must_decode) abort();
    if (!c) continue;
    sum += (double)(strlen(c->name) + strlen(c->type) + strlen(c->synonyms) + strlen(c->smiles));
    for (int k = 0; k < c->n_atoms; k++) {
      if (!*c->atoms[k].name || !isfinite(c->atoms[k].ideal[0]) || !isfinite(c->atoms[k].model[2])) abort();
    }
    for (int k = 0; k < c->n_bonds; k++) {
      sum += c->atoms[c->bonds[k].atom1].charge + c->atoms[c->bonds[k].atom2].ideal[1];
    }
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static int embedded;
  if (!size) return 0;
  nf_ccd *ccd;
  if (!embedded) {
    unsetenv("NATIVEFOLD_CCD");
    setenv("XDG_DATA_HOME", "/nonexistent", 1);
    if (ccd_open(NULL, &ccd) != NF_OK) abort();
    embedded = ccd_count(ccd);
    ccd_close(ccd);
  }
  int kind = *data++ % 4;
  size--;
  if (kind == 3) {
    nf_arena *arena = nf_arena_create();
    ccd = ccd_overlay(NULL, arena);
    if (ccd_overlay_read(ccd, "fuzz", (const char *)data, size) == NF_OK) look(ccd, ccd_count(ccd), true);
    ccd_close(ccd);
    nf_arena_free(arena);
    return 0;
  }
  if (ftruncate(input, 0) != 0 || lseek(input, 0, SEEK_SET) != 0) abort();
  if (kind == 2) {
    ccd_header header = {.magic = CCD_MAGIC, .version = CCD_VERSION, .n_components = 1};
    ccd_entry entry = {.code = "X", .size = (uint32_t)size, .offset = sizeof header, .checksum = nf_fnv1a(data, size)};
    header.index_offset = (sizeof header + size + 7) / 8 * 8;
    header.file_size = header.index_offset + sizeof entry;
    header.checksum = ccd_checksum(&header, &entry);
    append(&header, sizeof header);
    append(data, size);
    append(&(uint64_t){0}, (size_t)(header.index_offset - sizeof header - size));
    append(&entry, sizeof entry);
    if (ccd_open(input_path, &ccd) != NF_OK) abort();
    look(ccd, 1, false);
    ccd_close(ccd);
    return 0;
  }
  append(data, size);
  if (kind == 1) {
    if (ccd_open(input_path, &ccd) != NF_OK) return 0;
    look(ccd, ccd_count(ccd) - embedded, false);
    ccd_close(ccd);
    return 0;
  }
  int n;
  if (ccd_build(input_path, output, NULL, &n) != NF_OK) return 0;
  if (ccd_open(output, &ccd) != NF_OK || ccd_count(ccd) != n + embedded) abort();
  look(ccd, n, true);
  ccd_close(ccd);
  return 0;
}
