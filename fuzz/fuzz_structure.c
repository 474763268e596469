// libFuzzer: any bytes as a template's mmCIF; what is read must hang together.
#include "fuzz/seeds.h"
#include "structure/structure.h"

static const char whole[] =
    "data_a\n_entry.id A\n_pdbx_audit_revision_history.revision_date 2001-02-03\n"
    "loop_\n_struct_asym.id\n_struct_asym.entity_id\nA 1\nL 2\nW 3\n"
    "loop_\n_entity.id\n_entity.type\n1 polymer\n2 non-polymer\n3 water\n"
    "_entity_poly.entity_id 1\n_entity_poly.type 'polypeptide(L)'\n"
    "loop_\n_pdbx_poly_seq_scheme.asym_id\n_pdbx_poly_seq_scheme.seq_id\n_pdbx_poly_seq_scheme.mon_id\n"
    "_pdbx_poly_seq_scheme.pdb_seq_num\n_pdbx_poly_seq_scheme.pdb_ins_code\n_pdbx_poly_seq_scheme.pdb_strand_id\n"
    "A 1 SER 1 . X\nA 1 THR 1 . X\nA 2 ARG 2 A X\nA 3 MSE 3 . X\n"
    "loop_\n_pdbx_nonpoly_scheme.asym_id\n_pdbx_nonpoly_scheme.mon_id\n_pdbx_nonpoly_scheme.pdb_seq_num\n"
    "_pdbx_nonpoly_scheme.pdb_ins_code\nL HEM 201 .\nW HOH 301 .\n"
    "loop_\n_atom_site.group_PDB\n_atom_site.type_symbol\n_atom_site.label_atom_id\n_atom_site.label_alt_id\n"
    "_atom_site.label_comp_id\n_atom_site.label_asym_id\n_atom_site.label_seq_id\n_atom_site.pdbx_PDB_ins_code\n"
    "_atom_site.Cartn_x\n_atom_site.Cartn_y\n_atom_site.Cartn_z\n_atom_site.occupancy\n_atom_site.auth_seq_id\n"
    "_atom_site.auth_asym_id\n_atom_site.pdbx_PDB_model_num\n"
    "ATOM N N A SER A 1 ? 1 0 0 0.3 1 X 1\nATOM N N B THR A 1 ? 2 0 0 0.7 1 X 1\n"
    "ATOM C CD . ARG A 2 A 0 0 0 1 2 X 1\nATOM N NH1 A ARG A 2 A 3 0 0 1 2 X 1\nATOM N NH2 B ARG A 2 A 2 0 0 1 2 X 1\n"
    "ATOM N N . MSE A 3 ? 3 0 0 1 3 X 1\nATOM C CA . MSE A 3 ? 4 0 0 1 3 X 1\nATOM C C . MSE A 3 ? 5 0 0 1 3 X 1\n"
    "ATOM O O . MSE A 3 ? 6 0 0 1 3 X 1\nHETATM SE SE . MSE A 3 ? 7 0 0 1 3 X 1\n"
    "HETATM C C1 . HEM L . ? 1 2 3 1 201 X 1\nHETATM O O . HOH W . ? 1 2 3 1 301 X 1\nATOM N N . SER A 1 ? 1 0 0 1 1 X "
    "2\n";
static const char bare[] =
    "data_b\nloop_\n_atom_site.group_PDB\n_atom_site.label_atom_id\n_atom_site.label_comp_id\n_atom_site.label_asym_"
    "id\n"
    "_atom_site.label_entity_id\n_atom_site.label_seq_id\n_atom_site.Cartn_x\n_atom_site.Cartn_y\n_atom_site.Cartn_z\n"
    "ATOM N GLY A ? 1 1 0 0\nATOM P DA B ? 1 4 0 0\nHETATM C1 HEM D ? . 8 0 0\nHETATM O HOH E ? . 9 0 0\n";

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  seeds_add(whole, sizeof whole - 1);
  seeds_add(bare, sizeof bare - 1);
  seeds_use(argc, argv);
  return 0;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size) {
  nf_arena *arena = nf_arena_create();
  nf_structure s;
  if (mmcif_read_structure("fuzz", (const char *)data, size, arena, &s) == NF_OK) {
    int residues = 0, atoms = 0;
    for (int c = 0; c < s.n_chains; c++) {
      if (s.chains[c].first_residue != residues || !s.chains[c].type) abort();
      residues += s.chains[c].n_residues;
    }
    for (int i = 0; i < s.n_residues; i++) {
      if (s.residues[i].first_atom != atoms || s.residues[i].chain >= s.n_chains) abort();
      for (int k = 0; k < s.residues[i].n_atoms; k++, atoms++) {
        if (s.atoms[atoms].residue != i || strlen(s.atoms[atoms].name) > 7) abort();
      }
    }
    if (residues != s.n_residues || atoms != s.n_atoms) abort();
    double *area = calloc((size_t)s.n_residues + 1, sizeof *area);
    dssp_accessibility(&s, area);
    free(area);
  }
  nf_arena_free(arena);
  return 0;
}
