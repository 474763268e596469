// Chirality: whether the stereo centres of a sample turn as those of the components they are made of. A centre is an atom
// of three or four neighbours beside hydrogens that carries a stereo letter; what is compared is the sign of the volume
// that its neighbours span, in the component's ideal coordinates (where these are unknown, as of a SMILES, in the
// reference conformer) and in the sample.
#include <math.h>
#include <string.h>

#include "chem/conformer.h"
#include "chem/elements.h"
#include "score/score.h"

enum { MAX_NEIGHBOURS = 4 };

static const double FLAT = 0.1;  // a reference that is flatter has no hand

// Letters of a component, kept for all residues made of it.
typedef struct {
  const ccd_component *component;
  const char *letters;  // (n_atoms) as ccd_atom.stereo
} stereo_letters;

static const char *find_letters(const ccd_component *component, stereo_letters *known, int *n_known, nf_arena *arena) {
  for (int i = 0; i < *n_known; i++) {
    if (known[i].component == component) return known[i].letters;
  }
  char *letters = NF_NEW(arena, char, component->n_atoms + 1);
  bool any = false;
  for (int i = 0; i < component->n_atoms; i++) {
    letters[i] = component->atoms[i].stereo;
    any = any || letters[i] != 'N';
  }
  // pdbx_stereo_config is not among the items that a job's own component must have.
  if (!any && component->from_user) (void)!conformer_stereo(component, letters);
  known[(*n_known)++] = (stereo_letters){component, letters};
  return letters;
}

// Neighbours of an atom beside hydrogens, the first MAX_NEIGHBOURS of them; returns how many there are.
static int heavy_neighbours(const ccd_component *c, int atom, int neighbours[MAX_NEIGHBOURS]) {
  int n = 0;
  for (int i = 0; i < c->n_bonds; i++) {
    const ccd_bond *b = &c->bonds[i];
    if (b->atom1 != atom && b->atom2 != atom) continue;
    int other = b->atom1 == atom ? b->atom2 : b->atom1;
    if (element_is_hydrogen(c->atoms[other].element)) continue;
    if (n < MAX_NEIGHBOURS) neighbours[n] = other;
    n++;
  }
  return n;
}

// Whether the centre keeps its hand. Two oxygens of a phosphate differ on paper alone, by a double bond, a charge or a
// hydrogen, and so do other ends of the same element; a nitrogen of three neighbours turns inside out.
static bool is_lasting(const ccd_component *c, int atom, const int neighbours[MAX_NEIGHBOURS], int n) {
  if (n < 3 || n > MAX_NEIGHBOURS) return false;
  if (strcmp(c->atoms[atom].element, "N") == 0 && n < 4) return false;
  for (int i = 0; i < n; i++) {
    int next[MAX_NEIGHBOURS];
    if (heavy_neighbours(c, neighbours[i], next) != 1) continue;
    for (int k = 0; k < i; k++) {
      if (strcmp(c->atoms[neighbours[i]].element, c->atoms[neighbours[k]].element) == 0 &&
          heavy_neighbours(c, neighbours[k], next) == 1) {
        return false;
      }
    }
  }
  return true;
}

// Output atom of a component's atom in a residue; -1 if it is not laid out.
static int output_atom(const nf_layout *l, const layout_residue *residue, const char *name) {
  for (int a = residue->first_atom; a < residue->first_atom + residue->n_atoms; a++) {
    if (strcmp(l->atoms[a].name, name) == 0) return a;
  }
  return -1;
}

// The atom that a bond of the job ties to this one; -1 if none does.
static int bonded_atom(const nf_layout *l, int atom) {
  for (int i = 0; i < l->n_bonds; i++) {
    if (l->bonds[i].atom1 == atom) return l->bonds[i].atom2;
    if (l->bonds[i].atom2 == atom) return l->bonds[i].atom1;
  }
  return -1;
}

// Volume spanned by the directions to three points as seen from a fourth: 0.7 to 0.8 around a tetrahedron's centre or
// corner, 0 in a plane or where points coincide.
static double volume(const float *from, const float *const to[3]) {
  double v[3][3];
  for (int i = 0; i < 3; i++) {
    double length = 0;
    for (int k = 0; k < 3; k++) {
      v[i][k] = (double)to[i][k] - (double)from[k];
      length += v[i][k] * v[i][k];
    }
    for (int k = 0; k < 3 && length > 0; k++) v[i][k] /= sqrt(length);
  }
  return v[0][0] * (v[1][1] * v[2][2] - v[1][2] * v[2][1]) - v[0][1] * (v[1][0] * v[2][2] - v[1][2] * v[2][0]) +
         v[0][2] * (v[1][0] * v[2][1] - v[1][1] * v[2][0]);
}

