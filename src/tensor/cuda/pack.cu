// The weights that are kept, and where their packed forms lie.
#include "tensor/cuda/pack.cuh"

#include <stdlib.h>

typedef struct {
  const char *start, *end;
} range;
static range *ranges;
static int n_ranges;

// Forms by key: open addressing, a power of two of slots, at most half full.
typedef struct {
  pack_key key;  // weight NULL: free
  bf16 *form;
} slot;
static slot *slots;
static size_t n_slots, n_used;

// Forms lie one after another in blocks.
static const size_t most_of_a_block = (size_t)32 << 20, alignment = 256;
static char **blocks;
static int n_blocks;
static size_t block_size, block_used;

bool pack_kept(const float *w) {
  for (int i = 0; i < n_ranges; i++)
    if ((const char *)w >= ranges[i].start && (const char *)w < ranges[i].end) return true;
  return false;
}

static size_t hash(const pack_key *key) {
  uint64_t h = 14695981039346656037u;
  const unsigned char *bytes = (const unsigned char *)key;
  for (size_t i = 0; i < sizeof *key; i++) h = (h ^ bytes[i]) * 1099511628211u;
  return (size_t)(h ^ h >> 32);
}

static slot *find(const pack_key *key) {
  size_t i = hash(key) & (n_slots - 1);
  while (slots[i].key.weight && memcmp(&slots[i].key, key, sizeof *key) != 0) i = (i + 1) & (n_slots - 1);
  return &slots[i];
}

static bf16 *take(size_t bytes) {
  bytes = (bytes + alignment - 1) / alignment * alignment;
  if (n_blocks == 0 || block_used + bytes > block_size) {
    block_size = bytes > most_of_a_block ? bytes : most_of_a_block;
    char *block = (char *)cuda_allocate(block_size);
    if (!block) CUDA_CHECK(cudaErrorMemoryAllocation);
    blocks = (char **)nf_realloc(blocks, (size_t)n_blocks + 1, sizeof *blocks);
    blocks[n_blocks++] = block;
    block_used = 0;
  }
  bf16 *form = (bf16 *)(blocks[n_blocks - 1] + block_used);
  block_used += bytes;
  return form;
}

bf16 *pack_find(const pack_key *key, bool *ret_fresh) {
  if (2 * (n_used + 1) > n_slots) {
    slot *old = slots;
    size_t n_old = n_slots;
    n_slots = n_old ? 2 * n_old : 4096;
    slots = (slot *)nf_calloc(n_slots, sizeof *slots);
    for (size_t i = 0; i < n_old; i++)
      if (old[i].key.weight) *find(&old[i].key) = old[i];
    free(old);
  }
  slot *s = find(key);
  *ret_fresh = !s->key.weight;
  if (*ret_fresh) {
    *s = slot{*key, take((size_t)key->n * sizeof(bf16))};
    n_used++;
  }
  return s->form;
}

void pack_keep(const void *memory, size_t bytes) {
  ranges = (range *)nf_realloc(ranges, (size_t)n_ranges + 1, sizeof *ranges);
  ranges[n_ranges++] = range{(const char *)memory, (const char *)memory + bytes};
}

// Models come and go rarely: with one of them all forms go, and the others' are made again.
void pack_forget(const void *memory) {
  bool found = false;
  for (int i = 0; i < n_ranges; i++)
    if (ranges[i].start == memory) {
      ranges[i--] = ranges[--n_ranges];
      found = true;
    }
  if (!found) return;
  for (int i = 0; i < n_blocks; i++) cuda_release(blocks[i]);
  n_blocks = 0;
  free(slots);
  slots = NULL;
  n_slots = n_used = 0;
}
