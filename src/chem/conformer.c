// Conformers: loads the RDKit library on need and hands components to it.
#include "chem/conformer.h"

#include <ctype.h>
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/str.h"
#include "chem/elements.h"
#include "chem/rdkit.h"

enum {
  MAX_SMILES_ATOMS = 5000,    // beside hydrogens: RDKit's reading takes minutes beyond
  MAX_EMBEDDED_ATOMS = 2000,  // of a SMILES: RDKit's embedding takes hours beyond, and names would be too long there
};

static const char library_name[] = "libnativefold_rdkit.so";

// The library, loaded once for the process and never given back.
static struct {
  pthread_once_t once;
  bool loaded;
  nf_str why;  // why it is not loaded
  const char *(*version)(void);
  rdkit_result (*embed)(const rdkit_molecule *, int, int, float *);
  rdkit_result (*stereo)(const rdkit_molecule *, char *);
  rdkit_result (*smiles_read)(const char *, rdkit_smiles *, char *, int);
  void (*smiles_free)(rdkit_smiles *);
  rdkit_result (*smiles_embed)(const char *, int, int, float *);
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
  void *abi_address = symbol(handle, "rdkit_abi");
  if (!abi_address) return false;
  int (*abi)(void);
  memcpy(&abi, &abi_address, sizeof abi);
  if (abi() != RDKIT_ABI) {
    nf_str_printf(&rdkit.why, "%s belongs to another version of this program", path);
    return false;
  }
  const struct {
    const char *name;
    void *function;  // where its address goes
  } functions[] = {{"rdkit_version", &rdkit.version},
                   {"rdkit_embed", &rdkit.embed},
                   {"rdkit_stereo", &rdkit.stereo},
                   {"rdkit_smiles_read", &rdkit.smiles_read},
                   {"rdkit_smiles_free", &rdkit.smiles_free},
                   {"rdkit_smiles_embed", &rdkit.smiles_embed}};
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    void *address = symbol(handle, functions[i].name);
    if (!address) return false;
    memcpy(functions[i].function, &address, sizeof address);
  }
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

// The component as RDKit takes it; it must be complete.
static rdkit_molecule make_molecule(const ccd_component *component, nf_arena *arena) {
  int n = component->n_atoms, n_bonds = component->n_bonds;
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
  return (rdkit_molecule){.n_atoms = n,
                          .n_bonds = n_bonds,
                          .numbers = numbers,
                          .charges = charges,
                          .positions = ideal[0],
                          .order = order,
                          .bonds = bonds,
                          .bond_orders = orders,
                          .bond_aromatic = aromatic};
}

static rdkit_result embed(const ccd_component *component, int seed, int max_iterations, float *positions) {
  if (component->from_smiles) {
    if (!positions) return RDKIT_FOUND;
    if (component->n_atoms > MAX_EMBEDDED_ATOMS) return RDKIT_NONE_FOUND;
    return rdkit.smiles_embed(component->smiles, seed, max_iterations, positions);
  }
  if (!is_complete(component)) return RDKIT_NOT_ACCEPTED;
  nf_arena *arena = nf_arena_create();
  rdkit_molecule molecule = make_molecule(component, arena);
  rdkit_result result = rdkit.embed(&molecule, seed, max_iterations, positions);
  nf_arena_free(arena);
  return result;
}

// ---- SMILES

enum { NAME_CHARS = 4 };  // of an atom's name that the features hold

// Names atom `count` (from 1) of its element; false if there is no name left.
static bool name_atom(ccd_atom *atom, int count, nf_map *names) {
  static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
  char symbol[4] = {0};
  for (int i = 0; atom->element[i]; i++) symbol[i] = (char)toupper((unsigned char)atom->element[i]);
  char name[16];
  int length = snprintf(name, sizeof name, "%s%d", symbol, count);
  // Hydrogens are no part of the features.
  if (length <= NAME_CHARS || element_is_hydrogen(symbol)) {
    NF_ASSERT((size_t)length < sizeof atom->name);  // as there are no more atoms than CCD_MAX_ATOMS
    memcpy(atom->name, name, (size_t)length + 1);
    return nf_map_add(names, atom->name, 0);
  }
  memcpy(atom->name, symbol, strlen(symbol));
  int width = NAME_CHARS - (int)strlen(symbol), limit = 26;
  for (int i = 1; i < width; i++) limit *= 36;
  int first = 1;
  for (int i = 0; i < width; i++) first *= 10;  // the first number that is too long
  // A letter, then letters or digits, counting up from A00. CA10 may be calcium's already.
  for (int n = count - first; n < limit; n++) {
    int rest = n;
    for (int i = width - 1; i > 0; i--, rest /= 36) {
      int digit = rest % 36;
      atom->name[strlen(symbol) + (size_t)i] = digits[digit < 10 ? 26 + digit : digit - 10];
    }
    atom->name[strlen(symbol)] = digits[rest];
    atom->name[NAME_CHARS] = '\0';
    if (nf_map_add(names, atom->name, 0)) return true;
  }
  return false;
}

