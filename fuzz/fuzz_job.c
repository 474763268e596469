// Jobs: whatever the bytes, job_parse reads or refuses them; what it reads, job_write writes so that it reads the same.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "input/job.h"

static char directory[] = "/tmp/nativefold_fuzz_XXXXXX";
static char path[sizeof directory + 16], output[sizeof directory + 16];

// To start from: the first byte chooses the frame (see below), the rest goes into it.
static const char *const seeds[] = {
    "0{\"name\":\"j\",\"dialect\":\"alphafold3\",\"version\":1,\"modelSeeds\":[1,\"2\",3.0],\"sequences\":[{\"dna\":{"
    "\"id\":"
    "[\"A\",\"B\"],\"sequence\":\"GATC\"}}],\"bondedAtomPairs\":null,\"userCCD\":null,\"userCCDPath\":\"\"}",
    "1{\"ligand\":{\"id\":\"L\",\"ccdCodes\":[\"NAG\",\"FUC\"],\"smiles\":null,\"description\":\"\\u00e9\"}}",
    "1{\"dna\":{\"id\":\"D\",\"sequence\":\"ACGT\",\"modifications\":[{\"modificationType\":\"6OG\",\"basePosition\":3}"
    "]}}",
    "2\"modifications\":[{\"ptmType\":\"SEP\",\"ptmPosition\":5}],\"unpairedMsa\":\">q\\nPREACHER\",\"pairedMsa\":\"\"",
    "2\"unpairedMsaPath\":\"m.a3m\",\"pairedMsaPath\":\"\",\"templates\":[],\"description\":null",
    "3\"mmcif\":\"data_x\",\"queryIndices\":[0,3,3],\"templateIndices\":[1,2,4]",
    "3\"mmcifPath\":\"t.cif\",\"queryIndices\":[],\"templateIndices\":null",
    "4\"unpairedMsa\":\">q\\nGUaaAC\\n>x\\nG--C\",\"modifications\":[{\"modificationType\":\"2MG\",\"basePosition\":1}"
    "]",
    "5[[\"A\",1,\"CA\"],[\"L\",2,\"C1\"]],[[\"L\",1,\"O4\"],[\"L\",2,\"C1\"]]]",
    "5[[\"S\",1,\"C1\"],[\"L\",2,\"C1\"]]],\"userCCD\":\"data_X\\n_chem_comp.id X\"",
    "6{\"proteinChain\":{\"sequence\":\"PREACHER\",\"count\":2,\"useStructureTemplate\":false,\"modifications\":[{"
    "\"ptmType\":\"CCD_SEP\",\"ptmPosition\":1}]}},{\"ion\":{\"ion\":\"MG\",\"count\":3}},{\"ligand\":{\"ligand\":"
    "\"CCD_ATP\"}},{\"rnaSequence\":{\"sequence\":\"GUAC\"}},{\"dnaSequence\":{\"sequence\":\"GATC\",\"count\":1}}",
    "1{\"ligand\":{\"id\":\"L\",\"smiles\":\"C/C=C\\\\O\"}}",
};
enum { N_SEEDS = sizeof seeds / sizeof *seeds };

static char *seed_path(int i) {
  static char name[sizeof directory + 16];
  snprintf(name, sizeof name, "%s/seed%d", directory, i);
  return name;
}

static void clean_up(void) {
  for (int i = 0; i < N_SEEDS; i++) unlink(seed_path(i));
  unlink(output);
  rmdir(directory);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  if (!mkdtemp(directory)) abort();
  snprintf(path, sizeof path, "%s/job.json", directory);
  snprintf(output, sizeof output, "%s/out.json", directory);
  atexit(clean_up);
  nf_str flag = {0};
  for (int i = 0; i < N_SEEDS; i++) {
    if (nf_file_write(seed_path(i), seeds[i], strlen(seeds[i])) != NF_OK) abort();
    nf_str_printf(&flag, "%s%s", i ? "," : "-seed_inputs=", seed_path(i));
  }
  // Unknown letters are warned of; a million such lines say nothing. The fuzzer's own reports are kept.
  static char quiet[] = "-close_fd_mask=2";
  char **more = nf_calloc((size_t)*argc + 3, sizeof *more);
  memcpy(more, *argv, sizeof *more * (size_t)*argc);
  more[(*argc)++] = quiet;
  more[(*argc)++] = flag.data;
  *argv = more;
  return 0;
}

static char *written(const nf_job *job) {
  char *text;
  size_t size;
  if (job_write(job, output) != NF_OK || nf_file_read(output, &text, &size) != NF_OK) abort();
  return text;
}

static void try(const char *text, size_t length) {
  nf_arena *arena = nf_arena_create();
  nf_job job, again;
  nf_status status = job_parse(path, text, length, arena, &job);
  if (status == NF_OK) {
    char *first = written(&job);
    if (job_parse(path, first, strlen(first), arena, &again) != NF_OK) abort();
    char *second = written(&again);
    if (strcmp(first, second) != 0) abort();
    free(first);
    free(second);
    (void)!job_check_filled(&job, true);
  } else if (strchr(nf_message(), '\n') || !strstr(nf_message(), "job.json: ")) {
    abort();
  }
  nf_arena_free(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const char *const frames[][2] = {
      {"", ""},
      {"{\"name\":\"j\",\"dialect\":\"alphafold3\",\"version\":4,\"modelSeeds\":[1],\"sequences\":[", "]}"},
      {"{\"name\":\"j\",\"dialect\":\"alphafold3\",\"version\":4,\"modelSeeds\":[1],\"sequences\":[{\"protein\":{"
       "\"id\":\"A\","
       "\"sequence\":\"PREACHER\",",
       "}}]}"},
      {"{\"name\":\"j\",\"dialect\":\"alphafold3\",\"version\":4,\"modelSeeds\":[1],\"sequences\":[{\"protein\":{"
       "\"id\":\"A\","
       "\"sequence\":\"PREACHER\",\"templates\":[{",
       "}]}}]}"},
      {"{\"name\":\"j\",\"dialect\":\"alphafold3\",\"version\":4,\"modelSeeds\":[1],\"sequences\":[{\"rna\":{\"id\":"
       "\"A\","
       "\"sequence\":\"GUAC\",",
       "}}]}"},
      {"{\"name\":\"j\",\"dialect\":\"alphafold3\",\"version\":4,\"modelSeeds\":[1],\"sequences\":[{\"protein\":{"
       "\"id\":[\"A\",\"B\"],\"sequence\":\"PREACHER\"}},{\"ligand\":{\"id\":\"L\",\"ccdCodes\":[\"NAG\",\"NAG\"]}},"
       "{\"ligand\":{\"id\":\"S\",\"smiles\":\"CCO\"}}],\"bondedAtomPairs\":[",
       "}"},
      {"[{\"name\":\"j\",\"modelSeeds\":[7],\"sequences\":[", "]}]"},
  };
  // The first byte chooses how much of a job is given.
  if (!size) return 0;
  int frame = (uint8_t)(data[0] - '0') % 7;
  nf_str text = {0};
  nf_str_puts(&text, frames[frame][0]);
  nf_str_append(&text, (const char *)data + 1, size - 1);
  nf_str_puts(&text, frames[frame][1]);
  try(text.data, text.length);
  nf_str_free(&text);
  return 0;
}
