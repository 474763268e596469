// Jobs from text, and their layouts and batches, for the tests of this room.
#ifndef NF_TESTS_FEATURES_FIXTURE_H
#define NF_TESTS_FEATURES_FIXTURE_H

#include "../test.h"
#include "base/str.h"
#include "chem/conformer.h"
#include "features/features.h"
#include "features/stages.h"
#include "features/template.h"

typedef struct {
  nf_arena *arena;
  nf_ccd *ccd;
  nf_job job;
  nf_layout layout;
  nf_batch batch;
} fixture;

static inline void fixture_close(fixture *f) {
  ccd_close(f->ccd);
  nf_arena_free(f->arena);
}

// sequences: the JSON array's inside. Reads the job and makes the layout and an empty batch of n_token tokens (0: as
// many as there are); the embedded dictionary alone is used.
static inline nf_status fixture_open(fixture *f, const char *sequences, int n_token) {
  *f = (fixture){.arena = nf_arena_create()};
  setenv("XDG_DATA_HOME", "/nonexistent", 1);
  unsetenv("NATIVEFOLD_CCD");
  NF_TRY(ccd_open(NULL, &f->ccd));
  char *text = nf_arena_printf(f->arena,
                               "{\"name\": \"t\", \"modelSeeds\": [1], \"dialect\": \"alphafold3\", \"version\": 2, "
                               "\"sequences\": [%s]}",
                               sequences);
  NF_TRY(job_parse("t.json", text, strlen(text), f->arena, &f->job));
  NF_TRY(layout_create(&f->job, f->ccd, false, f->arena, &f->layout));
  features_size_batch(&f->layout, n_token > 0 ? n_token : f->layout.n_tokens, f->arena, &f->batch);
  return NF_OK;
}

// Everything that needs no conformer.
static inline nf_status fixture_fill(fixture *f) {
  token_features(&f->layout, f->ccd, &f->batch);
  window_features(&f->layout, &f->batch);
  NF_TRY(msa_features(&f->job, &f->layout, true, &f->batch));
  NF_TRY(template_features(&f->job, &f->layout, f->arena, &f->batch));
  NF_TRY(bond_features(&f->job, &f->layout, &f->batch));
  return reference_features(&f->job, &f->layout, &f->batch);
}

// Whether RDKit is there; if not, the running test is marked as skipped.
static inline bool fixture_has_rdkit(const fixture *f) {
  bool accepts;
  if (conformer_accepts(ccd_find(f->ccd, "ALA"), &accepts) == NF_OK) return true;
  printf("  SKIP: %s\n", nf_message());
  test_skipped_here = 1;
  return false;
}

#define PROTEIN(ids, sequence, more)                          \
  "{\"protein\": {\"id\": " ids ", \"sequence\": \"" sequence \
  "\", \"unpairedMsa\": \"\", "                               \
  "\"pairedMsa\": \"\", \"templates\": []" more "}}"
#define RNA(ids, sequence, more) \
  "{\"rna\": {\"id\": " ids ", \"sequence\": \"" sequence "\", \"unpairedMsa\": \"\"" more "}}"
#define DNA(ids, sequence, more) "{\"dna\": {\"id\": " ids ", \"sequence\": \"" sequence "\"" more "}}"
#define LIGAND(ids, codes) "{\"ligand\": {\"id\": " ids ", \"ccdCodes\": [" codes "]}}"

#endif