// +1 if the centre is as in the reference, -1 if it is inverted, 0 if that cannot be told.
static int compare_hands(const nf_layout *l, const nf_batch *b, const layout_residue *residue, int atom,
                         const int neighbours[MAX_NEIGHBOURS], int n, const float *positions) {
  const ccd_component *c = residue->component;
  int in_component[MAX_NEIGHBOURS + 1], in_output[MAX_NEIGHBOURS + 1];  // the centre first
  in_component[0] = atom;
  in_output[0] = output_atom(l, residue, c->atoms[atom].name);
  if (in_output[0] < 0) return 0;
  bool has_ideal = c->atoms[atom].has_ideal, is_whole = true;
  int n_points = 1;
  for (int i = 0; i < n; i++) {
    int a = output_atom(l, residue, c->atoms[neighbours[i]].name);
    // A bond of the job has taken the place of an atom that left for it; any other atom that is not there is passed over.
    if (a < 0 && is_whole && n == 3) a = bonded_atom(l, in_output[0]);
    is_whole = is_whole && a >= 0;
    if (a < 0) continue;
    has_ideal = has_ideal && c->atoms[neighbours[i]].has_ideal;
    in_component[n_points] = neighbours[i];
    in_output[n_points++] = a;
  }
  if (n_points < 4) return 0;
  // Of four neighbours the last is a better point to look from than the centre, which may lie in a plane of three.
  int from = n_points == 5 ? 4 : 0;
  const float *ideal[MAX_NEIGHBOURS + 1], *found[MAX_NEIGHBOURS + 1];
  for (int i = 0; i < n_points; i++) {
    const layout_atom *own = &l->atoms[in_output[i]];
    if (!has_ideal && own->residue != l->atoms[in_output[0]].residue) return 0;  // reference conformers are apart
    int64_t at = (int64_t)own->token * b->n_slot + own->slot;
    ideal[i] = has_ideal ? c->atoms[in_component[i]].ideal : &b->ref_pos[3 * at];
    found[i] = &positions[3 * (size_t)in_output[i]];
  }
  double expected = volume(ideal[from], &ideal[1]), actual = volume(found[from], &found[1]);
  if (fabs(expected) < FLAT) return 0;  // or all in one point, where no conformer was found
  return (expected > 0) == (actual > 0) && actual != 0 ? 1 : -1;
}

void score_chirality(const nf_layout *layout, const nf_batch *batch, const float *positions, nf_arena *arena,
                     nf_chirality *ret_chirality) {
  nf_chirality out = {.chain_checked = NF_NEW(arena, int, layout->n_chains),
                      .chain_errors = NF_NEW(arena, int, layout->n_chains)};
  int *wrong = NF_NEW(arena, int, layout->n_atoms);
  nf_arena_mark mark = nf_arena_here(arena);
  stereo_letters *known = NF_NEW(arena, stereo_letters, layout->n_residues);
  int n_known = 0;
  for (int r = 0; r < layout->n_residues; r++) {
    const layout_residue *residue = &layout->residues[r];
    const ccd_component *c = residue->component;
    if (!c) continue;  // folded from features, which do not tell what a ligand is
    const char *letters = find_letters(c, known, &n_known, arena);
    bool is_ligand = layout->chains[residue->chain].kind == NF_LIGAND;
    for (int i = 0; i < c->n_atoms; i++) {
      int neighbours[MAX_NEIGHBOURS];
      if (letters[i] == 'N') continue;
      int n = heavy_neighbours(c, i, neighbours);
      if (!is_lasting(c, i, neighbours, n)) continue;
      int hand = compare_hands(layout, batch, residue, i, neighbours, n, positions);
      if (hand == 0) continue;
      out.chain_checked[residue->chain]++;
      out.n_ligand_checked += is_ligand;
      if (hand > 0) continue;
      out.chain_errors[residue->chain]++;
      if (is_ligand) wrong[out.n_ligand_errors++] = output_atom(layout, residue, c->atoms[i].name);
    }
  }
  nf_arena_reset(arena, mark);
  out.ligand_errors = wrong;
  *ret_chirality = out;
}

double score_chirality_penalty(const nf_chirality *chirality) {
  if (chirality->n_ligand_checked == 0) return 0;
  return 100.0 * chirality->n_ligand_errors / chirality->n_ligand_checked;
}
