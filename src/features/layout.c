// From chains to tokens and atom slots: which chains are kept, in which order, which atoms of each residue are
// predicted, and which of them share a token.
#include "features/layout.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/map.h"
#include "base/str.h"
#include "chem/elements.h"

// A chain of the job with its residues' codes, before the layout.
typedef struct {
  const job_chain *chain;
  int job_chain;
  int n_codes;
  const char *const *codes;
  int64_t first;  // its first residue among those of all candidates
} candidate;

// What the job's bonds say of a residue, by bits.
enum {
  IS_NAMED = 1,      // a bond names it, so the reference remembers it by its bonded atoms
  NAMES_HEAVY = 2,   // one of them is no hydrogen
  NAMES_OXT = 4,     // one of them is OXT
  IS_LINKED = 8,     // a bond that the network is told of holds it
  IS_LINKED_O1 = 16  // one holds it by its O1
};

// A < B < ... < Z < AA < BA < ... < AB: shorter ids first, then by the last letter.
static int compare_ids(const void *a, const void *b) {
  const char *x = ((const candidate *)a)->chain->id, *y = ((const candidate *)b)->chain->id;
  size_t m = strlen(x), n = strlen(y);
  if (m != n) return m < n ? -1 : 1;
  while (n-- > 0) {
    if (x[n] != y[n]) return (unsigned char)x[n] < (unsigned char)y[n] ? -1 : 1;
  }
  return 0;
}

static const char *kind_name(nf_chain_kind kind) {
  switch (kind) {
    case NF_PROTEIN:
      return "protein";
    case NF_RNA:
      return "rna";
    case NF_DNA:
      return "dna";
    default:
      return "ligand";
  }
}

static nf_status require(const nf_job *job, const candidate *c, int residue, const nf_ccd *ccd, const char *code,
                         const ccd_component **ret) {
  *ret = ccd_find(ccd, code);
  if (!*ret) {
    nf_str where = {0};
    nf_str_printf(&where, "%s: %s %s, residue %d", job->path, kind_name(c->chain->kind), c->chain->id, residue + 1);
    nf_status status = ccd_require(ccd, where.data, code, ret);
    nf_str_free(&where);
    if (status != NF_OK) return status;
  }
  if ((*ret)->n_atoms == 0) {
    return nf_fail(NF_INPUT, "%s: %s %s, residue %d: the component %s has no atoms and cannot be predicted", job->path,
                   kind_name(c->chain->kind), c->chain->id, residue + 1, code);
  }
  return NF_OK;
}

// The component whose atoms are laid out. The dictionary's UNK carries side chain atoms; the layout's is glycine.
static nf_status require_atoms(const nf_job *job, const candidate *c, int residue, const nf_ccd *ccd, const char *code,
                               const ccd_component **ret) {
  return require(job, c, residue, ccd, strcmp(code, "UNK") == 0 ? "GLY" : code, ret);
}

// The atom by which the reference remembers a residue until its atoms are listed. It decides two oddities: a chain
// remembered by hydrogens alone is lost, and a residue remembered by OXT counts as the end of its chain.
static const ccd_atom *representative(const ccd_component *component) {
  const ccd_atom *first = &component->atoms[0];
  return strcmp(first->name, "O1") == 0 && component->n_atoms > 1 ? first + 1 : first;
}

static bool is_polymer(nf_chain_kind kind) { return kind == NF_PROTEIN || kind == NF_RNA || kind == NF_DNA; }

// One end of a bond of the job.
typedef struct {
  int64_t residue;  // among those of all candidates
  bool polymer;
  const ccd_atom *atom;
} bond_end;

static nf_status refuse_atom(const nf_job *job, int bond, const job_bond *b, bool second,
                             const ccd_component *component) {
  nf_str names = {0};
  for (int i = 0; i < component->n_atoms && names.length < 300; i++) {
    if (!element_is_hydrogen(component->atoms[i].element)) {
      nf_str_printf(&names, "%s%s", names.length ? " " : "", component->atoms[i].name);
    }
  }
  nf_status status =
      nf_fail(NF_INPUT, "%s: bondedAtomPairs[%d]: residue %d of chain %s, %s, has no atom \"%.20s\", but %s", job->path,
              bond, second ? b->residue2 : b->residue1, second ? b->chain2 : b->chain1, component->id,
              second ? b->atom2 : b->atom1, names.data ? names.data : "hydrogens alone");
  nf_str_free(&names);
  return status;
}

