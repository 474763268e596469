// A made job and its layout, scores and origin, without a dictionary: protein (one residue modified), RNA, a ligand of
// two sugars, an ion, and a second copy of the protein under a chain id of several letters.
#ifndef NF_TESTS_OUTPUT_FIXTURE_H
#define NF_TESTS_OUTPUT_FIXTURE_H

#include "output/output.h"

typedef struct {
  nf_arena *arena;
  nf_job job;
  nf_layout layout;
  nf_batch batch;
  nf_scores scores;
  output_origin origin;
  output_options options;
} fixture;

typedef struct {
  ccd_component component;
  bool standard;
  const char *atoms;  // "NAME ELEMENT NAME ELEMENT ..."
} fixture_residue;

static const fixture_residue fixture_residues[] = {
    {{.id = "ALA", .name = "ALANINE", .type = "L-PEPTIDE LINKING", .formula = "C3 H7 N O2", .formula_weight = 89.093f},
     true,
     "N N CA C C C O O CB C"},
    {{.id = "SEP",
      .name = "PHOSPHOSERINE",
      .type = "L-PEPTIDE LINKING",
      .formula = "C3 H8 N O6 P",
      .formula_weight = 185.072f,
      .parent = "SER",
      .synonyms = "PHOSPHONOSERINE"},
     false,
     "N N CA C CB C OG O C C O O P P O1P O O2P O O3P O"},
    {{.id = "G",
      .name = "GUANOSINE-5'-MONOPHOSPHATE",
      .type = "RNA LINKING",
      .formula = "C10 H14 N5 O8 P",
      .formula_weight = 363.221f},
     true,
     "P P OP1 O OP2 O O5' O C5' C C4' C C1' C N9 N"},
    {{.id = "NAG",
      .name = "2-acetamido-2-deoxy-beta-D-glucopyranose",
      .type = "D-saccharide, beta linking",
      .formula = "C8 H15 N O6",
      .formula_weight = 221.208f,
      .parent = ""},
     false,
     "C1 C C2 C O3 O O4 O"},
    {{.id = "ZN", .name = "ZINC ION", .type = "NON-POLYMER", .formula = "Zn", .formula_weight = 65.409f},
     false,
     "ZN ZN"},
};

static inline void fixture_add_residue(fixture *f, const char *name) {
  nf_layout *l = &f->layout;
  for (size_t k = 0; k < sizeof fixture_residues / sizeof *fixture_residues; k++) {
    const fixture_residue *kind = &fixture_residues[k];
    if (strcmp(kind->component.id, name) != 0) continue;
    layout_chain *chain = &l->chains[l->n_chains - 1];
    layout_residue *r = &l->residues[l->n_residues];
    *r = (layout_residue){.chain = l->n_chains - 1,
                          .id = ++chain->n_residues,
                          .name = kind->component.id,
                          .component = &kind->component,
                          .standard = kind->standard,
                          .first_token = l->n_tokens,
                          .first_atom = l->n_atoms};
    char words[128];
    strcpy(words, kind->atoms);
    for (char *word = strtok(words, " "); word; word = strtok(NULL, " ")) {
      if (!kind->standard || !r->n_atoms) {
        l->tokens[l->n_tokens++] =
            (layout_token){.chain = r->chain, .residue = l->n_residues, .first_atom = l->n_atoms};
      }
      layout_token *token = &l->tokens[l->n_tokens - 1];
      layout_atom *atom = &l->atoms[l->n_atoms++];
      *atom = (layout_atom){.token = l->n_tokens - 1, .slot = token->n_atoms++, .residue = l->n_residues};
      strcpy(atom->name, word);
      strcpy(atom->element, strtok(NULL, " "));
      r->n_atoms++;
    }
    r->n_tokens = l->n_tokens - r->first_token;
    chain->n_tokens = l->n_tokens - chain->first_token;
    chain->n_atoms = l->n_atoms - chain->first_atom;
    l->n_residues++;
    return;
  }
  NF_ASSERT(!"unknown residue");
}

static inline void fixture_add_chain(fixture *f, const char *id, nf_chain_kind kind) {
  nf_layout *l = &f->layout;
  l->chains[l->n_chains++] = (layout_chain){.id = id,
                                            .kind = kind,
                                            .job_chain = -1,
                                            .first_residue = l->n_residues,
                                            .first_token = l->n_tokens,
                                            .first_atom = l->n_atoms};
}

