// Featurisation as a whole: the stages in order.
#include "features/features.h"

#include <math.h>

#include "base/log.h"
#include "features/stages.h"
#include "features/template.h"

enum {
  N_QUERY = 32,   // atoms of a query subset
  N_KEY = 128,    // atoms it looks at
  N_ROW = 16384,  // rows the MSA is padded to
  N_TEMPLATE = 4,
  LIGAND_BONDS_PER_TOKEN = 10,
};

void features_default_options(features_options *options) {
  *options = (features_options){.resolve_msa_overlaps = true, .ref_max_modified_date = 20210930};
}

int features_padded_tokens(int n_tokens, const features_options *options) {
  for (int i = 0; i < options->n_buckets; i++) {
    if (options->buckets[i] >= n_tokens) return options->buckets[i];
  }
  if (options->n_buckets > 0) {
    nf_warn("%d tokens are more than the largest bucket, %d, holds: they are not padded", n_tokens,
            options->buckets[options->n_buckets - 1]);
  }
  return n_tokens;
}

static nf_batch sized_batch(int n_token) {
  int64_t n_atom = (int64_t)n_token * NF_DENSE_ATOMS;  // as many places as if every slot were filled
  return (nf_batch){
      .n_token = n_token,
      .n_slot = NF_DENSE_ATOMS,
      .n_subset = (int)((n_atom + N_QUERY - 1) / N_QUERY),
      .n_query = N_QUERY,
      .n_key = N_KEY,
      .n_row = N_ROW,
      .n_class = NF_N_CLASSES,
      .n_template = N_TEMPLATE,
      .n_polymer_ligand = n_token,
      .n_ligand_ligand = n_token * LIGAND_BONDS_PER_TOKEN,
  };
}

void features_size_batch(const nf_layout *layout, int n_token, nf_arena *arena, nf_batch *ret_batch) {
  NF_ASSERT(n_token >= layout->n_tokens);
  *ret_batch = sized_batch(n_token);
  batch_allocate(ret_batch, arena);
}

int64_t features_bytes(int n_token) {
  nf_batch batch = sized_batch(n_token);
  nf_array arrays[NF_BATCH_COUNT];
  int64_t bytes = 0;
  for (int i = 0, n = batch_arrays(&batch, arrays); i < n; i++) {
    bytes += nf_array_count(&arrays[i]) * (int64_t)nf_dtype_size(arrays[i].dtype);
  }
  return bytes;
}

// A job may come without MSAs and templates only to be searched for.
static nf_status require_complete(const nf_job *job) {
  for (int i = 0; i < job->n_chains; i++) {
    const job_chain *chain = &job->chains[i];
    const char *missing = NULL;
    if (chain->kind == NF_PROTEIN) {
      missing = !chain->unpaired_msa     ? "unpairedMsa"
                : !chain->paired_msa     ? "pairedMsa"
                : chain->n_templates < 0 ? "templates"
                                         : NULL;
    } else if (chain->kind == NF_RNA && !chain->unpaired_msa) {
      missing = "unpairedMsa";
    }
    if (missing) {
      return nf_fail(NF_INPUT, "%s: %s %s: %s is not set: run the data pipeline first, or set it (empty for none)",
                     job->path, chain->kind == NF_PROTEIN ? "protein" : "rna", chain->id, missing);
    }
  }
  return NF_OK;
}

// What the network reads must be numbers; the reference stops here too.
static nf_status check_finite(const nf_job *job, const nf_batch *batch) {
  nf_array arrays[NF_BATCH_COUNT];
  int n = batch_arrays(batch, arrays);
  for (int i = 0; i < n; i++) {
    int64_t count = nf_array_count(&arrays[i]), bad = -1;
    if (arrays[i].dtype == NF_F32) {
      const float *values = arrays[i].data;
      for (int64_t k = 0; k < count && bad < 0; k++) bad = isfinite(values[k]) ? -1 : k;
    } else if (arrays[i].dtype == NF_F64) {
      const double *values = arrays[i].data;
      for (int64_t k = 0; k < count && bad < 0; k++) bad = isfinite(values[k]) ? -1 : k;
    }
    if (bad >= 0) {
      return nf_fail(NF_INPUT,
                     "%s: its feature %s is not a finite number at element %lld: look for such a coordinate "
                     "in its templates and components",
                     job->path, arrays[i].name, (long long)bad);
    }
  }
  return NF_OK;
}

nf_status features_check(const nf_job *job, const nf_ccd *ccd, const features_options *options) {
  nf_arena *arena = nf_arena_create();
  nf_ccd *dictionary = NULL;
  nf_layout layout;
  nf_status status;
  NF_TRY_GOTO(done, job_dictionary(job, ccd, arena, &dictionary));
  NF_TRY_GOTO(done, layout_create(job, dictionary, options->fix_standalone_glycans, arena, &layout));
done:
  ccd_close(dictionary);
  nf_arena_free(arena);
  return status;
}

nf_status features_create(const nf_job *job, const nf_ccd *ccd, uint32_t seed, const features_options *options,
                          nf_arena *arena, nf_layout *ret_layout, nf_batch *ret_batch) {
  nf_ccd *dictionary = NULL;
  reference_structure reference;
  nf_progress progress;
  nf_status status;
  nf_progress_start(&progress, "features", 1);
  NF_TRY_GOTO(done, require_complete(job));
  // The layout keeps components of the job's own dictionary, which live in the arena, not the dictionary.
  NF_TRY_GOTO(done, job_dictionary(job, ccd, arena, &dictionary));
  NF_TRY_GOTO(done, layout_create(job, dictionary, options->fix_standalone_glycans, arena, ret_layout));
  features_size_batch(ret_layout, features_padded_tokens(ret_layout->n_tokens, options), arena, ret_batch);
  token_features(ret_layout, dictionary, ret_batch);
  window_features(ret_layout, ret_batch);
  NF_TRY_GOTO(done, msa_features(job, ret_layout, options->resolve_msa_overlaps, ret_batch));
  NF_TRY_GOTO(done, template_features(job, ret_layout, arena, ret_batch));
  NF_TRY_GOTO(done, bond_features(job, ret_layout, ret_batch));
  NF_TRY_GOTO(done, reference_features(job, ret_layout, ret_batch));
  nf_progress_end(&progress);
  // RDKit's part, on all cores, is told apart.
  nf_progress_start(&progress, "conformers", 1);
  nf_arena_mark mark = nf_arena_here(arena);
  NF_TRY_GOTO(done, reference_create(job, ret_layout, seed, options, false, arena, &reference));
  reference_write(ret_layout, &reference, ret_batch);
  NF_TRY_GOTO(done, frame_features(job, ret_layout, options, arena, ret_batch));
  nf_arena_reset(arena, mark);
  NF_TRY_GOTO(done, check_finite(job, ret_batch));
  nf_progress_end(&progress);
done:
  ccd_close(dictionary);
  return status;
}