static nf_status find_end(const nf_job *job, int bond, bool second, const candidate *candidates, const nf_map *chains,
                          const ccd_component *const *components, bond_end *ret_end) {
  const job_bond *b = &job->bonds[bond];
  const char *atom = second ? b->atom2 : b->atom1;
  int64_t c;
  bool found = nf_map_get(chains, second ? b->chain2 : b->chain1, &c);
  NF_ASSERT(found);  // seen when the job was read
  ret_end->residue = candidates[c].first + (second ? b->residue2 : b->residue1) - 1;
  ret_end->polymer = is_polymer(candidates[c].chain->kind);
  const ccd_component *component = components[ret_end->residue];
  int index = ccd_atom_index(component, atom);
  if (index < 0) return refuse_atom(job, bond, b, second, component);
  ret_end->atom = &component->atoms[index];
  return NF_OK;
}

// Finds the atoms of the job's bonds: ends (n_bonds, 2), kept (n_bonds): whether the network is told of it; marks
// (n_residues): what the bonds say of each residue.
static nf_status find_bonds(const nf_job *job, const candidate *candidates, const ccd_component *const *components,
                            bond_end (*ends)[2], bool *kept, uint8_t *marks) {
  nf_status status = NF_OK;
  nf_map *chains = nf_map_create();
  for (int i = 0; i < job->n_chains; i++) nf_map_set(chains, candidates[i].chain->id, i);
  for (int i = 0; i < job->n_bonds; i++) {
    const job_bond *b = &job->bonds[i];
    const char *why = NULL;
    for (int k = 0; k < 2; k++) {
      NF_TRY_GOTO(done, find_end(job, i, k, candidates, chains, components, &ends[i][k]));
      const ccd_atom *atom = ends[i][k].atom;
      bool heavy = !element_is_hydrogen(atom->element);
      if (!heavy) why = "names a hydrogen, which is not predicted";
      marks[ends[i][k].residue] |=
          (uint8_t)(IS_NAMED | (heavy ? NAMES_HEAVY : 0) | (strcmp(atom->name, "OXT") == 0 ? NAMES_OXT : 0));
    }
    if (ends[i][0].polymer && ends[i][1].polymer) {
      why = "is between polymers, of which the network is not told";
    } else if (ends[i][0].residue == ends[i][1].residue) {
      why = "is within a residue, whose bonds are known";
    }
    kept[i] = !why;
    if (why) {
      nf_warn("%s: bondedAtomPairs[%d]: the bond of %s %d %s and %s %d %s %s: it is dropped", job->path, i, b->chain1,
              b->residue1, b->atom1, b->chain2, b->residue2, b->atom2, why);
    }
    for (int k = 0; k < 2 && kept[i]; k++) {
      marks[ends[i][k].residue] |= (uint8_t)(IS_LINKED | (strcmp(ends[i][k].atom->name, "O1") == 0 ? IS_LINKED_O1 : 0));
    }
  }
done:
  nf_map_free(chains);
  return status;
}

static int find_atom(const nf_layout *l, const layout_residue *residue, const char *name) {
  for (int i = residue->first_atom; i < residue->first_atom + residue->n_atoms; i++) {
    if (strcmp(l->atoms[i].name, name) == 0) return i;
  }
  return -1;
}

// placed (of all candidates' residues): index in the layout; -1 if its chain is left out.
static void place_bonds(const nf_job *job, nf_layout *l, const bond_end (*ends)[2], const bool *kept,
                        const int *placed) {
  for (int i = 0; i < job->n_bonds; i++) {
    if (!kept[i]) continue;
    int atoms[2];
    for (int k = 0; k < 2; k++) {
      int residue = placed[ends[i][k].residue];
      atoms[k] = residue < 0 ? -1 : find_atom(l, &l->residues[residue], ends[i][k].atom->name);
    }
    if (atoms[0] < 0 || atoms[1] < 0) {
      const job_bond *b = &job->bonds[i];
      nf_warn(
          "%s: bondedAtomPairs[%d]: the bond of %s %d %s and %s %d %s names an atom that is not predicted: it is "
          "dropped",
          job->path, i, b->chain1, b->residue1, b->atom1, b->chain2, b->residue2, b->atom2);
      continue;
    }
    l->bonds[l->n_bonds++] =
        (layout_bond){.atom1 = atoms[0], .atom2 = atoms[1], .to_polymer = ends[i][0].polymer || ends[i][1].polymer};
  }
}

// Whether the atom is lost to a bond with a neighbour (or, in sugars, to the bond one expects there).
static bool is_dropped(nf_chain_kind kind, const ccd_component *component, const ccd_atom *atom, bool is_start,
                       bool is_end, bool keep_glycan_o1) {
  if (element_is_hydrogen(atom->element)) return true;
  switch (kind) {
    case NF_PROTEIN:
      return !is_end && strcmp(atom->name, "OXT") == 0;
    case NF_RNA:
    case NF_DNA:
      return !is_start && strcmp(atom->name, "OP3") == 0;
    default:
      return !keep_glycan_o1 && strcmp(atom->name, "O1") == 0 &&
             (ccd_is_glycan_linking(component) || ccd_is_glycan_other(component));
  }
}

