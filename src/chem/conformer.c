// Conformers: loads the RDKit library on need and hands components to it.
#include "chem/conformer.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "base/str.h"
#include "chem/elements.h"
#include "chem/rdkit.h"

static const char library_name[] = "libnativefold_rdkit.so";

// The library, loaded once for the process and never given back.
static struct {
  pthread_once_t once;
  bool loaded;
  nf_str why;  // why it is not loaded
  const char *(*version)(void);
  rdkit_result (*embed)(const rdkit_molecule *, int, int, float *);
} rdkit = {.once = PTHREAD_ONCE_INIT};

static void *symbol(void *handle, const char *name) {
  void *address = dlsym(handle, name);
  if (!address && !rdkit.why.length) nf_str_printf(&rdkit.why, "the library lacks %s", name);
  return address;
}

// Takes the library's functions; false, with the reason in rdkit.why, if it cannot be loaded or is another version's.
static bool load_file(const char *path) {
  void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    nf_str_printf(&rdkit.why, "%s", dlerror());
    return false;
  }
  // POSIX lets a function's address travel through void *; C does not, hence the copies.
  void *abi_address = symbol(handle, "rdkit_abi"), *version = symbol(handle, "rdkit_version");
  void *embed = symbol(handle, "rdkit_embed");
  if (!abi_address || !version || !embed) return false;
  int (*abi)(void);
  memcpy(&abi, &abi_address, sizeof abi);
  if (abi() != RDKIT_ABI) {
    nf_str_printf(&rdkit.why, "%s belongs to another version of this program", path);
    return false;
  }
  memcpy(&rdkit.version, &version, sizeof rdkit.version);
  memcpy(&rdkit.embed, &embed, sizeof rdkit.embed);
  return true;
}

static void load(void) {
  // Beside the program, in an installation's lib, and two up from a test in the build directory.
  static const char *const places[] = {"", "../lib/", "../lib/nativefold/", "../../"};
  const char *named = getenv("NATIVEFOLD_RDKIT");
  if (named && *named) {
    rdkit.loaded = load_file(named);
    return;
  }
  char program[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
  program[length > 0 ? length : 0] = '\0';
  char *slash = strrchr(program, '/');
  for (size_t i = 0; slash && i < sizeof places / sizeof *places; i++) {
    nf_str path = {0};
    nf_str_printf(&path, "%.*s/%s%s", (int)(slash - program), program, places[i], library_name);
    bool exists = nf_file_exists(path.data);
    if (exists) rdkit.loaded = load_file(path.data);
    nf_str_free(&path);
    if (exists) return;
  }
  rdkit.loaded = load_file(library_name);
}

static nf_status require_rdkit(void) {
  pthread_once(&rdkit.once, load);
  if (rdkit.loaded) return NF_OK;
  return nf_fail(
      NF_FAILED,
      "reference conformers need RDKit, which could not be loaded (%s); install librdkit-dev and libboost-dev "
      "and run make again, or name %s in NATIVEFOLD_RDKIT",
      rdkit.why.data, library_name);
}

const char *conformer_rdkit_version(void) { return rdkit.loaded ? rdkit.version() : ""; }

// What the reference refuses before RDKit sees it.
static bool is_complete(const ccd_component *component) {
  if (component->n_atoms == 0) return false;
  for (int i = 0; i < component->n_atoms; i++) {
    const ccd_atom *a = &component->atoms[i];
    bool known = element_number(a->element) > 0 || strcmp(a->element, "X") == 0;
    if (!a->has_charge || !a->has_ideal || !known || strcmp(a->element, "D") == 0 || strlen(a->name) > 4) return false;
  }
  for (int i = 0; i < component->n_bonds; i++) {
    const ccd_bond *b = &component->bonds[i];
    if (b->order < 1 || b->order > 3 || !b->has_aromatic) return false;
  }
  return true;
}

static int compare_names(const void *a, const void *b) {
  return strcmp((*(const ccd_atom *const *)a)->name, (*(const ccd_atom *const *)b)->name);
}

static rdkit_result embed(const ccd_component *component, int seed, int max_iterations, float *positions) {
  if (!is_complete(component)) return RDKIT_NOT_ACCEPTED;
  int n = component->n_atoms, n_bonds = component->n_bonds;
  nf_arena *arena = nf_arena_create();
  int *numbers = NF_NEW(arena, int, n), *charges = NF_NEW(arena, int, n), *order = NF_NEW(arena, int, n);
  float(*ideal)[3] = nf_arena_calloc(arena, (size_t)n, sizeof *ideal);
  const ccd_atom **sorted = NF_NEW(arena, const ccd_atom *, n);
  int *bonds = NF_NEW(arena, int, 2 * n_bonds), *orders = NF_NEW(arena, int, n_bonds);
  int *aromatic = NF_NEW(arena, int, n_bonds);
  for (int i = 0; i < n; i++) {
    const ccd_atom *a = &component->atoms[i];
    numbers[i] = element_number(a->element);
    charges[i] = a->charge;
    memcpy(ideal[i], a->ideal, sizeof ideal[i]);
    sorted[i] = a;
  }
  qsort(sorted, (size_t)n, sizeof *sorted, compare_names);
  for (int i = 0; i < n; i++) order[i] = (int)(sorted[i] - component->atoms);
  for (int i = 0; i < n_bonds; i++) {
    const ccd_bond *b = &component->bonds[i];
    bonds[2 * i] = b->atom1;
    bonds[2 * i + 1] = b->atom2;
    orders[i] = b->order;
    aromatic[i] = b->aromatic;
  }
  rdkit_molecule molecule = {.n_atoms = n,
                             .n_bonds = n_bonds,
                             .numbers = numbers,
                             .charges = charges,
                             .positions = ideal[0],
                             .order = order,
                             .bonds = bonds,
                             .bond_orders = orders,
                             .bond_aromatic = aromatic};
  rdkit_result result = rdkit.embed(&molecule, seed, max_iterations, positions);
  nf_arena_free(arena);
  return result;
}

nf_status conformer_accepts(const ccd_component *component, bool *ret_accepts) {
  *ret_accepts = false;
  NF_TRY(require_rdkit());
  *ret_accepts = embed(component, 0, 0, NULL) == RDKIT_FOUND;
  return NF_OK;
}

nf_status conformer_embed(const ccd_component *component, int64_t seed, int max_iterations, float *positions,
                          bool *ret_found) {
  NF_ASSERT(seed >= 0 && seed <= INT_MAX);
  *ret_found = false;
  NF_TRY(require_rdkit());
  *ret_found = embed(component, (int)seed, max_iterations, positions) == RDKIT_FOUND;
  return NF_OK;
}
