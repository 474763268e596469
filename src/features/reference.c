// Reference structure: what each residue looks like by itself. One conformer a residue, seeded by its own draw, then
// centred, turned and shifted at random.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "chem/conformer.h"
#include "chem/elements.h"
#include "chem/residues.h"
#include "features/stages.h"

enum { NAME_CHARS = 4 };  // characters of an atom name that the features hold

nf_status reference_features(const nf_job *job, const nf_layout *l, nf_batch *b) {
  int32_t uid = -1;
  for (int t = 0; t < l->n_tokens; t++) {
    if (t == 0 || l->tokens[t].residue != l->tokens[t - 1].residue) uid++;
    for (int s = 0; s < b->n_slot; s++) b->ref_space_uid[(int64_t)t * b->n_slot + s] = uid;
  }
  for (int i = 0; i < l->n_atoms; i++) {
    const layout_atom *atom = &l->atoms[i];
    int64_t at = (int64_t)atom->token * b->n_slot + atom->slot;
    if (strlen(atom->name) > NAME_CHARS) {
      const layout_residue *residue = &l->residues[atom->residue];
      return nf_fail(NF_INPUT,
                     "%s: chain %s, residue %d: atom %s of component %s has a name of more than %d characters",
                     job->path, l->chains[residue->chain].id, residue->id, atom->name, residue->name, NAME_CHARS);
    }
    b->ref_mask[at] = 1;
    b->ref_element[at] = element_number(atom->element);
    for (int c = 0; c < NAME_CHARS && atom->name[c]; c++) {
      b->ref_atom_name_chars[at * NAME_CHARS + c] = (unsigned char)atom->name[c] - 32;
    }
  }
  return NF_OK;
}

// What is drawn for one residue.
typedef struct {
  bool accepted;  // RDKit takes the component, so a seed was drawn
  int64_t seed;
  double rotation[3][3];
  double shift[3];
} draw;

static double norm(const double v[3]) { return sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]); }

// Gram-Schmidt on two normal vectors.
static void draw_rotation(nf_random_state *rs, double rotation[3][3]) {
  double v[2][3];
  for (int i = 0; i < 6; i++) v[i / 3][i % 3] = nf_random_state_normal(rs);
  double *e0 = rotation[0], *e1 = rotation[1], *e2 = rotation[2];
  double length = fmax(1e-10, norm(v[0]));
  for (int i = 0; i < 3; i++) e0[i] = v[0][i] / length;
  double along = v[1][0] * e0[0] + v[1][1] * e0[1] + v[1][2] * e0[2];
  for (int i = 0; i < 3; i++) v[1][i] -= e0[i] * along;
  length = fmax(1e-10, norm(v[1]));
  for (int i = 0; i < 3; i++) e1[i] = v[1][i] / length;
  e2[0] = e0[1] * e1[2] - e0[2] * e1[1];
  e2[1] = e0[2] * e1[0] - e0[0] * e1[2];
  e2[2] = e0[0] * e1[1] - e0[1] * e1[0];
}

// Positions where there is no conformer: ideal coordinates; if some are unknown and the component is old enough, the
// model's; what is unknown then stays at zero.
static void fall_back(const ccd_component *component, int max_modified_date, float *positions) {
  bool complete = true;
  for (int i = 0; i < component->n_atoms; i++) complete = complete && component->atoms[i].has_ideal;
  bool use_model = !complete && component->modified_date > 0 && component->modified_date < max_modified_date;
  for (int i = 0; i < component->n_atoms; i++) {
    const ccd_atom *atom = &component->atoms[i];
    for (int k = 0; k < 3; k++) positions[3 * i + k] = use_model ? atom->model[k] : atom->ideal[k];
  }
}

static int compare_names(const void *a, const void *b, void *context) {
  const ccd_component *component = context;
  return strcmp(component->atoms[*(const int *)a].name, component->atoms[*(const int *)b].name);
}

// Centres on the mean, turns and shifts. The mean is summed in float32 in the order of the reference's atoms: by name
// in a conformer, the component's in a fallback and of a SMILES.
static void augment(const ccd_component *component, const draw *d, bool by_name, int *order, float *positions) {
  int n = component->n_atoms;
  for (int i = 0; i < n; i++) order[i] = i;
  if (by_name) qsort_r(order, (size_t)n, sizeof *order, compare_names, (void *)component);
  float center[3] = {0, 0, 0};
  for (int i = 0; i < n; i++) {
    for (int k = 0; k < 3; k++) center[k] += positions[3 * order[i] + k];
  }
  for (int k = 0; k < 3; k++) center[k] /= (float)n;
  for (int i = 0; i < n; i++) {
    float *p = &positions[3 * i];
    double v[3];
    for (int k = 0; k < 3; k++) v[k] = p[k] - center[k];
    for (int k = 0; k < 3; k++) {
      const double *row = d->rotation[k];
      p[k] = (float)(row[0] * v[0] + row[2] * v[2] + row[1] * v[1] + d->shift[k]);
    }
  }
}