static nf_status add_residue(const nf_job *job, nf_layout *l, const candidate *c, const ccd_component *component,
                             const ccd_component *atoms_of, const char *code, int number, bool is_start, bool is_end,
                             bool keep_glycan_o1) {
  nf_chain_kind kind = c->chain->kind;
  layout_chain *chain = &l->chains[l->n_chains];
  layout_residue *residue = &l->residues[l->n_residues];
  *residue = (layout_residue){.chain = l->n_chains,
                              .id = number,
                              .name = code,
                              .component = component,
                              .standard = residue_is_one_token(kind, code),
                              .first_token = l->n_tokens,
                              .first_atom = l->n_atoms};
  const char *center = is_polymer(kind) ? residue_center_atom(kind) : NULL;
  int slot = 0, center_slot = -1;
  for (int i = 0; i < atoms_of->n_atoms; i++) {
    const ccd_atom *source = &atoms_of->atoms[i];
    bool dropped = is_dropped(kind, atoms_of, source, is_start, is_end, keep_glycan_o1);
    // In a residue of one token an atom that is lost keeps its slot, so that every atom has the same slot everywhere.
    if (dropped && residue->standard && !element_is_hydrogen(source->element)) slot++;
    if (dropped) continue;
    if (residue->standard && slot >= NF_DENSE_ATOMS) {
      return nf_fail(NF_INPUT, "%s: %s %s, residue %d: %s has more than %d atoms, more than one token can hold",
                     job->path, kind_name(kind), c->chain->id, number, code, NF_DENSE_ATOMS);
    }
    if (!residue->standard) {
      l->tokens[l->n_tokens++] =
          (layout_token){.chain = l->n_chains, .residue = l->n_residues, .first_atom = l->n_atoms, .n_atoms = 1};
    }
    layout_atom *atom = &l->atoms[l->n_atoms++];
    *atom = (layout_atom){.token = residue->standard ? l->n_tokens : l->n_tokens - 1,
                          .slot = residue->standard ? slot++ : 0,
                          .residue = l->n_residues};
    memcpy(atom->name, source->name, sizeof atom->name);
    memcpy(atom->element, source->element, sizeof atom->element);
    if (residue->standard && (center_slot < 0 || (center && strcmp(atom->name, center) == 0))) center_slot = atom->slot;
  }
  residue->n_atoms = l->n_atoms - residue->first_atom;
  if (residue->standard && residue->n_atoms > 0) {
    l->tokens[l->n_tokens++] = (layout_token){.chain = l->n_chains,
                                              .residue = l->n_residues,
                                              .center = center_slot,
                                              .first_atom = residue->first_atom,
                                              .n_atoms = residue->n_atoms};
  }
  residue->n_tokens = l->n_tokens - residue->first_token;
  chain->n_residues++;
  chain->n_tokens += residue->n_tokens;
  chain->n_atoms += residue->n_atoms;
  l->n_residues++;
  return NF_OK;
}

static bool same_tokens(const nf_layout *l, const layout_chain *a, const layout_chain *b) {
  if (a->n_tokens != b->n_tokens) return false;
  for (int i = 0; i < a->n_tokens; i++) {
    const char *x = l->residues[l->tokens[a->first_token + i].residue].name;
    const char *y = l->residues[l->tokens[b->first_token + i].residue].name;
    if (strcmp(x, y) != 0) return false;
  }
  return true;
}

// Chains whose tokens read the same are copies of one entity, whatever entry of the job they came from.
static void number_entities(nf_layout *l) {
  int n_entities = 0;
  for (int i = 0; i < l->n_chains; i++) {
    layout_chain *chain = &l->chains[i];
    chain->sym_id = 1;
    for (int j = i - 1; j >= 0 && !chain->entity_id; j--) {
      if (!same_tokens(l, chain, &l->chains[j])) continue;
      chain->entity_id = l->chains[j].entity_id;
      chain->sym_id = l->chains[j].sym_id + 1;
    }
    if (!chain->entity_id) chain->entity_id = ++n_entities;
  }
}

// Whether the reference keeps the chain: not if it is one unknown residue repeated, nor if hydrogens alone stand for
// its residues.
static bool is_kept(const candidate *c, const ccd_component *const *atoms_of, const uint8_t *marks) {
  bool unknown = residue_is_unknown(c->codes[0]), heavy = false;
  for (int i = 0; i < c->n_codes; i++) {
    if (strcmp(c->codes[i], c->codes[0]) != 0) unknown = false;
    if (marks[i] & IS_NAMED) {
      heavy = heavy || (marks[i] & NAMES_HEAVY);
    } else {
      heavy = heavy || atoms_of[i]->from_smiles || !element_is_hydrogen(representative(atoms_of[i])->element);
    }
  }
  return heavy && !unknown;
}

