// Solvent accessible surface as DSSP 4 computes it: dots on spheres that no other atom's sphere covers. The
// arithmetic is single precision where DSSP's is, so that dots on the edge fall to the same side.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "structure/structure.h"

enum { N_DOTS = 401 };  // 2 * 200 + 1
static const float RADIUS_N = 1.65f, RADIUS_CA = 1.87f, RADIUS_C = 1.76f, RADIUS_O = 1.4f, RADIUS_SIDE = 1.8f,
                   RADIUS_WATER = 1.4f;
static const double CELL = 6.6;  // more than two radii of the largest kind, each with its water: 2 * (1.87 + 1.4)

typedef struct {
  float x, y, z;
} point;

typedef struct {
  point at;
  float radius;
  int cell[3];
  int next;  // in the same bucket of the cell table, -1 at its end
} sphere;

// A sphere that may cover dots of the one at hand.
typedef struct {
  point offset;
  double radius_sq;  // with water
  float distance_sq;
} neighbour;

typedef struct {
  int n;
  sphere *spheres;
  int n_buckets, *buckets;  // first sphere of each bucket, -1: none
} cell_table;

static float distance_sq(point a, point b) {
  return (a.x - b.x) * (a.x - b.x) + (a.y - b.y) * (a.y - b.y) + (a.z - b.z) * (a.z - b.z);
}

static void make_dots(point dots[N_DOTS]) {
  const double pi = 3.141592653589793238462643383279502884;
  const float golden_ratio = (1 + sqrtf(5.0f)) / 2;
  for (int i = -N_DOTS / 2; i <= N_DOTS / 2; i++) {
    float latitude = asinf(2.0f * (float)i / N_DOTS);
    float longitude = (float)(fmod(i, golden_ratio) * 2 * pi / golden_ratio);
    dots[i + N_DOTS / 2] = (point){sinf(longitude) * cosf(latitude), cosf(longitude) * cosf(latitude), sinf(latitude)};
  }
}

static int bucket_of(const int cell[3], int n_buckets) {
  uint32_t h = (uint32_t)cell[0] * 73856093u ^ (uint32_t)cell[1] * 19349663u ^ (uint32_t)cell[2] * 83492791u;
  return (int)((h ^ h >> 15) & (uint32_t)(n_buckets - 1));
}

static int cell_of(float v) {
  double c = floor(v / CELL);
  return c < -1e9 ? -1000000000 : c > 1e9 ? 1000000000 : (int)c;
}

// What a file holds, three decimals: DSSP reads no more.
static float to_file_precision(float v) { return (float)(round((double)v * 1000) / 1000); }

static int compare_distance(const void *a, const void *b) {
  float x = ((const neighbour *)a)->distance_sq, y = ((const neighbour *)b)->distance_sq;
  return (x > y) - (x < y);
}

// Spheres that reach the sphere at hand, nearest first; `out` has room for all.
static int find_neighbours(const cell_table *table, const sphere *s, neighbour *out) {
  int n = 0;
  for (int i = 0; i < 27; i++) {
    int cell[3] = {s->cell[0] + i / 9 - 1, s->cell[1] + i / 3 % 3 - 1, s->cell[2] + i % 3 - 1};
    for (int j = table->buckets[bucket_of(cell, table->n_buckets)]; j >= 0; j = table->spheres[j].next) {
      const sphere *other = &table->spheres[j];
      if (memcmp(other->cell, cell, sizeof cell) != 0) continue;
      double reach = (double)s->radius + RADIUS_WATER, other_reach = (double)other->radius + RADIUS_WATER;
      float d = distance_sq(s->at, other->at);
      // Atoms on the same spot, the sphere itself among them, cover nothing.
      if (!(d < (reach + other_reach) * (reach + other_reach) && d > 0.0001)) continue;
      point offset = {other->at.x - s->at.x, other->at.y - s->at.y, other->at.z - s->at.z};
      out[n++] = (neighbour){offset, other_reach * other_reach, d};
    }
  }
  qsort(out, (size_t)n, sizeof *out, compare_distance);
  return n;
}

