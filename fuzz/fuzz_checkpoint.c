// libFuzzer: any bytes as a checkpoint of a stage or of a sample. It is read or refused, a refusal is one sentence, nothing
// larger than the file is asked for, and what is read is what the file holds and is written so that it reads the same.
// A file that is not as it was written is refused by its sums; most mutations mend them, to get past that door.
#include "fuzz/seeds.h"

// The readers themselves: the mutator knows the head of the file, and the records need no network.
#include "model/checkpoint.c"
#define difference run_difference  // each of the two has its own
#include "resume.c"
#undef difference

enum { SEED = 1, FEATURES = 5, FOLDED_FILES = 3 };
// In memory where that can be: on a disk most of the time goes by waiting for it.
static char in_memory[] = "/dev/shm/nativefold_fuzz_XXXXXX", on_disk[] = "/tmp/nativefold_fuzz_XXXXXX";
static char *directory = in_memory, *sample_directory, *folded[FOLDED_FILES], *again;
static nf_arena *names;  // to the end, as what follows
static resume *kept;
static const nf_keeper *keeper;
static const char *const kinds[] = {"trunk", "diffusion", "sample"};
enum { TRUNK, DIFFUSION, SAMPLE, N_KINDS };
static char *paths[N_KINDS];

static void clean_up(void) {
  remove_checkpoints(kept, "");
  rmdir(kept->folder);
  for (int i = 0; i < FOLDED_FILES; i++) unlink(folded[i]);
  rmdir(sample_directory);
  rmdir(directory);
}

static void require(bool condition) {
  if (!condition) abort();
}

// ---- What is read

static void check_sentence(const char *sentence, const char *path) {
  size_t n = strlen(path);
  require(strncmp(sentence, path, n) == 0 && strncmp(sentence + n, ": ", 2) == 0 && sentence[n + 2] && !strchr(sentence, '\n'));
}

// All arrays of a file, as far as it is good. *ret_bytes: theirs together.
static bool read_arrays(const char *path, const checkpoint_identity *wants, checkpoint_content *ret_content, uint64_t *ret_bytes) {
  bool is_foreign = false;
  checkpoint *c = NULL;
  *ret_content = (checkpoint_content){0};
  *ret_bytes = 0;
  nf_status status = checkpoint_open(path, wants, &is_foreign, &c);
  require((status == NF_OK) == (c != NULL) && !(c && is_foreign));
  if (!c) {
    check_sentence(nf_message(), path);
    require(status == NF_INPUT && is_foreign == (strstr(nf_message(), ": the checkpoint is of ") != NULL));
    return false;
  }
  memcpy(ret_content->numbers, checkpoint_numbers(c), sizeof ret_content->numbers);
  require(checkpoint_n_arrays(c) >= 0 && checkpoint_n_arrays(c) <= CHECKPOINT_MAX_ARRAYS);
  for (int i = 0; i < checkpoint_n_arrays(c) && status == NF_OK; i++) {
    uint64_t bytes = checkpoint_bytes(c, i);
    *ret_bytes += bytes;
    require(bytes <= c->head.file_size && *ret_bytes <= c->head.file_size);
    void *to = nf_alloc(bytes);
    ret_content->arrays[ret_content->n_arrays] = to;
    ret_content->bytes[ret_content->n_arrays++] = bytes;
    status = checkpoint_read(c, i, to);
    if (status == NF_OK) continue;
    check_sentence(nf_message(), path);
    require(status == NF_INPUT && strstr(nf_message(), "damaged"));
  }
  checkpoint_close(c);
  return status == NF_OK;
}

static void free_arrays(checkpoint_content *content) {
  for (int i = 0; i < content->n_arrays; i++) free((void *)(size_t)content->arrays[i]);
}

static void check_as_any(const char *path, const checkpoint_identity *wants, const unsigned char *data, size_t size) {
  checkpoint_content content, back;
  uint64_t bytes;
  if (read_arrays(path, wants, &content, &bytes)) {
    uint64_t place = padded(sizeof(head));
    for (int i = 0; i < content.n_arrays; i++) {
      require(place + content.bytes[i] <= size && memcmp(content.arrays[i], data + place, content.bytes[i]) == 0);
      place += padded(content.bytes[i]);
    }
    require(checkpoint_write(again, wants, &content) == NF_OK && read_arrays(again, wants, &back, &bytes));
    require(back.n_arrays == content.n_arrays && memcmp(back.numbers, content.numbers, sizeof back.numbers) == 0);
    for (int i = 0; i < back.n_arrays; i++)
      require(back.bytes[i] == content.bytes[i] && memcmp(back.arrays[i], content.arrays[i], back.bytes[i]) == 0);
    free_arrays(&back);
  }
  free_arrays(&content);
}

