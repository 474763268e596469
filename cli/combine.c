// combine: several searched jobs to one complex, so that n + m searches serve n x m complexes.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/str.h"
#include "cli/cli.h"
#include "cli/flags.h"
#include "input/job.h"

typedef struct {
  const char *output, *name;
} combine_options;

static const flag_spec specs[] = {
    FLAG(FLAG_STRING, combine_options, output, NULL, "The job file to write. Default: NAME_data.json, here."),
    FLAG(FLAG_STRING, combine_options, name, NULL, "The complex's name. Default: the names of its parts."),
};
enum { N_SPECS = sizeof specs / sizeof *specs };

// The n-th chain id in the order A B .. Z AA BA .. ZA AB .., as mmCIF files count.
static const char *nth_id(int n, nf_arena *arena) {
  char id[16];
  int length = 0;
  for (n++; n > 0; n = (n - 1) / 26) id[length++] = (char)('A' + (n - 1) % 26);
  return nf_arena_strndup(arena, id, (size_t)length);
}

// Chains keep their ids; one that is taken gets the first that is free.
static void rename_chains(const nf_job *job, nf_map *taken, nf_map *reserved, nf_arena *arena, job_chain *chains) {
  int next = 0;
  for (int i = 0; i < job->n_chains; i++) {
    chains[i] = job->chains[i];
    int64_t unused;
    if (nf_map_add(taken, chains[i].id, 1)) continue;
    const char *id;
    do {
      id = nth_id(next++, arena);
    } while (nf_map_get(taken, id, &unused) || nf_map_get(reserved, id, &unused));
    nf_map_add(taken, id, 1);
    nf_note("%s: chain %s becomes %s", job->path, chains[i].id, id);
    chains[i].id = id;
  }
}

static const char *renamed(const nf_job *job, const job_chain *chains, const char *id) {
  for (int i = 0; i < job->n_chains; i++) {
    if (strcmp(job->chains[i].id, id) == 0) return chains[i].id;
  }
  return id;
}

static nf_status combine(int n, const char **paths, const combine_options *options, nf_arena *arena) {
  nf_job *jobs = NF_NEW(arena, nf_job, n), all;
  nf_status status = NF_OK;
  int n_chains = 0, n_bonds = 0, n_entities = 0;
  nf_map *taken = nf_map_create(), *reserved = nf_map_create();
  for (int i = 0; i < n; i++) {
    NF_TRY_GOTO(done, job_read(paths[i], arena, &jobs[i]));
    n_chains += jobs[i].n_chains;
    n_bonds += jobs[i].n_bonds;
    // An id that a later part uses is not given away.
    for (int c = 0; c < jobs[i].n_chains; c++) nf_map_add(reserved, jobs[i].chains[c].id, 1);
  }
  all = jobs[0];
  job_chain *chains = NF_NEW(arena, job_chain, n_chains);
  job_bond *bonds = NF_NEW(arena, job_bond, n_bonds);
  n_chains = n_bonds = 0;
  const char *name = "", *user_ccd = NULL;
  for (int i = 0; i < n; i++) {
    const nf_job *job = &jobs[i];
    job_chain *own = chains + n_chains;
    rename_chains(job, taken, reserved, arena, own);
    int entities = 0;
    for (int c = 0; c < job->n_chains; c++) {
      if (own[c].entity >= entities) entities = own[c].entity + 1;
      own[c].entity += n_entities;
    }
    for (int b = 0; b < job->n_bonds; b++) {
      bonds[n_bonds] = job->bonds[b];
      bonds[n_bonds].chain1 = renamed(job, own, job->bonds[b].chain1);
      bonds[n_bonds++].chain2 = renamed(job, own, job->bonds[b].chain2);
    }
    n_entities += entities;
    n_chains += job->n_chains;
    if (job->version > all.version) all.version = job->version;
    if (job->user_ccd && user_ccd && strcmp(job->user_ccd, user_ccd) != 0) {
      user_ccd = nf_arena_printf(arena, "%s\n%s", user_ccd, job->user_ccd);
    } else if (job->user_ccd) {
      user_ccd = job->user_ccd;
    }
    name = nf_arena_printf(arena, "%s%s%s", name, i ? "_" : "", job->name);
  }
  all.name = options->name ? options->name : name;
  all.n_chains = n_chains;
  all.chains = chains;
  all.n_bonds = n_bonds;
  all.bonds = bonds;
  all.user_ccd = user_ccd;
  const char *output = options->output;
  if (!output) output = nf_arena_printf(arena, "%s_data.json", job_sanitised_name(&all, arena));
  NF_TRY_GOTO(done, job_write(&all, output));
  nf_note("%s: %d chains, the seeds of %s", output, n_chains, paths[0]);
done:
  nf_map_free(taken);
  nf_map_free(reserved);
  return status;
}

int cli_combine(int argc, char **argv) {
  static const char usage[] = "nativefold combine A_data.json B_data.json... [--output=AB_data.json]";
  nf_arena *arena = nf_arena_create();
  combine_options options;
  flag_result result;
  nf_status status = flags_parse("nativefold combine", specs, N_SPECS, argc - 1, argv + 1, arena, &options, &result);
  if (status == NF_OK && result.help) {
    flags_help(stdout, usage, "Makes one job of several, with their MSAs and templates.", specs, N_SPECS);
  } else if (status == NF_OK && result.n_arguments < 2) {
    status = nf_fail(NF_INPUT, "combine: name two or more job files");
  } else if (status == NF_OK) {
    status = combine(result.n_arguments, result.arguments, &options, arena);
  }
  if (status != NF_OK) cli_fail(status);
  nf_arena_free(arena);
  return status;
}
