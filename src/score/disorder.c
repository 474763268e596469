// Disorder from solvent accessibility: AlphaFold-RSA, Piovesan, Monzon, Tosatto 2022, PMC9601767.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "score/score.h"
#include "structure/structure.h"

enum { WINDOW = 25 };
static const double THRESHOLD = 0.581;

// Largest accessible surface of a residue, square angstrom: Rost and Sander 1994, doi:10.1002/prot.340200303.
static const struct {
  const char code[4];
  double area;
} largest[] = {{"ALA", 106}, {"ARG", 248}, {"ASN", 157}, {"ASP", 163}, {"CYS", 135}, {"GLN", 198}, {"GLU", 194},
               {"GLY", 84},  {"HIS", 184}, {"ILE", 169}, {"LEU", 164}, {"LYS", 205}, {"MET", 188}, {"PHE", 197},
               {"PRO", 136}, {"SER", 130}, {"THR", 142}, {"TRP", 227}, {"TYR", 222}, {"VAL", 142}};

static double largest_area(const char *code) {
  for (size_t i = 0; i < sizeof largest / sizeof *largest; i++) {
    if (strcmp(code, largest[i].code) == 0) return largest[i].area;
  }
  return largest[0].area;  // as alanine: DSSP has no letter for anything else
}

// One chain alone, as the accessibility is measured. Everything lives in the arena.
static nf_structure chain_structure(const nf_layout *layout, const layout_chain *chain, const float *positions,
                                    nf_arena *arena) {
  nf_structure s = {.name = chain->id, .n_chains = 1, .n_residues = chain->n_residues, .n_atoms = chain->n_atoms};
  s.chains = NF_NEW(arena, structure_chain, 1);
  s.residues = NF_NEW(arena, structure_residue, s.n_residues);
  s.atoms = NF_NEW(arena, structure_atom, s.n_atoms);
  s.chains[0] = (structure_chain){
      .id = "A", .author_id = "A", .entity_id = "1", .kind = chain->kind, .type = "", .n_residues = s.n_residues};
  for (int i = 0; i < s.n_residues; i++) {
    const layout_residue *from = &layout->residues[chain->first_residue + i];
    structure_residue *to = &s.residues[i];
    snprintf(to->name, sizeof to->name, "%s", from->name);
    to->id = from->id;
    to->first_atom = from->first_atom - chain->first_atom;
    to->n_atoms = from->n_atoms;
    for (int k = 0; k < from->n_atoms; k++) {
      const layout_atom *atom = &layout->atoms[from->first_atom + k];
      const float *at = positions + 3 * (size_t)(from->first_atom + k);
      structure_atom *out = &s.atoms[to->first_atom + k];
      *out = (structure_atom){.x = at[0], .y = at[1], .z = at[2], .occupancy = 1, .present = true, .residue = i};
      memcpy(out->name, atom->name, sizeof out->name);
      memcpy(out->element, atom->element, sizeof out->element);
    }
  }
  return s;
}

// Index i of a list of n continued to both sides by reflection about its ends: 2 1 0 1 2 ... n-1 n-2 ...
static int reflect(int i, int n) {
  if (n == 1) return 0;
  int period = 2 * (n - 1);
  i = ((i % period) + period) % period;
  return i < n ? i : period - i;
}

// Counts the chain's residues that DSSP would list, and the disordered ones among them.
static void count_disordered(const nf_layout *layout, const layout_chain *chain, const float *positions, int *ret_all,
                             int *ret_disordered) {
  nf_arena *arena = nf_arena_create();
  nf_structure structure = chain_structure(layout, chain, positions, arena);
  double *area = NF_NEW(arena, double, structure.n_residues), *relative = NF_NEW(arena, double, structure.n_residues);
  dssp_accessibility(&structure, area);
  int n = 0;
  for (int i = 0; i < structure.n_residues; i++) {
    if (isnan(area[i])) continue;
    // DSSP prints whole square angstroms.
    double ratio = floor(area[i] + 0.5) / largest_area(structure.residues[i].name);
    relative[n++] = ratio > 1 ? 1 : ratio;
  }
  *ret_all = n;
  *ret_disordered = 0;
  for (int i = 0; i < n; i++) {
    double sum = 0;
    for (int k = -(WINDOW / 2); k <= WINDOW / 2; k++) sum += relative[reflect(i + k, n)];
    *ret_disordered += sum / WINDOW > THRESHOLD;
  }
  nf_arena_free(arena);
}

double score_fraction_disordered(const nf_layout *layout, const float *positions) {
  int *all = nf_calloc((size_t)layout->n_chains, sizeof *all);
  int *disordered = nf_calloc((size_t)layout->n_chains, sizeof *disordered);
  int64_t n = 0, n_disordered = 0;
  for (int c = 0; c < layout->n_chains; c++) {
    const layout_chain *chain = &layout->chains[c];
    if (chain->kind != NF_PROTEIN) continue;
    int same = 0;
    while (same < c &&
           (layout->chains[same].kind != NF_PROTEIN || !all[same] || !chain->sequence ||
            !layout->chains[same].sequence || strcmp(chain->sequence, layout->chains[same].sequence) != 0)) {
      same++;
    }
    if (same < c) {
      all[c] = all[same];
      disordered[c] = disordered[same];
    } else {
      count_disordered(layout, chain, positions, &all[c], &disordered[c]);
    }
    n += all[c];
    n_disordered += disordered[c];
  }
  free(all);
  free(disordered);
  return n ? (double)n_disordered / (double)n : 0;
}
