// As the reference: residues of a template's only polymer chain are taken by their index, with their atoms in the
// order of the query's dense layout for the TEMPLATE's residue type.
//
// Four things one might not expect, kept because the network learned with them. Empty slots of a dense layout repeat
// atom N (residue_dense_to_atom37). Chains whose tokens have the same names share the templates of the first of them.
// Coordinates are counted over all residues of the file's chains that have atoms, letters over the polymer's alone.
// And features are gathered by a token's place among the residues of all chains, while chains without templates take
// one place a token: behind a nucleic acid with modified residues the two do not meet.
#include "features/template.h"

#include <string.h>

#include "base/map.h"
#include "base/str.h"
#include "structure/structure.h"

enum { MIN_TOKENS = 5 };

// Templates laid over one chain, or nothing but room for one without.
typedef struct {
  int length;        // places it takes: residues if it has templates, else tokens
  int n_templates;   // 0: nothing
  int32_t *aatype;   // (n_templates, length)
  float *positions;  // (n_templates, length, A, 3)
  uint8_t *mask;     // (n_templates, length, A)
} chain_templates;

// One template: residues by the index of the job's templateIndices.
typedef struct {
  nf_structure structure;
  const structure_chain *polymer;
  int n_rows;
  int *rows;  // residue of each index into coordinates; -1 beyond
} template_structure;

static bool is_polymer(const structure_chain *chain) {
  return (chain->kind != NF_LIGAND && chain->kind != NF_WATER) || strcmp(chain->type, "other") == 0;
}

static nf_status open_template(const job_template *t, nf_arena *scratch, template_structure *ret) {
  nf_structure *s = &ret->structure;
  int n_polymers = 0;
  NF_TRY(mmcif_read_structure(t->label, t->mmcif, strlen(t->mmcif), scratch, s));
  if (!s->release_date) {
    return nf_fail(NF_INPUT,
                   "%s: the template has no release date; add _pdbx_audit_revision_history.revision_date (YYYY-MM-DD)",
                   t->label);
  }
  ret->rows = NF_NEW(scratch, int, s->n_residues);
  ret->n_rows = 0;
  for (int c = 0; c < s->n_chains; c++) {
    const structure_chain *chain = &s->chains[c];
    if (is_polymer(chain)) {
      ret->polymer = chain;
      n_polymers++;
    }
    bool resolved = false;
    for (int i = 0; i < chain->n_residues; i++) resolved |= s->residues[chain->first_residue + i].n_atoms > 0;
    for (int i = 0; resolved && i < chain->n_residues; i++) ret->rows[ret->n_rows++] = chain->first_residue + i;
  }
  if (n_polymers != 1) {
    return nf_fail(NF_INPUT, "%s: a template must hold one polymer chain, this one holds %d", t->label, n_polymers);
  }
  return NF_OK;
}

// The residue's class as a template: by its letter, nucleic acids' letters too, as if they were amino acids'.
static int template_class(const structure_chain *chain, const structure_residue *residue) {
  char letter = is_polymer(chain) && chain->kind != NF_LIGAND ? residue_letter(chain->kind, residue->name) : 'X';
  int class_index = msa_class(NF_PROTEIN, letter);
  return class_index < 0 ? NF_CLASS_UNK : class_index;
}

// Lays template t over row `row` (n_residues long) of the chain's features.
static nf_status lay_template(const job_template *t, const template_structure *source, int row, int n_slot,
                              chain_templates *out) {
  const nf_structure *s = &source->structure;
  const structure_chain *polymer = source->polymer;
  int32_t *aatype = out->aatype + (size_t)row * (size_t)out->length;
  for (int i = 0; i < out->length; i++) aatype[i] = NF_CLASS_GAP;
  for (int k = 0; k < t->n_indices; k++) {
    int q = t->query_indices[k], from = t->template_indices[k];
    if (q < 0 || q >= out->length) {
      return nf_fail(NF_INPUT, "%s: queryIndices: %d is not a residue of the chain, which has %d", t->label, q,
                     out->length);
    }
    if (from < 0 || from >= polymer->n_residues) {
      return nf_fail(NF_INPUT, "%s: templateIndices: %d is not a residue of the template, which has %d", t->label, from,
                     polymer->n_residues);
    }
    int class_index = template_class(polymer, &s->residues[polymer->first_residue + from]);
    aatype[q] = class_index;
    const structure_atom *atoms[NF_N_ATOM37] = {0};
    if (from < source->n_rows) {
      const structure_residue *residue = &s->residues[source->rows[from]];
      for (int i = residue->first_atom; i < residue->first_atom + residue->n_atoms; i++) {
        int index = residue_atom37(s->atoms[i].name);
        if (index >= 0) atoms[index] = &s->atoms[i];
      }
    }
    size_t place = ((size_t)row * (size_t)out->length + (size_t)q) * (size_t)n_slot;
    for (int slot = 0; slot < n_slot; slot++) {
      const structure_atom *atom = atoms[residue_dense_to_atom37(class_index, slot)];
      float *position = out->positions + (place + (size_t)slot) * 3;
      out->mask[place + (size_t)slot] = atom != NULL;
      position[0] = atom ? atom->x : 0;
      position[1] = atom ? atom->y : 0;
      position[2] = atom ? atom->z : 0;
    }
  }
  return NF_OK;
}

