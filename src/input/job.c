// What can be said of a job once it is read.
#include "input/job.h"

#include <ctype.h>
#include <string.h>

#include "base/str.h"
#include "chem/conformer.h"

const char *job_kind_name(nf_chain_kind kind) {
  static const char *const names[] = {"protein", "rna", "dna", "ligand", "water"};
  return names[kind];
}

int job_chain_length(const job_chain *chain) {
  if (chain->smiles) return 1;
  if (chain->kind == NF_LIGAND) return chain->n_codes;
  return (int)strlen(chain->sequence);
}

const char **job_chain_residues(const job_chain *chain, nf_arena *arena, int *ret_n) {
  int n = job_chain_length(chain);
  const char **codes = NF_NEW(arena, const char *, n + 1);
  for (int i = 0; i < n; i++) {
    codes[i] = chain->smiles              ? nf_arena_printf(arena, "LIG_%s", chain->id)
               : chain->kind == NF_LIGAND ? chain->codes[i]
                                          : residue_code(chain->kind, chain->sequence[i]);
  }
  // The last modification of a position counts.
  for (int i = 0; i < chain->n_modifications; i++)
    codes[chain->modifications[i].position - 1] = chain->modifications[i].code;
  *ret_n = n;
  return codes;
}

const char *job_chain_letters(const job_chain *chain, nf_arena *arena) {
  int n;
  const char **codes = job_chain_residues(chain, arena, &n);
  char *letters = nf_arena_calloc(arena, (size_t)n + 1, 1);
  for (int i = 0; i < n; i++) letters[i] = residue_letter(chain->kind, codes[i]);
  return letters;
}

nf_status job_dictionary(const nf_job *job, const nf_ccd *ccd, nf_arena *arena, nf_ccd **ret_dictionary) {
  nf_ccd *own = ccd_overlay(ccd, arena);
  nf_status status = NF_OK;
  nf_str label = {0};
  *ret_dictionary = NULL;
  if (job->user_ccd) {
    nf_str_printf(&label, "%s: userCCD", job->path);
    NF_TRY_GOTO(fail, ccd_overlay_read(own, label.data, job->user_ccd, strlen(job->user_ccd)));
  }
  for (int i = 0; i < job->n_chains; i++) {
    const job_chain *chain = &job->chains[i];
    if (!chain->smiles) continue;
    int n;
    const char *code = job_chain_residues(chain, arena, &n)[0];
    nf_str_free(&label);
    nf_str_printf(&label, "%s: ligand %s: smiles", job->path, chain->id);
    if (ccd_find(own, code)) {
      status = nf_fail(NF_INPUT, "%s: would be named %s, which is a component already, give the ligand another id",
                       label.data, code);
      goto fail;
    }
    NF_TRY_GOTO(fail, conformer_add_smiles(own, label.data, code, chain->smiles));
  }
  nf_str_free(&label);
  *ret_dictionary = own;
  return NF_OK;
fail:
  nf_str_free(&label);
  ccd_close(own);
  return status;
}

const char *job_sanitised_name(const nf_job *job, nf_arena *arena) {
  char *name = nf_arena_strdup(arena, job->name);
  char *to = name;
  for (const char *from = job->name; *from; from++) {
    unsigned char c = (unsigned char)*from;
    if (c == ' ') *to++ = '_';
    if (c < 0x80 && (isalnum(c) || c == '_' || c == '-' || c == '.')) *to++ = (char)c;
  }
  *to = '\0';
  return name;
}

nf_status job_check_filled(const nf_job *job, bool will_search) {
  for (int i = 0; i < job->n_chains; i++) {
    const job_chain *c = &job->chains[i];
    bool has_unpaired = c->unpaired_msa, has_paired = c->paired_msa, has_templates = c->n_templates >= 0;
    const char *missing = NULL;
    if (c->kind == NF_RNA && !has_unpaired) missing = "unpairedMsa";
    if (c->kind == NF_PROTEIN) {
      missing = !has_unpaired ? "unpairedMsa" : !has_paired ? "pairedMsa" : !has_templates ? "templates" : NULL;
    }
    if (!missing) continue;
    if (!will_search) {
      return nf_fail(NF_INPUT, "%s: %s %s: %s: is not set and no search is run, set it (%s for none)", job->path,
                     job_kind_name(c->kind), c->id, missing, strcmp(missing, "templates") == 0 ? "[]" : "\"\"");
    }
    // In an alignment they would be insertions.
    const char *small = c->sequence;
    while (*small && !(*small >= 'a' && *small <= 'z')) small++;
    if (*small) {
      return nf_fail(NF_INPUT, "%s: %s %s: sequence: '%c' at %d is no residue that can be searched for, write capitals",
                     job->path, job_kind_name(c->kind), c->id, *small, (int)(small - c->sequence) + 1);
    }
    // A search fills both MSAs or neither, and templates only where none were given.
    bool fills_msas = !has_unpaired && !has_paired && c->n_templates <= 0, fills_templates = has_unpaired && has_paired;
    if (c->kind == NF_PROTEIN && !fills_msas && !fills_templates) {
      return nf_fail(
          NF_INPUT,
          "%s: %s %s: %s: is not set although others of unpairedMsa, pairedMsa and templates are, set all of "
          "them (\"\" and [] for none)",
          job->path, job_kind_name(c->kind), c->id, missing);
    }
  }
  return NF_OK;
}