nf_status layout_create(const nf_job *job, const nf_ccd *ccd, bool fix_standalone_glycans, nf_arena *arena,
                        nf_layout *ret_layout) {
  candidate *candidates = NF_NEW(arena, candidate, job->n_chains);
  int64_t n_residues = 0;
  for (int i = 0; i < job->n_chains; i++) {
    const job_chain *chain = &job->chains[i];
    candidate *c = &candidates[i];
    *c = (candidate){.chain = chain, .job_chain = i};
    c->codes = job_chain_residues(chain, arena, &c->n_codes);
    if (c->n_codes == 0) {
      return nf_fail(NF_INPUT, "%s: %s %s: it has no residues", job->path, kind_name(chain->kind), chain->id);
    }
    n_residues += c->n_codes;
  }
  qsort(candidates, (size_t)job->n_chains, sizeof *candidates, compare_ids);

  // The components of all residues first: their atoms bound the sizes.
  const ccd_component **components = NF_NEW(arena, const ccd_component *, n_residues);
  const ccd_component **atoms_of = NF_NEW(arena, const ccd_component *, n_residues);
  int64_t n_atoms = 0, at = 0;
  for (int i = 0; i < job->n_chains; i++) {
    candidate *c = &candidates[i];
    c->first = at;
    for (int r = 0; r < c->n_codes; r++, at++) {
      NF_TRY(require(job, c, r, ccd, c->codes[r], &components[at]));
      NF_TRY(require_atoms(job, c, r, ccd, c->codes[r], &atoms_of[at]));
      n_atoms += atoms_of[at]->n_atoms;
    }
  }
  if (n_atoms > INT32_MAX / NF_DENSE_ATOMS) {
    return nf_fail(NF_INPUT, "%s: sequences: %lld atoms are more than the features can number", job->path,
                   (long long)n_atoms);
  }

  bond_end(*ends)[2] = nf_arena_calloc(arena, (size_t)job->n_bonds, sizeof *ends);
  bool *bond_kept = NF_NEW(arena, bool, job->n_bonds);
  uint8_t *marks = NF_NEW(arena, uint8_t, n_residues);
  NF_TRY(find_bonds(job, candidates, components, ends, bond_kept, marks));

  nf_layout l = {0};
  l.chains = NF_NEW(arena, layout_chain, job->n_chains);
  l.residues = NF_NEW(arena, layout_residue, n_residues);
  l.tokens = NF_NEW(arena, layout_token, n_atoms);
  l.atoms = NF_NEW(arena, layout_atom, n_atoms);
  l.bonds = NF_NEW(arena, layout_bond, job->n_bonds);
  int *placed = NF_NEW(arena, int, n_residues);
  for (int i = 0; i < job->n_chains; i++) {
    const candidate *c = &candidates[i];
    const ccd_component *const *component = components + c->first, *const *atoms = atoms_of + c->first;
    const uint8_t *mark = marks + c->first;
    for (int r = 0; r < c->n_codes; r++) placed[c->first + r] = -1;
    if (!is_kept(c, atoms, mark)) {
      nf_warn("%s: %s %s holds nothing that can be predicted and is left out", job->path, kind_name(c->chain->kind),
              c->chain->id);
      continue;
    }
    layout_chain *chain = &l.chains[l.n_chains];
    *chain = (layout_chain){.id = c->chain->id,
                            .kind = c->chain->kind,
                            .job_chain = c->job_chain,
                            .first_residue = l.n_residues,
                            .first_token = l.n_tokens,
                            .first_atom = l.n_atoms};
    char *letters = is_polymer(chain->kind) ? nf_arena_calloc(arena, (size_t)c->n_codes + 1, 1) : NULL;
    for (int r = 0; r < c->n_codes; r++) {
      bool remembered_by_oxt =
          mark[r] & IS_NAMED ? mark[r] & NAMES_OXT : strcmp(representative(atoms[r])->name, "OXT") == 0;
      bool is_end = r == c->n_codes - 1 || remembered_by_oxt;
      bool keep_o1 = mark[r] & IS_LINKED_O1 || (fix_standalone_glycans && !(mark[r] & IS_LINKED));
      placed[c->first + r] = l.n_residues;
      NF_TRY(add_residue(job, &l, c, component[r], atoms[r], c->codes[r], r + 1, r == 0, is_end, keep_o1));
      if (letters) letters[r] = residue_letter(chain->kind, c->codes[r]);
    }
    chain->sequence = letters;
    l.n_chains++;
  }
  if (l.n_tokens == 0) {
    return nf_fail(NF_INPUT, "%s: sequences: no chain holds a residue that can be predicted", job->path);
  }
  number_entities(&l);
  place_bonds(job, &l, (const bond_end(*)[2])ends, bond_kept, placed);
  *ret_layout = l;
  return NF_OK;
}
