// libFuzzer: any bytes as A3M. What is read, written and read again is the same; and as the alignments of chains that
// are paired it becomes rows of the network's classes or is refused. The first byte chooses how it is given.
#include "features/stages.h"
#include "formats/a3m.h"
#include "fuzz/seeds.h"

enum { N_ROWS = 24, N_CLASSES = 31 };  // few rows, so that short texts are cut off too
enum { WITHOUT_QUERY = 1, KEEP_OVERLAPS = 2, FOR_RNA = 4 };

static const char jobs[] =
    "{\"name\":\"j\",\"dialect\":\"alphafold3\",\"version\":4,\"modelSeeds\":[1],\"sequences\":[{\"protein\":{\"id\":"
    "[\"A\",\"D\"],\"sequence\":\"PREACHER\"}},{\"protein\":{\"id\":\"B\",\"sequence\":\"MINDREAD\"}},"
    "{\"rna\":{\"id\":\"C\",\"sequence\":\"GUACGUAC\"}},{\"ligand\":{\"id\":\"L\",\"ccdCodes\":[\"SO4\"]}}]}";
static nf_arena *kept;  // to the end: what follows
static nf_ccd *ccd;
static nf_job job;
static nf_layout layout;
static nf_batch sized;  // for its sizes

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  static const char *const texts[] = {
      "1>q\nPREACHER\n>two\nPR--aaCHxER\n",
      "0>tr|A0A146SKV9|A0A146SKV9_FUNHE/1-20\nPREA--ER\n>sp|P0C2L1-2|A3X1_LOXLA\nMINDBZUX\n>x\n--------\n",
      "2>tr|A0A146SKV9_3|A0A146SKV9_FUNHE\n PREA\r\nCHER \n>tr|A0A146SKV9|B_FUNHE\nPREACHEw\nR\n>\n",
      "4>one\nGUACGUAC\n>two\nGU-NacguTUAC\n",
      "5>q\nGUACGUAC\n",
  };
  kept = nf_arena_create();
  setenv("XDG_DATA_HOME", "/nonexistent", 1);
  unsetenv("NATIVEFOLD_CCD");
  if (ccd_open(NULL, &ccd) != NF_OK || job_parse("j.json", jobs, sizeof jobs - 1, kept, &job) != NF_OK ||
      layout_create(&job, ccd, false, kept, &layout) != NF_OK) {
    abort();
  }
  features_size_batch(&layout, layout.n_tokens, kept, &sized);
  sized.n_row = N_ROWS;
  for (int i = 0; i < (int)(sizeof texts / sizeof *texts); i++) seeds_add(texts[i], strlen(texts[i]));
  seeds_use(argc, argv);
  return 0;
}

static void round_trip(const nf_a3m *a, nf_arena *arena) {
  nf_a3m again;
  nf_str out = {0};
  nf_str_puts(&out, "");
  for (int i = 0; i < a->n_rows; i++) nf_str_printf(&out, ">%s\n%s\n", a->descriptions[i], a->sequences[i]);
  if (a3m_parse("again", out.data, out.length, arena, &again) != NF_OK || again.n_rows != a->n_rows) abort();
  for (int i = 0; i < a->n_rows; i++) {
    if (strcmp(again.descriptions[i], a->descriptions[i]) != 0) abort();
    if (strcmp(again.sequences[i], a->sequences[i]) != 0) abort();
  }
  nf_str_free(&out);
}

static void check_features(int how, const char *text, nf_arena *arena) {
  job_chain *chains = NF_NEW(arena, job_chain, job.n_chains);
  nf_job with = job;
  nf_batch batch = sized;
  with.chains = chains;
  for (int c = 0; c < job.n_chains; c++) {
    chains[c] = job.chains[c];
    bool own = chains[c].kind == (how & FOR_RNA ? NF_RNA : NF_PROTEIN);
    if (!own) continue;
    // Chain D is a copy of chain A and shares its texts.
    if (c > 0 && chains[c].sequence == job.chains[c - 1].sequence) {
      chains[c].unpaired_msa = chains[c].paired_msa = chains[c - 1].unpaired_msa;
      continue;
    }
    const char *whole = how & WITHOUT_QUERY ? text : nf_arena_printf(arena, ">q\n%s\n%s", chains[c].sequence, text);
    chains[c].unpaired_msa = whole;
    if (chains[c].kind == NF_PROTEIN) chains[c].paired_msa = whole;
  }
  batch_allocate(&batch, arena);
  if (msa_features(&with, &layout, !(how & KEEP_OVERLAPS), &batch) != NF_OK) {
    if (!strstr(nf_message(), "j.json: ") || strchr(nf_message(), '\n')) abort();
    return;
  }
  int n = *batch.num_alignments;
  if (n < 1 || n > N_ROWS) abort();
  for (int i = 0; i < n * batch.n_token; i++) {
    if (batch.msa[i] < 0 || batch.msa[i] >= N_CLASSES) abort();
    if (batch.msa_mask[i] != 1 || batch.deletion_matrix[i] < 0) abort();
  }
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size) {
  if (!size) return 0;
  nf_arena *arena = nf_arena_create();
  nf_a3m a3m;
  if (a3m_parse("fuzz", (const char *)data + 1, size - 1, arena, &a3m) == NF_OK) {
    round_trip(&a3m, arena);
    check_features(data[0] - '0', nf_arena_strndup(arena, (const char *)data + 1, size - 1), arena);
  }
  nf_arena_free(arena);
  return 0;
}