static nf_status add_smiles(nf_ccd *overlay, const char *label, const char *code, const char *smiles,
                            const rdkit_smiles *in, nf_arena *arena) {
  int counts[NF_N_ELEMENTS] = {0}, n_heavy = 0;
  nf_status status = NF_OK;
  nf_map *names = nf_map_create();
  ccd_atom *atoms = NF_NEW(arena, ccd_atom, in->n_atoms);
  ccd_bond *bonds = NF_NEW(arena, ccd_bond, in->n_bonds);
  for (int i = 0; i < in->n_atoms; i++) {
    int number = in->numbers[i] > 0 && in->numbers[i] < NF_N_ELEMENTS ? in->numbers[i] : 0;
    ccd_atom *a = &atoms[i];
    snprintf(a->element, sizeof a->element, "%s", number ? element_symbol(number) : "*");
    a->has_charge = true;
    a->charge = (int8_t)in->charges[i];
    a->stereo = in->atom_stereo[i];
    n_heavy += number != 1;
    if (!name_atom(a, ++counts[number], names)) {
      status = nf_fail(NF_INPUT, "%s: has more atoms of %s than can be named in four characters", label, a->element);
      goto done;
    }
  }
  if (!n_heavy) {
    status = nf_fail(NF_INPUT, "%s: holds no atom but hydrogens, which are not predicted", label);
    goto done;
  }
  for (int i = 0; i < in->n_bonds; i++) {
    bonds[i] = (ccd_bond){.atom1 = (int16_t)in->bonds[2 * i],
                          .atom2 = (int16_t)in->bonds[2 * i + 1],
                          .order = (uint8_t)in->bond_orders[i],
                          .has_aromatic = true,
                          .aromatic = in->bond_aromatic[i] != 0,
                          .stereo = in->bond_stereo[i]};
    if (bonds[i].order == 0) {
      status = nf_fail(NF_INPUT, "%s: the bond of %s and %s is neither single, double nor triple", label,
                       atoms[bonds[i].atom1].name, atoms[bonds[i].atom2].name);
      goto done;
    }
  }
  ccd_component component = {.id = code,
                             .name = "",
                             .type = "",
                             .formula = "",
                             .parent = "",
                             .synonyms = "",
                             .smiles = smiles,
                             .one_letter = '?',
                             .n_atoms = in->n_atoms,
                             .n_bonds = in->n_bonds,
                             .atoms = atoms,
                             .bonds = bonds,
                             .from_smiles = true};
  ccd_overlay_add(overlay, &component);
done:
  nf_map_free(names);
  return status;
}

// Atoms of a SMILES before RDKit has seen it: brackets, and letters outside of them.
static int count_atoms(const char *smiles) {
  int n = 0;
  for (const char *c = smiles; *c && n <= MAX_SMILES_ATOMS; c++) {
    if (*c == '[') {
      c = strchrnul(c, ']');
      n++;
      if (!*c) break;
    } else if (isalpha((unsigned char)*c) || *c == '*') {
      n++;
      c += (c[0] == 'C' && c[1] == 'l') || (c[0] == 'B' && c[1] == 'r');
    }
  }
  return n;
}

nf_status conformer_add_smiles(nf_ccd *overlay, const char *label, const char *code, const char *smiles) {
  NF_TRY(require_rdkit());
  if (!*smiles) return nf_fail(NF_INPUT, "%s: is empty", label);
  if (count_atoms(smiles) > MAX_SMILES_ATOMS) {
    return nf_fail(NF_INPUT, "%s: has more than %d atoms, which RDKit cannot read in reasonable time", label,
                   MAX_SMILES_ATOMS);
  }
  rdkit_smiles in;
  char why[256];
  if (rdkit.smiles_read(smiles, &in, why, sizeof why) != RDKIT_FOUND) {
    return nf_fail(NF_INPUT, "%s: RDKit cannot make a molecule of \"%.100s%s\": %s", label, smiles,
                   strlen(smiles) > 100 ? "..." : "", why);
  }
  nf_status status;
  if (in.n_atoms > CCD_MAX_ATOMS) {
    status = nf_fail(NF_INPUT, "%s: has %d atoms with its hydrogens, more than %d", label, in.n_atoms, CCD_MAX_ATOMS);
  } else {
    nf_arena *arena = nf_arena_create();
    status = add_smiles(overlay, label, code, smiles, &in, arena);
    nf_arena_free(arena);
  }
  rdkit.smiles_free(&in);
  return status;
}

// ---- Conformers

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

bool conformer_stereo(const ccd_component *component, char *ret_stereo) {
  pthread_once(&rdkit.once, load);
  if (!rdkit.loaded || component->from_smiles || !is_complete(component)) return false;
  nf_arena *arena = nf_arena_create();
  rdkit_molecule molecule = make_molecule(component, arena);
  bool found = rdkit.stereo(&molecule, ret_stereo) == RDKIT_FOUND;
  nf_arena_free(arena);
  return found;
}
