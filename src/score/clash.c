// Atoms of polymers that sit on each other.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "score/score.h"

static const double RADIUS = 1.1;  // angstrom

typedef struct {
  int cell[3], next;  // next atom in the same bucket, -1 at its end
  int chain, residue_id;
  const float *at;
} clash_atom;

static int bucket_of(const int cell[3], int n_buckets) {
  uint32_t h = (uint32_t)cell[0] * 73856093u ^ (uint32_t)cell[1] * 19349663u ^ (uint32_t)cell[2] * 83492791u;
  return (int)((h ^ h >> 15) & (uint32_t)(n_buckets - 1));
}

static int cell_of(float v) {
  double c = floor(v / RADIUS);
  return c < -1e9 ? -1000000000 : c > 1e9 ? 1000000000 : (int)c;
}

static bool is_polymer(nf_chain_kind kind) { return kind == NF_PROTEIN || kind == NF_RNA || kind == NF_DNA; }

static bool clashes(const clash_atom *atoms, const int *buckets, int n_buckets, const clash_atom *a) {
  for (int i = 0; i < 27; i++) {
    int cell[3] = {a->cell[0] + i / 9 - 1, a->cell[1] + i / 3 % 3 - 1, a->cell[2] + i % 3 - 1};
    for (int j = buckets[bucket_of(cell, n_buckets)]; j >= 0; j = atoms[j].next) {
      const clash_atom *b = &atoms[j];
      if (memcmp(b->cell, cell, sizeof cell) != 0) continue;
      // Neighbouring residues of a chain are bonded: near is where they belong.
      if (a->chain == b->chain && abs(a->residue_id - b->residue_id) <= 1) continue;
      double x = (double)a->at[0] - b->at[0], y = (double)a->at[1] - b->at[1], z = (double)a->at[2] - b->at[2];
      if (x * x + y * y + z * z <= RADIUS * RADIUS) return true;
    }
  }
  return false;
}

bool score_has_clash(const nf_layout *layout, const float *positions) {
  clash_atom *atoms = nf_calloc((size_t)layout->n_atoms, sizeof *atoms);
  int n = 0, n_buckets = 1;
  for (int i = 0; i < layout->n_atoms; i++) {
    const layout_residue *residue = &layout->residues[layout->atoms[i].residue];
    if (!is_polymer(layout->chains[residue->chain].kind)) continue;
    const float *at = positions + 3 * (size_t)i;
    atoms[n++] = (clash_atom){{cell_of(at[0]), cell_of(at[1]), cell_of(at[2])}, -1, residue->chain, residue->id, at};
  }
  while (n_buckets < n) n_buckets *= 2;
  int *buckets = nf_alloc((size_t)n_buckets * sizeof *buckets);
  for (int i = 0; i < n_buckets; i++) buckets[i] = -1;
  for (int i = 0; i < n; i++) {
    int *bucket = &buckets[bucket_of(atoms[i].cell, n_buckets)];
    atoms[i].next = *bucket;
    *bucket = i;
  }
  int *n_atoms = nf_calloc((size_t)layout->n_chains, sizeof *n_atoms);
  int *n_clashes = nf_calloc((size_t)layout->n_chains, sizeof *n_clashes);
  for (int i = 0; i < n; i++) {
    n_atoms[atoms[i].chain]++;
    n_clashes[atoms[i].chain] += clashes(atoms, buckets, n_buckets, &atoms[i]);
  }
  bool found = false;
  for (int c = 0; c < layout->n_chains; c++) {
    found = found || n_clashes[c] > 100 || (n_atoms[c] && 2 * n_clashes[c] > n_atoms[c]);
  }
  free(atoms);
  free(buckets);
  free(n_atoms);
  free(n_clashes);
  return found;
}
