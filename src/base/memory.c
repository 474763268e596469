// Checked heap calls and block arenas.
#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/status.h"  // NF_ASSERT, NF_MEMORY

static _Noreturn void out_of_memory(size_t count, size_t size) {
  fprintf(stderr, "nativefold: not enough memory: the system refused %.1f MiB more\n",
          (double)count * (double)size / (1024.0 * 1024.0));
  exit(NF_MEMORY);
}

void *nf_alloc(size_t bytes) {
  void *p = malloc(bytes ? bytes : 1);
  if (!p) out_of_memory(bytes, 1);
  return p;
}

void *nf_calloc(size_t count, size_t size) {
  void *p = calloc(count ? count : 1, size ? size : 1);
  if (!p) out_of_memory(count, size);
  return p;
}

void *nf_realloc(void *old, size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) out_of_memory(count, size);
  void *p = realloc(old, bytes ? bytes : 1);
  if (!p) out_of_memory(count, size);
  return p;
}

char *nf_strdup(const char *text) { return text ? nf_strndup(text, strlen(text)) : NULL; }

char *nf_strndup(const char *text, size_t length) {
  char *copy = nf_alloc(length + 1);
  memcpy(copy, text, length);
  copy[length] = '\0';
  return copy;
}

typedef struct {
  char *start;
  size_t size;
} block;

struct nf_arena {
  block *blocks;
  size_t n_blocks, capacity;
  size_t current;  // the block that allocations come from; later ones are kept empty for reuse
  size_t used;     // bytes used in it
  size_t before;   // bytes used in the blocks before it
  size_t peak;
};

enum { ALIGNMENT = 64, FIRST_BLOCK = 1 << 16 };

nf_arena *nf_arena_create(void) { return nf_calloc(1, sizeof(nf_arena)); }

void *nf_arena_alloc(nf_arena *a, size_t bytes) {
  if (bytes > SIZE_MAX - 2 * ALIGNMENT) out_of_memory(bytes, 1);
  bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
  while (a->current >= a->n_blocks || a->used + bytes > a->blocks[a->current].size) {
    if (a->current < a->n_blocks) {  // does not fit: go on to the next block
      a->before += a->used;
      a->used = 0;
      a->current++;
      if (a->current < a->n_blocks && a->blocks[a->current].size < bytes) {
        // A kept block that is too small for this piece is replaced.
        free(a->blocks[a->current].start);
        a->blocks[a->current].start = aligned_alloc(ALIGNMENT, bytes);
        if (!a->blocks[a->current].start) out_of_memory(bytes, 1);
        a->blocks[a->current].size = bytes;
      }
    }
    if (a->current >= a->n_blocks) {
      if (a->n_blocks == a->capacity) {
        a->capacity = a->capacity ? 2 * a->capacity : 8;
        a->blocks = nf_realloc(a->blocks, a->capacity, sizeof(block));
      }
      size_t size = a->n_blocks ? a->blocks[a->n_blocks - 1].size : FIRST_BLOCK / 2;
      size = size < (64u << 20) ? 2 * size : size;
      if (size < bytes) size = bytes;
      block fresh = {aligned_alloc(ALIGNMENT, size), size};
      if (!fresh.start) out_of_memory(size, 1);
      a->blocks[a->n_blocks++] = fresh;
    }
  }
  void *p = a->blocks[a->current].start + a->used;
  a->used += bytes;
  if (a->before + a->used > a->peak) a->peak = a->before + a->used;
  return p;
}

void *nf_arena_calloc(nf_arena *arena, size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes)) out_of_memory(count, size);
  return memset(nf_arena_alloc(arena, bytes), 0, bytes);
}

char *nf_arena_strdup(nf_arena *arena, const char *text) {
  return text ? nf_arena_strndup(arena, text, strlen(text)) : NULL;
}

char *nf_arena_strndup(nf_arena *arena, const char *text, size_t length) {
  char *copy = nf_arena_alloc(arena, length + 1);
  memcpy(copy, text, length);
  copy[length] = '\0';
  return copy;
}

char *nf_arena_printf(nf_arena *arena, const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  int n = vsnprintf(NULL, 0, format, args);
  va_end(args);
  NF_ASSERT(n >= 0);
  char *text = nf_arena_alloc(arena, (size_t)n + 1);
  vsnprintf(text, (size_t)n + 1, format, again);
  va_end(again);
  return text;
}

nf_arena_mark nf_arena_here(const nf_arena *a) { return (nf_arena_mark){a->current, a->used}; }

void nf_arena_reset(nf_arena *a, nf_arena_mark mark) {
  // Bytes before the marked block. Blocks that were left part-empty make this an upper bound, good enough for a peak.
  if (mark.block < a->current) {
    size_t before = 0;
    for (size_t i = 0; i < mark.block; i++) before += a->blocks[i].size;
    a->before = before < a->before ? before : a->before;
  }
  a->current = mark.block;
  a->used = mark.used;
}

size_t nf_arena_used(const nf_arena *a) { return a->before + a->used; }
size_t nf_arena_peak(const nf_arena *a) { return a->peak; }

void nf_arena_free(nf_arena *a) {
  if (!a) return;
  for (size_t i = 0; i < a->n_blocks; i++) free(a->blocks[i].start);
  free(a->blocks);
  free(a);
}
