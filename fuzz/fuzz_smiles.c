// SMILES: whatever the bytes, RDKit's molecule becomes a component whose names and bonds hold, or is refused in one
// sentence; a small one is embedded, too. RDKit itself is not built for the fuzzer: mutations are steered by our side of
// the door and by the words below. Needs $NATIVEFOLD_RDKIT.
#include <math.h>
#include <stdint.h>

#include "chem/ccd.h"
#include "chem/conformer.h"
#include "seeds.h"

static const char *const molecules[] = {
    "CC(=O)Oc1ccccc1C(=O)O",
    "C[C@H](N)C(=O)O",
    "F/C=C/Cl",
    "[Na+].[O-]S(=O)(=O)c1ccc(Br)cc1",
    "OC[C@H]1O[C@@H](O)[C@H](O)[C@@H](O)[C@@H]1O",
    "C1CC2CCC1CC2",
    "[Fe+2]12(N3C=CC=C3)N4C=CC=C4.N1=C2",
    "[13CH4:1]",
    "c1ccc2[nH]ccc2c1",
    "C%10CCCC%10",
    "[Pt@SP1](Cl)(Cl)(N)N",
    "CC#N->[Cu]",
};

static const char words[] =
    "\"[\"\n\"]\"\n\"@\"\n\"@@\"\n\"H]\"\n\"(\"\n\")\"\n\"=\"\n\"#\"\n\"$\"\n\":\"\n\"/\"\n\"\\\\\"\n\".\"\n\"%1\"\n\"->\"\n\"*\"\n\"Cl\"\n"
    "\"Br\"\n\"[nH]\"\n\"c1\"\n\"1\"\n\"+2\"\n\"-\"\n\"[Zn+2]\"\n\"[2H]\"\n\"@TH1\"\n\"@OH12\"\n\"{\"\n\"|\"\n\" \"\n";

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  static char quiet[] = "-close_fd_mask=2", dictionary[80];
  const char *file = seeds_next();  // no molecule, but no harm as a seed
  if (nf_file_write(file, words, sizeof words - 1) != NF_OK) abort();
  snprintf(dictionary, sizeof dictionary, "-dict=%s", file);
  for (size_t i = 0; i < sizeof molecules / sizeof *molecules; i++) seeds_add(molecules[i], strlen(molecules[i]));
  seeds_use(argc, argv);
  char **more = nf_realloc(*argv, (size_t)*argc + 3, sizeof *more);  // the list that seeds_use made
  more[(*argc)++] = quiet;
  more[(*argc)++] = dictionary;
  more[*argc] = NULL;
  *argv = more;
  return 0;
}

// What a component promises to the rooms that read it.
static void check(const ccd_component *component) {
  if (component->n_atoms < 1 || component->n_atoms > CCD_MAX_ATOMS) abort();
  for (int i = 0; i < component->n_atoms; i++) {
    if (ccd_atom_index(component, component->atoms[i].name) != i) abort();  // names are unique
  }
  for (int i = 0; i < component->n_bonds; i++) {
    const ccd_bond *bond = &component->bonds[i];
    if (bond->atom1 < 0 || bond->atom1 >= component->n_atoms || bond->atom2 < 0 || bond->atom2 >= component->n_atoms ||
        bond->order < 1 || bond->order > 3) {
      abort();
    }
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  enum { MAX_LENGTH = 120, MAX_EMBEDDED = 16 };  // longer ones say nothing new, larger ones take RDKit's time
  if (size > MAX_LENGTH) return 0;
  nf_arena *arena = nf_arena_create();
  nf_ccd *overlay = ccd_overlay(NULL, arena);
  const char *smiles = nf_arena_strndup(arena, (const char *)data, size);
  if (conformer_add_smiles(overlay, "fuzz", "LIG_L", smiles) == NF_OK) {
    const ccd_component *component = ccd_find(overlay, "LIG_L");
    check(component);
    if (component->n_atoms <= MAX_EMBEDDED) {
      bool found;
      float *positions = nf_arena_calloc(arena, (size_t)component->n_atoms * 3, sizeof *positions);
      if (conformer_embed(component, 1, 2, positions, &found) != NF_OK) abort();
      for (int i = 0; found && i < component->n_atoms * 3; i++) {
        if (!isfinite(positions[i])) abort();
      }
    }
  } else if (strncmp(nf_message(), "fuzz: ", 6) != 0 || strchr(nf_message(), '\n')) {
    abort();
  }
  ccd_close(overlay);
  nf_arena_free(arena);
  return 0;
}
