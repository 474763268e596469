// A job: what to fold. Read from the alphafold3 dialect or the AlphaFold Server's; becomes NAME_data.json once MSAs and
// templates are in.
#ifndef NF_INPUT_JOB_H
#define NF_INPUT_JOB_H

#include <stdbool.h>
#include <stdint.h>

#include "base/memory.h"
#include "base/status.h"
#include "chem/ccd.h"
#include "chem/residues.h"

typedef struct {
  const char *code;  // CCD code, without "CCD_"
  int position;      // 1-based
} job_modification;

typedef struct {
  const char *mmcif;  // text
  const char *label;  // where it came from, for messages: "job.json: protein A, template 2"
  int n_indices;
  const int *query_indices, *template_indices;  // 0-based pairs
} job_template;

// One chain. An entity with several ids gives several chains that share their strings.
typedef struct {
  nf_chain_kind kind;
  const char *id;
  int entity;               // index of the `sequences` entry it came from
  const char *description;  // NULL if none
  const char *sequence;     // one-letter, as given; NULL for ligands
  int n_modifications;
  const job_modification *modifications;
  const char *unpaired_msa;  // a3m; NULL: not set (search fills it); "": none
  const char *paired_msa;    // protein only
  int n_templates;           // -1: not set
  const job_template *templates;
  int n_codes;  // ligand: CCD codes, one residue each
  const char *const *codes;
  const char *smiles;  // ligand, in place of codes: NULL if none
} job_chain;

typedef struct {
  const char *chain1, *atom1, *chain2, *atom2;
  int residue1, residue2;  // 1-based, within the chain
} job_bond;

typedef struct {
  const char *name;
  const char *path;  // the file it was read from, for messages
  int n_seeds;
  const uint32_t *seeds;
  int n_chains;
  const job_chain *chains;  // in the order of `sequences`
  int n_bonds;
  const job_bond *bonds;  // bondedAtomPairs: chains and residues exist; whether the atoms do, features/ says
  const char *user_ccd;   // userCCD text, checked; NULL if none
  int version;            // 1 to 4
} nf_job;

// Reads a file of jobs (relative paths in it are taken from its directory) into the arena: one in the alphafold3
// dialect, or a list of them in the AlphaFold Server's, whose jobs without seeds are given one at random. Whether a CCD
// code or an atom is known, a SMILES makes a molecule, and a template's mmCIF holds what its indices name, is left to
// the rooms that open them (features_check).
NF_CHECKED nf_status jobs_read(const char *path, nf_arena *arena, int *ret_n, nf_job **ret_jobs);
// The same from text; `path` names it in messages and is the base of relative paths.
NF_CHECKED nf_status jobs_parse(const char *path, const char *text, size_t length, nf_arena *arena, int *ret_n,
                                nf_job **ret_jobs);
// The same where one job is wanted: a list of several is refused.
NF_CHECKED nf_status job_read(const char *path, nf_arena *arena, nf_job *ret_job);
NF_CHECKED nf_status job_parse(const char *path, const char *text, size_t length, nf_arena *arena, nf_job *ret_job);

// The job's dictionary: an overlay of `ccd` (closed by the caller before it) with the components of userCCD, and for
// every ligand given by SMILES one that is named by job_chain_residues. They live in the arena.
NF_CHECKED nf_status job_dictionary(const nf_job *job, const nf_ccd *ccd, nf_arena *arena, nf_ccd **ret_dictionary);

// "protein", "rna", "dna", "ligand": the key of a chain's kind in the job file.
const char *job_kind_name(nf_chain_kind kind);
// Residues of a polymer, components of a ligand.
int job_chain_length(const job_chain *chain);
// The residue codes of a chain, a polymer's after its modifications; (n) strings. A SMILES ligand L is "LIG_L".
const char **job_chain_residues(const job_chain *chain, nf_arena *arena, int *ret_n);
// A polymer's sequence as the network's features have it, and so the first row of its MSAs: unknown letters are X (N in
// RNA and DNA), modified residues have the letter of the residue they are made from.
const char *job_chain_letters(const job_chain *chain, nf_arena *arena);

// Refuses MSAs and templates that are set only partly where a search is to fill the rest (it fills both MSAs of a
// protein or neither), those not set at all where none is run, and small letters where one is.
NF_CHECKED nf_status job_check_filled(const nf_job *job, bool will_search);

// Writes NAME_data.json as the reference's Input.to_json does (dialect, version, key order, indent).
NF_CHECKED nf_status job_write(const nf_job *job, const char *path);
// The name as used in file names (spaces to underscores, only letters, digits, _-. kept), as the reference cleans it.
const char *job_sanitised_name(const nf_job *job, nf_arena *arena);

#endif