static nf_status make_residue(const nf_job *job, const nf_layout *l, const layout_residue *residue, const draw *d,
                              int max_iterations, int max_modified_date, reference_structure *out) {
  const ccd_component *component = residue->component;
  float *positions = nf_alloc((size_t)component->n_atoms * 3 * sizeof(float));
  int *order = nf_alloc((size_t)component->n_atoms * sizeof(int));
  bool found = false;
  nf_status status = NF_OK;
  if (d->accepted) NF_TRY_GOTO(done, conformer_embed(component, d->seed, max_iterations, positions, &found));
  if (!found) fall_back(component, max_modified_date, positions);
  if (!found && component->from_smiles) {
    nf_warn(
        "%s: ligand %s: smiles: RDKit finds no conformer, so that all its reference positions are one point; more "
        "--conformer_max_iterations may help, or give it as userCCD with coordinates",
        job->path, l->chains[residue->chain].id);
  }
  augment(component, d, found && !component->from_smiles, order, positions);
  for (int i = 0; i < residue->n_atoms; i++) {
    const layout_atom *atom = &l->atoms[residue->first_atom + i];
    for (int j = 0; j < component->n_atoms; j++) {
      if (strcmp(component->atoms[j].name, atom->name) != 0) continue;
      memcpy(&out->positions[3 * (residue->first_atom + i)], &positions[3 * j], 3 * sizeof(float));
      out->charge[residue->first_atom + i] = component->atoms[j].charge;
      break;
    }
  }
done:
  free(order);
  free(positions);
  return status;
}

// Whether RDKit accepts each residue's component; asked once a component.
static nf_status find_accepted(const nf_layout *l, draw *draws) {
  const ccd_component **seen = nf_calloc((size_t)l->n_residues, sizeof *seen);
  bool *accepts = nf_calloc((size_t)l->n_residues, sizeof *accepts);
  int n_seen = 0;
  nf_status status = NF_OK;
  for (int r = 0; r < l->n_residues; r++) {
    int i = 0;
    while (i < n_seen && seen[i] != l->residues[r].component) i++;
    if (i == n_seen) {
      NF_TRY_GOTO(done, conformer_accepts(l->residues[r].component, &accepts[i]));
      seen[n_seen++] = l->residues[r].component;
    }
    draws[r].accepted = accepts[i];
  }
done:
  free(accepts);
  free(seen);
  return status;
}

nf_status reference_create(const nf_job *job, const nf_layout *l, uint32_t seed, const features_options *options,
                           bool ligands_only, nf_arena *arena, reference_structure *ret_reference) {
  reference_structure out = {.positions = NF_NEW(arena, float, 3 * (int64_t)l->n_atoms),
                             .charge = NF_NEW(arena, float, l->n_atoms)};
  draw *draws = NF_NEW(arena, draw, l->n_residues);
  NF_TRY(find_accepted(l, draws));
  // All draws first, in order; the embeddings, which take the time, can then run side by side.
  nf_random_state rs;
  nf_random_state_seed(&rs, seed);
  for (int r = 0; r < l->n_residues; r++) {
    if (l->residues[r].n_tokens == 0) continue;
    if (draws[r].accepted) draws[r].seed = nf_random_state_randint(&rs, 1, 1LL << 31);
    draw_rotation(&rs, draws[r].rotation);
    for (int k = 0; k < 3; k++) draws[r].shift[k] = nf_random_state_normal(&rs);
  }
  nf_status status = NF_OK;
  char *message = NULL;
#pragma omp parallel for schedule(dynamic)
  for (int r = 0; r < l->n_residues; r++) {
    const layout_residue *residue = &l->residues[r];
    if (residue->n_tokens == 0 || (ligands_only && l->chains[residue->chain].sequence)) continue;
    nf_status here = make_residue(job, l, residue, &draws[r], options->conformer_max_iterations,
                                  options->ref_max_modified_date, &out);
    if (here == NF_OK) continue;
#pragma omp critical
    if (status == NF_OK) {  // messages are kept by thread: carry the first one over
      status = here;
      message = nf_strdup(nf_message());
    }
  }
  if (status != NF_OK) nf_fail(status, "%s: %s", job->path, message);
  free(message);
  *ret_reference = out;
  return status;
}

void reference_write(const nf_layout *l, const reference_structure *reference, nf_batch *b) {
  for (int i = 0; i < l->n_atoms; i++) {
    int64_t at = (int64_t)l->atoms[i].token * b->n_slot + l->atoms[i].slot;
    memcpy(&b->ref_pos[3 * at], &reference->positions[3 * i], 3 * sizeof(float));
    b->ref_charge[at] = reference->charge[i];
  }
}