static float sphere_surface(const sphere *s, const point dots[N_DOTS], const neighbour *around, int n) {
  const float weight = (float)(4 * 3.141592653589793238462643383279502884 / N_DOTS);
  float radius = s->radius + RADIUS_WATER, surface = 0;
  int last = 0;  // what covered the dot before often covers this one
  for (int i = 0; i < N_DOTS; i++) {
    point dot = {dots[i].x * radius, dots[i].y * radius, dots[i].z * radius};
    bool covered = n && !(around[last].radius_sq < distance_sq(dot, around[last].offset));
    for (int k = 0; k < n && !covered; k++) {
      covered = !(around[k].radius_sq < distance_sq(dot, around[k].offset));
      if (covered) last = k;
    }
    if (!covered) surface += weight;
  }
  return surface * radius * radius;
}

enum { HAS_N = 1, HAS_CA = 2, HAS_C = 4, HAS_O = 8, COMPLETE = 15 };

// The backbone bit of an atom, 0 for others, and its radius.
static int atom_part(const char *name, float *ret_radius) {
  static const struct {
    const char *name;
    int bit;
  } parts[] = {{"N", HAS_N}, {"CA", HAS_CA}, {"C", HAS_C}, {"O", HAS_O}};
  const float radii[] = {RADIUS_N, RADIUS_CA, RADIUS_C, RADIUS_O};
  for (int i = 0; i < 4; i++) {
    if (strcmp(name, parts[i].name) == 0) {
      *ret_radius = radii[i];
      return parts[i].bit;
    }
  }
  *ret_radius = RADIUS_SIDE;
  return 0;
}

static bool counts(const structure_atom *a) {
  return a->present && isfinite(a->x) && isfinite(a->y) && isfinite(a->z) && strcmp(a->element, "H") != 0;
}

void dssp_accessibility(const nf_structure *structure, double *per_residue) {
  cell_table table = {.spheres = nf_calloc((size_t)structure->n_atoms, sizeof(sphere))};
  int *first = nf_calloc((size_t)structure->n_residues + 1, sizeof *first);  // sphere of each residue
  for (int i = 0; i < structure->n_residues; i++) {
    const structure_residue *r = &structure->residues[i];
    nf_chain_kind kind = structure->chains[r->chain].kind;
    per_residue[i] = NAN;
    first[i] = table.n;
    if (kind == NF_LIGAND || kind == NF_WATER) continue;
    int seen = 0;
    for (int j = r->first_atom; j < r->first_atom + r->n_atoms; j++) {
      const structure_atom *a = &structure->atoms[j];
      if (!counts(a)) continue;
      sphere *s = &table.spheres[table.n++];
      *s = (sphere){.at = {to_file_precision(a->x), to_file_precision(a->y), to_file_precision(a->z)}};
      seen |= atom_part(a->name, &s->radius);
      s->cell[0] = cell_of(s->at.x);
      s->cell[1] = cell_of(s->at.y);
      s->cell[2] = cell_of(s->at.z);
    }
    // Residues without a complete backbone neither count nor cover.
    if (seen == COMPLETE) {
      per_residue[i] = 0;
    } else {
      table.n = first[i];
    }
  }
  first[structure->n_residues] = table.n;
  table.n_buckets = 1;
  while (table.n_buckets < table.n) table.n_buckets *= 2;
  table.buckets = nf_alloc((size_t)table.n_buckets * sizeof(int));
  for (int i = 0; i < table.n_buckets; i++) table.buckets[i] = -1;
  for (int i = 0; i < table.n; i++) {
    int *bucket = &table.buckets[bucket_of(table.spheres[i].cell, table.n_buckets)];
    table.spheres[i].next = *bucket;
    *bucket = i;
  }
  point dots[N_DOTS];
  make_dots(dots);
#pragma omp parallel
  {
    neighbour *around = nf_alloc((size_t)table.n * sizeof *around);
#pragma omp for schedule(dynamic, 8)
    for (int i = 0; i < structure->n_residues; i++) {
      float sum = 0;
      for (int j = first[i]; j < first[i + 1]; j++) {
        sum += sphere_surface(&table.spheres[j], dots, around, find_neighbours(&table, &table.spheres[j], around));
      }
      if (first[i + 1] > first[i]) per_residue[i] = sum;
    }
    free(around);
  }
  free(table.buckets);
  free(table.spheres);
  free(first);
}