// A stage's arrays in memory of just their sizes.
static stage_state state_of(int kind) {
  stage_state state = {.n_arrays = kind == TRUNK ? 3 : 1, .counts = {6, 4, 9}};
  for (int i = 0; i < state.n_arrays; i++) state.arrays[i] = nf_calloc((size_t)state.counts[i], sizeof(float));
  return state;
}

static void free_state(stage_state *state) {
  for (int i = 0; i < state->n_arrays; i++) free(state->arrays[i]);
}

static bool check_as_stage(int kind) {
  stage_state state = state_of(kind);
  bool is_there = keeper->restore(keeper->context, &state);
  require(!is_there || (state.done >= 0 && state.within >= 0));
  free_state(&state);
  return is_there;
}

// An arena has no fences between its pieces: what is said to be there is compared with what the file's head says.
static void check_scores(const head *h, const nf_scores *s, const nf_layout *layout) {
  uint64_t n = (uint64_t)s->n_tokens, c = (uint64_t)s->n_chains, atoms = (uint64_t)s->n_atoms, used = 0;
  const uint64_t sizes[N_ARRAYS] = {sizeof(scalars), atoms * 3 * sizeof *s->positions, atoms * sizeof *s->plddt,
                                    n * n * sizeof *s->full_pae, c * c * sizeof *s->chain_pair_iptm,
                                    c * sizeof *s->chain_plddt, c * sizeof *layout->chains};
  require(s->n_tokens >= 0 && s->n_atoms >= 0 && s->n_chains > 0 && layout->n_chains == s->n_chains);
  for (int i = 0; i < IDS; i++) require(h->bytes[i] == sizes[i]);
  for (int i = 0; i < layout->n_chains; i++) {
    require(layout->chains[i].id == layout->chains[0].id + used && !layout->chains[i].sequence);
    used += strlen(layout->chains[i].id) + 1;
    require(used <= h->bytes[IDS]);
  }
}

static bool check_as_sample(const unsigned char *data, size_t size) {
  nf_arena *arena = nf_arena_create();
  nf_scores scores;
  nf_layout chains;
  head h;
  bool is_there = resume_find_sample(kept, SEED, 0, arena, &scores, &chains);
  require(nf_arena_peak(arena) <= size + N_ARRAYS * ALIGN);
  if (is_there) {
    memcpy(&h, data, sizeof h);
    check_scores(&h, &scores, &chains);
  }
  nf_arena_free(arena);
  return is_there;
}

static int kind_of(const unsigned char *data, size_t size) {
  char first = size > offsetof(head, identity.kind) ? (char)data[offsetof(head, identity.kind)] : 't';
  return first == 's' ? SAMPLE : first == 'd' ? DIFFUSION : TRUNK;
}

// Whether the run takes up what the file says.
static bool check(const unsigned char *data, size_t size) {
  int kind = kind_of(data, size);
  checkpoint_identity wants = identity_of(kept, kinds[kind], SEED, 0, kind == SAMPLE ? 0 : FEATURES);
  nf_str said = {0};
  if (nf_file_write(paths[kind], data, size) != NF_OK) abort();
  check_as_any(paths[kind], &wants, data, size);
  nf_log_keep(&said);
  bool is_there = kind == SAMPLE ? check_as_sample(data, size) : check_as_stage(kind);
  nf_log_keep(NULL);
  // What is kept of the log: a letter and a sentence. There is one if the state is not taken up.
  if (!is_there) {
    require(said.length && said.data[0] == 'w' && strlen(said.data) + 1 == said.length);
    check_sentence(said.data + 1, paths[kind]);
    require(strstr(said.data, " is made anew"));
  }
  nf_str_free(&said);
  unlink(paths[kind]);
  return is_there;
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size) {
  check(data, size);
  return 0;
}