static inline void fixture_allocate(fixture *f, int n_chains, int n_residues, int n_atoms) {
  f->arena = nf_arena_create();
  f->layout.chains = NF_NEW(f->arena, layout_chain, n_chains);
  f->layout.residues = NF_NEW(f->arena, layout_residue, n_residues);
  f->layout.tokens = NF_NEW(f->arena, layout_token, n_atoms);
  f->layout.atoms = NF_NEW(f->arena, layout_atom, n_atoms);
}

// Scores for the layout as it is: smooth made numbers, nothing undefined.
static inline void fixture_fill_scores(fixture *f) {
  nf_arena *arena = f->arena;
  const nf_layout *l = &f->layout;
  int n = l->n_tokens, c = l->n_chains;
  float *positions = NF_NEW(arena, float, l->n_atoms * 3), *plddt = NF_NEW(arena, float, l->n_atoms);
  float *pae = NF_NEW(arena, float, (size_t)n *(size_t)n), *contact = NF_NEW(arena, float, (size_t)n *(size_t)n);
  for (int i = 0; i < l->n_atoms; i++) {
    for (int k = 0; k < 3; k++) positions[i * 3 + k] = (float)(1.5 * i * (k == 0) + k * 3.25 - 0.0004);
    plddt[i] = (float)(90.0 - 0.37 * (i % 100));
  }
  for (size_t i = 0; i < (size_t)n * (size_t)n; i++) {
    pae[i] = (float)(i % 317) * 0.1f;
    contact[i] = (float)(i % 101) * 0.01f;
  }
  f->batch = (nf_batch){.n_token = n};
  f->batch.residue_index = NF_NEW(arena, int32_t, n);
  for (int i = 0; i < n; i++) f->batch.residue_index[i] = l->residues[l->tokens[i].residue].id;
  f->scores = (nf_scores){.n_tokens = n,
                          .n_chains = c,
                          .n_atoms = l->n_atoms,
                          .positions = positions,
                          .plddt = plddt,
                          .full_pae = pae,
                          .contact_probs = contact,
                          .ptm = 0.8107303106244335,
                          .iptm = 0.6795995262860992,
                          .ranking_score = 0.705825683153766,
                          .fraction_disordered = 0.125};
  f->scores.chain_pair_iptm = NF_NEW(arena, double, c *c);
  f->scores.chain_pair_pae_min = NF_NEW(arena, double, c *c);
  f->scores.iptm_ichain = NF_NEW(arena, double, c);
  f->scores.iptm_xchain = NF_NEW(arena, double, c);
  f->scores.chain_plddt = NF_NEW(arena, double, c);
  f->scores.chirality.chain_checked = NF_NEW(arena, int, c);
  f->scores.chirality.chain_errors = NF_NEW(arena, int, c);
  for (int i = 0; i < c; i++) {
    f->scores.iptm_ichain[i] = 0.5 + 0.011 * i;
    f->scores.iptm_xchain[i] = 0.25 + 0.013 * i;
    f->scores.chain_plddt[i] = 88.88 - i;
    for (int k = 0; k < c; k++) {
      f->scores.chain_pair_iptm[i * c + k] = 0.1 * i + 0.017 * k;
      f->scores.chain_pair_pae_min[i * c + k] = 0.76 + i + 0.1 * k;
    }
  }
}

static inline void fixture_make(fixture *f) {
  *f = (fixture){.job = {.name = "made job", .path = "made.json"},
                 .origin = {.model_name = "toy",
                            .model_notice = "Toy weights: they know nothing.",
                            .has_model_id = true,
                            .version = "0.1"},
                 .options = {.save_terms_of_use = true}};
  strcpy((char *)f->origin.model_id, "toy-0123");
  fixture_allocate(f, 5, 16, 128);
  fixture_add_chain(f, "A", NF_PROTEIN);
  fixture_add_residue(f, "ALA");
  fixture_add_residue(f, "SEP");
  fixture_add_residue(f, "ALA");
  fixture_add_chain(f, "B", NF_RNA);
  fixture_add_residue(f, "G");
  fixture_add_residue(f, "G");
  fixture_add_chain(f, "C", NF_LIGAND);
  fixture_add_residue(f, "NAG");
  fixture_add_residue(f, "NAG");
  fixture_add_chain(f, "Z", NF_LIGAND);
  fixture_add_residue(f, "ZN");
  fixture_add_chain(f, "BAAA", NF_PROTEIN);
  fixture_add_residue(f, "ALA");
  fixture_add_residue(f, "SEP");
  fixture_add_residue(f, "ALA");
  fixture_fill_scores(f);
}

static inline void fixture_free(fixture *f) { nf_arena_free(f->arena); }

#endif
