// Memory: checked heap calls, and arenas for things that live and die together.
#ifndef NF_BASE_MEMORY_H
#define NF_BASE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

// Never return NULL: where the system has no memory left the program ends with one sentence and exit code 3.
// Sizes that come from a user's file are checked by the reader before they get here.
void *nf_alloc(size_t bytes);                           // uninitialised
void *nf_calloc(size_t count, size_t size);             // zeros; count * size is checked for overflow
void *nf_realloc(void *old, size_t count, size_t size); // count * size is checked for overflow
char *nf_strdup(const char *text);                      // NULL gives NULL
char *nf_strndup(const char *text, size_t length);

// An arena hands out pieces that are all freed at once. Pieces are 64-byte aligned.
typedef struct nf_arena nf_arena;
nf_arena *nf_arena_create(void);
void *nf_arena_alloc(nf_arena *arena, size_t bytes);             // uninitialised
void *nf_arena_calloc(nf_arena *arena, size_t count, size_t size);  // zeros
char *nf_arena_strdup(nf_arena *arena, const char *text);
char *nf_arena_strndup(nf_arena *arena, const char *text, size_t length);
char *nf_arena_printf(nf_arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Everything allocated after the mark is given back by the reset; pieces stay valid across later allocations.
typedef struct {
  size_t block;
  size_t used;
} nf_arena_mark;
nf_arena_mark nf_arena_here(const nf_arena *arena);
void nf_arena_reset(nf_arena *arena, nf_arena_mark mark);
size_t nf_arena_used(const nf_arena *arena);  // bytes in use now
size_t nf_arena_peak(const nf_arena *arena);  // most bytes ever in use at once
void nf_arena_free(nf_arena *arena);          // NULL is fine

// NF_NEW(arena, type, n): n zeroed objects.
#define NF_NEW(arena, type, n) ((type *)nf_arena_calloc((arena), (size_t)(n), sizeof(type)))

#endif