// ---- What to start from: a small made-up state, written by the program

static void add_written(int kind) {
  char *data;
  size_t size;
  require(nf_file_read(paths[kind], &data, &size) == NF_OK);
  seeds_add(data, size);
  require(check((const unsigned char *)data, size));
  free(data);
}

static void add_stage(int kind, int done, int within) {
  stage_state state = state_of(kind);
  state.done = done;
  state.within = within;
  for (int i = 0; i < state.n_arrays; i++)
    for (int k = 0; k < state.counts[i]; k++) state.arrays[i][k] = (float)(i - k) / 3;
  require(keeper->keep(keeper->context, &state));
  free_state(&state);
  add_written(kind);
}

static void add_sample(int n_tokens, int n_chains, int n_atoms) {
  static const float values[64] = {1, -2, 0.5f, [40] = 3};
  static double chain_values[16] = {0.5, 0.25, [7] = 1};
  layout_chain chains[] = {{.id = "A", .kind = NF_PROTEIN, .entity_id = 1, .sym_id = 1, .n_residues = 2, .n_tokens = 2},
                           {.id = "LONG", .kind = NF_LIGAND, .entity_id = 2, .sym_id = 1, .n_residues = 1},
                           {.id = "B", .kind = NF_RNA, .entity_id = 3, .sym_id = 1}};
  nf_layout layout = {.n_chains = n_chains, .chains = chains};
  nf_scores s = {.n_tokens = n_tokens, .n_chains = n_chains, .n_atoms = n_atoms, .positions = values, .plddt = values,
                 .full_pae = values, .ptm = 0.5, .iptm = NAN, .ranking_score = 0.75, .has_clash = true,
                 .chain_pair_iptm = chain_values, .chain_plddt = chain_values};
  s.chirality.n_ligand_errors = 1;
  resume_keep_sample(kept, SEED, 0, &s, &layout);
  add_written(SAMPLE);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
  static const char *const endings[FOLDED_FILES] = {"model.cif", "confidences.json.zst", "summary_confidences.json"};
  const resume_run run = {.version = "1.0", .device = "CPU", .weights = 2, .job = 3, .options = 4};
  bool is_complete;
  if (!mkdtemp(directory) && !mkdtemp(directory = on_disk)) abort();
  names = nf_arena_create();
  nf_log_quiet(true);
  require(resume_open(directory, "j", &run, false, NULL, &is_complete, &kept) == NF_OK && !is_complete);
  keeper = resume_seed(kept, SEED, FEATURES);
  for (int i = 0; i < N_KINDS; i++) paths[i] = path_of(kept, kinds[i], SEED, 0);
  again = nf_arena_printf(names, "%s/again", kept->folder);
  // A sample counts only if its files are there.
  sample_directory = nf_arena_printf(names, "%s/seed-%d_sample-0", directory, SEED);
  require(nf_dir_create(sample_directory) == NF_OK);
  for (int i = 0; i < FOLDED_FILES; i++) {
    folded[i] = nf_arena_printf(names, "%s/j_seed-%d_sample-0_%s", sample_directory, SEED, endings[i]);
    require(nf_file_write(folded[i], "", 0) == NF_OK);
  }
  atexit(clean_up);
  add_stage(TRUNK, 0, 0);
  add_stage(TRUNK, 10, 47);
  add_stage(DIFFUSION, 200, 0);
  add_sample(2, 1, 3);
  add_sample(3, 3, 5);
  add_sample(0, 2, 0);
  seeds_use(argc, argv);
  return 0;
}

// ---- Mutations in the right places

size_t LLVMFuzzerMutate(unsigned char *data, size_t size, size_t max_size);

static unsigned draw(unsigned *seed, unsigned n) {
  *seed = *seed * 1664525u + 1013904223u;
  return (*seed >> 8) % n;
}

// The arrays as the head gives them, as far as they lie in the file. Returns how many.
static int find_arrays(const head *h, size_t size, uint64_t places[CHECKPOINT_MAX_ARRAYS]) {
  uint64_t place = padded(sizeof *h);
  int n = 0;
  for (; n < CHECKPOINT_MAX_ARRAYS && (uint64_t)n < h->n_arrays; n++) {
    if (place > size || h->bytes[n] > size - place) break;
    places[n] = place;
    place += padded(h->bytes[n]);
  }
  return n;
}

