// The files of a job: a sample's three or four, the terms of use, the ranking, and the directory they go to.
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/str.h"
#include "output/confidences.h"
#include "output/mmcif.h"
#include "output/number.h"
#include "output/output.h"
#include "output/outfile.h"
#include "output/pdb.h"

nf_status output_write_sample(const char *dir, const char *prefix, const nf_job *job, const nf_layout *layout,
                              const nf_batch *batch, const nf_scores *scores, const output_origin *origin,
                              const output_options *options) {
  NF_ASSERT(scores->n_atoms == layout->n_atoms && scores->n_tokens == layout->n_tokens &&
            scores->n_chains == layout->n_chains && batch->n_token >= layout->n_tokens);
  enum { MODEL, FULL, SUMMARY, PDB, N_FILES };
  static const char *const endings[] = {"model.cif", "confidences.json", "summary_confidences.json", "model.pdb"};
  int n_files = PDB;
  outfile *sinks[N_FILES] = {NULL};
  nf_arena *arena = nf_arena_create();
  nf_str cif = {0}, pdb = {0};
  bool is_new = !nf_dir_exists(dir);
  nf_status status;
  NF_TRY_GOTO(done, mmcif_append(&cif, job, layout, scores, origin, options, arena));
  NF_TRY_GOTO(done, nf_dir_create(dir));
  if (options->pdb) {
    const char *obstacle = pdb_obstacle(layout, scores, arena);
    if (obstacle) {
      nf_warn("%s: no PDB file is written, as %s; the mmCIF has it all", job->name, obstacle);
    } else {
      pdb_append(&pdb, job, layout, scores, origin, options, arena);
      n_files = N_FILES;
    }
  }
  for (int i = 0; i < n_files; i++) {
    const char *path = nf_arena_printf(arena, "%s/%s_%s", dir, prefix, endings[i]);
    NF_TRY_GOTO(done, outfile_open(path, options->compress && i != SUMMARY, &sinks[i]));
  }
  outfile_write(sinks[MODEL], cif.data, cif.length);
  confidences_write_full(sinks[FULL], layout, batch, scores, options->save_pde);
  confidences_write_summary(sinks[SUMMARY], layout, scores);
  if (n_files > PDB) outfile_write(sinks[PDB], pdb.data, pdb.length);
  for (int i = 0; i < n_files; i++) NF_TRY_GOTO(done, outfile_finish(sinks[i]));
  for (int i = 0; i < n_files; i++) {
    outfile *s = sinks[i];
    sinks[i] = NULL;
    NF_TRY_GOTO(done, outfile_commit(s));
  }
done:
  for (int i = 0; i < N_FILES; i++) outfile_abandon(sinks[i]);
  if (status != NF_OK && is_new) (void)rmdir(dir);  // stays if something is in it
  nf_str_free(&cif);
  nf_str_free(&pdb);
  nf_arena_free(arena);
  return status;
}

extern const char output_terms_begin[], output_terms_end[];  // terms.S

nf_status output_write_terms(const char *dir, const output_origin *origin, const output_options *options) {
  if (!origin->is_alphafold3 || !options->save_terms_of_use) return NF_OK;
  nf_str path = {0};
  nf_str_printf(&path, "%s/TERMS_OF_USE.md", dir);
  nf_status status = nf_file_write(path.data, output_terms_begin, (size_t)(output_terms_end - output_terms_begin));
  nf_str_free(&path);
  return status;
}

nf_status output_write_ranking(const char *dir, const char *name, const output_rank *ranks, int n) {
  nf_str path = {0}, text = {0};
  nf_str_printf(&path, "%s/%s_ranking_scores.csv", dir, name);
  nf_str_puts(&text, "seed,sample,ranking_score\r\n");  // Python's csv ends lines as RFC 4180 asks
  for (int i = 0; i < n; i++) {
    char score[NUMBER_REPR_SIZE];
    number_repr(ranks[i].ranking_score, score);
    nf_str_printf(&text, "%u,%d,%s\r\n", (unsigned)ranks[i].seed, ranks[i].sample, score);
  }
  nf_status status = nf_file_write(path.data, text.data, text.length);
  nf_str_free(&path);
  nf_str_free(&text);
  return status;
}

int output_best(const output_rank *ranks, int n) {
  int best = n > 0 ? 0 : -1;
  for (int i = 1; i < n; i++) {
    double score = ranks[i].ranking_score, top = ranks[best].ranking_score;
    if (score > top || (top != top && score == score)) best = i;
  }
  return best;
}

nf_status output_job_dir(const char *output_dir, const char *name, bool force, nf_arena *arena, const char **ret_dir) {
  if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) {
    return nf_fail(NF_INPUT,
                   "name: \"%s\" cannot be the name of a directory; give the job a name with letters or digits", name);
  }
  const char *plain = nf_arena_printf(arena, "%s/%s", *output_dir ? output_dir : ".", name), *dir = plain;
  if (nf_file_exists(plain) && !nf_dir_exists(plain)) {
    return nf_fail(NF_INPUT, "%s: is a file, not a directory; move it away or choose another --output_dir", plain);
  }
  if (!force && !nf_dir_is_empty(plain)) {
    time_t now = time(NULL);
    struct tm local;
    char stamp[32] = "";
    if (localtime_r(&now, &local)) strftime(stamp, sizeof stamp, "_%Y%m%d_%H%M%S", &local);
    dir = nf_arena_printf(arena, "%s%s", plain, stamp);
    // Two runs within a second must not share a directory.
    for (int i = 2; !nf_dir_is_empty(dir); i++) dir = nf_arena_printf(arena, "%s%s_%d", plain, stamp, i);
    nf_note("%s holds files already: writing to %s", plain, dir);
  }
  NF_TRY(nf_dir_create(dir));
  *ret_dir = dir;
  return NF_OK;
}