static nf_status lay_chain(const job_chain *chain, int n_residues, int max_templates, int n_slot, nf_arena *scratch,
                           chain_templates *out) {
  int n = chain->n_templates < 0 ? 0 : chain->n_templates;
  size_t kept = (size_t)(n < max_templates ? n : max_templates), places = (size_t)n_residues;
  *out = (chain_templates){.length = n_residues, .n_templates = (int)kept};
  out->aatype = NF_NEW(scratch, int32_t, kept * places);
  out->positions = NF_NEW(scratch, float, kept *places *(size_t)n_slot * 3);
  out->mask = NF_NEW(scratch, uint8_t, kept * places * (size_t)n_slot);
  nf_status status = NF_OK;
  nf_arena *of_template = nf_arena_create();
  nf_arena_mark start = nf_arena_here(of_template);
  for (int i = 0; i < n; i++) {
    template_structure source = {0};
    NF_TRY_GOTO(done, open_template(&chain->templates[i], of_template, &source));
    if (i < max_templates) NF_TRY_GOTO(done, lay_template(&chain->templates[i], &source, i, n_slot, out));
    nf_arena_reset(of_template, start);
  }
done:
  nf_arena_free(of_template);
  return status;
}

// Names of the chain's tokens: what the reference takes for its sequence when it looks for equal chains.
static void token_names(const nf_layout *layout, const layout_chain *chain, bool skipped, nf_str *out) {
  out->length = 0;
  nf_str_putc(out, skipped ? '-' : '+');
  for (int i = 0; i < chain->n_tokens; i++) {
    nf_str_puts(out, layout->residues[layout->tokens[chain->first_token + i].residue].name);
    nf_str_putc(out, ',');
  }
}

// Copies place `from` of a chain's templates to token `token` of the batch.
static void copy_place(const chain_templates *chain, int from, nf_batch *batch, int token) {
  size_t slots = (size_t)batch->n_slot;
  for (int t = 0; t < chain->n_templates; t++) {
    size_t in = (size_t)t * (size_t)chain->length + (size_t)from,
           out = (size_t)t * (size_t)batch->n_token + (size_t)token;
    batch->template_aatype[out] = chain->aatype[in];
    memcpy(batch->template_atom_mask + out * slots, chain->mask + in * slots, slots);
    memcpy(batch->template_atom_positions + out * slots * 3, chain->positions + in * slots * 3,
           slots * 3 * sizeof(float));
  }
}

nf_status template_features(const nf_job *job, const nf_layout *layout, nf_arena *arena, nf_batch *batch) {
  nf_status status = NF_OK;
  nf_arena_mark start = nf_arena_here(arena);
  nf_map *seen = nf_map_create();
  nf_str key = {0};
  chain_templates *chains = NF_NEW(arena, chain_templates, layout->n_chains);
  for (int c = 0; c < layout->n_chains; c++) {
    const layout_chain *chain = &layout->chains[c];
    bool skipped = chain->kind != NF_PROTEIN || chain->n_tokens < MIN_TOKENS;
    int64_t first;
    token_names(layout, chain, skipped, &key);
    if (nf_map_get(seen, key.data, &first)) {
      chains[c] = chains[first];
      continue;
    }
    nf_map_set(seen, key.data, c);
    if (skipped) {
      chains[c] = (chain_templates){.length = chain->n_tokens};
    } else {
      NF_TRY_GOTO(done, lay_chain(&job->chains[chain->job_chain], chain->n_residues, batch->n_template, batch->n_slot,
                                  arena, &chains[c]));
    }
  }
  // `place` counts a residue of a polymer once, an atom of a ligand once; `first` is where the chain's places begin.
  int place = 0, from = 0, first = 0;
  for (int t = 0; t < layout->n_tokens; t++) {
    const layout_token *token = &layout->tokens[t];
    nf_chain_kind kind = layout->chains[token->chain].kind;
    bool polymer = kind == NF_PROTEIN || kind == NF_RNA || kind == NF_DNA;
    if (t && (!polymer || token->residue != layout->tokens[t - 1].residue)) place++;
    while (place - first >= chains[from].length) first += chains[from++].length;
    copy_place(&chains[from], place - first, batch, t);
  }
done:
  nf_str_free(&key);
  nf_map_free(seen);
  nf_arena_reset(arena, start);
  return status;
}