// One array longer or shorter, left out or there twice. Returns the new size of the file, 0 if it is too large.
static size_t change_arrays(unsigned char *data, size_t size, size_t max_size, head *h, unsigned *seed) {
  uint64_t places[CHECKPOINT_MAX_ARRAYS];
  int n = find_arrays(h, size, places);
  int which = (int)draw(seed, (unsigned)n + 1), how = (int)draw(seed, 8);
  uint64_t bytes[CHECKPOINT_MAX_ARRAYS] = {0};
  unsigned char *to = nf_calloc(max_size + 1, 1);
  size_t at = padded(sizeof *h);
  int n_new = 0;
  bool fits = at <= max_size;
  memcpy(to, data, fits ? size < at ? size : at : 0);
  for (int i = 0; i < n && fits; i++) {
    for (int k = i != which || how > 1 ? 1 : how * 2; k > 0 && fits && n_new < CHECKPOINT_MAX_ARRAYS; k--) {
      uint64_t own = h->bytes[i];
      fits = at + padded(own) + ALIGN <= max_size;
      if (!fits) break;
      memcpy(to + at, data + places[i], own);
      if (i == which && how > 1) own = LLVMFuzzerMutate(to + at, own, own + ALIGN);
      memset(to + at + own, 0, padded(own) - own);
      bytes[n_new++] = own;
      at += padded(own);
    }
  }
  if (fits) {
    memcpy(data, to, at);
    memcpy(h->bytes, bytes, sizeof bytes);
    h->n_arrays = (uint64_t)n_new;
  }
  free(to);
  return fits ? at : 0;
}

size_t LLVMFuzzerCustomMutator(unsigned char *data, size_t size, size_t max_size, unsigned seed) {
  static const struct {
    size_t offset, size;
  } fields[] = {{offsetof(head, numbers), sizeof(int32_t) * 2},
                {offsetof(head, n_arrays), sizeof(uint64_t)},
                {offsetof(head, bytes), sizeof(uint64_t) * CHECKPOINT_MAX_ARRAYS},
                {offsetof(head, identity), sizeof(checkpoint_identity)},
                {offsetof(head, magic), offsetof(head, identity)}};
  unsigned how = draw(&seed, 16);
  // The door itself.
  if (size < sizeof(head) || how == 0) return LLVMFuzzerMutate(data, size, max_size);
  head h;
  memcpy(&h, data, sizeof h);
  uint64_t places[CHECKPOINT_MAX_ARRAYS], mended_size = size;
  int n = find_arrays(&h, size, places), which = n ? (int)draw(&seed, (unsigned)n) : 0;
  if (how < 5) {  // the head
    size_t field = draw(&seed, sizeof fields / sizeof *fields);
    LLVMFuzzerMutate((unsigned char *)&h + fields[field].offset, fields[field].size, fields[field].size);
  } else if (how == 5) {  // sizes of two arrays, their sum as it was: it may wrap around
    uint64_t more = (uint64_t)ALIGN << draw(&seed, 58);
    h.bytes[which] += more;
    h.bytes[draw(&seed, n ? (unsigned)n : 1)] -= more;
  } else if (how < 9) {  // what is in an array
    if (n && h.bytes[which]) LLVMFuzzerMutate(data + places[which], h.bytes[which], h.bytes[which]);
  } else if (how < 12) {  // a bit of one of an array's first whole numbers, which are sizes in a sample
    uint64_t n_numbers = n ? h.bytes[which] / sizeof(uint64_t) : 0;
    if (n_numbers) {
      uint64_t at = places[which] + draw(&seed, n_numbers < 5 ? (unsigned)n_numbers : 5) * sizeof(uint64_t);
      unsigned bit = draw(&seed, 64);
      data[at + bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
  } else {
    size_t changed = change_arrays(data, size, max_size, &h, &seed);
    if (changed) size = mended_size = changed;
  }
  if (draw(&seed, 16)) h.file_size = mended_size;
  if (draw(&seed, 16)) {
    n = find_arrays(&h, size, places);
    for (int i = 0; i < n; i++) h.sums[i] = nf_checksum(data + places[i], h.bytes[i]);
  }
  h.sum = head_sum(&h);
  memcpy(data, &h, sizeof h);
  return size;
}
