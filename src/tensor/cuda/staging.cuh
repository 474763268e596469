// Tensors that are away (nf_tensor.away) pass through the device in tiles, on streams of their own: while one tile is worked on,
// the next one arrives and the last one leaves.
#ifndef NF_TENSOR_CUDA_STAGING_CUH
#define NF_TENSOR_CUDA_STAGING_CUH

#include "tensor/cuda/narrow.cuh"

// ---- what arrives and leaves ----

// A place of a tile on the host: `lines` runs of `bytes` each, `apart` bytes from one another. On the device they follow one
// another.
typedef struct {
  char *host;
  size_t bytes, lines, apart;
} away_part;

// Memory on the device that tiles take in turn. An op has at most one with PAIR_TILES and one with SUM_TILES.
enum staged { PAIR_TILES, SUM_TILES, STAGED };
typedef struct {
  enum { MOST = 3 };
  staged what;
  char *memory[MOST];
  bool used[MOST];
} turns;
turns turns_of(nf_context *context, staged what, int n, size_t bytes);  // in scratch
// A tile comes as soon as the slot is free, whatever cuda_stream is at. Before that works on it, turns_await.
void turns_bring(turns *t, int slot, away_part from);
void turns_await(turns *t, int slot);
// A tile is to be made in the slot: cuda_stream waits until that is free.
void turns_take(turns *t, int slot);
// cuda_stream has worked on the tile: it leaves, or is not wanted any more. The slot is free afterwards.
void turns_leave(turns *t, int slot, away_part to);
void turns_release(turns *t, int slot);
// What arrives from now on sees all that has left.
void turns_settle(void);

// ---- a pair tensor in tiles ----

// Rows or columns first .. first + count of a pair tensor, whole the other way: pair (i, j) of them lies at data + (i * apart + j) C.
typedef struct {
  bf16 *data;
  int first, count;
  int64_t apart;
} pair_tile;

// A narrow tensor (N, M, C), or (N, C), of which passes are made in tiles. One that is on the device is worked on where it lies.
typedef struct {
  nf_tensor x;
  turns tiles;
  bool columns;
  int64_t n, count, first;  // of the pass, and of the tile that comes next
  int turn;                 // tiles so far, of all passes
} pair_passes;
// Rows or columns that an op makes at once, by the memory plan.
static inline int64_t rows_at_once(const nf_context *context, nf_tensor x) {
  int64_t n = x.shape[0], most = context->chunk_rows > 0 ? context->chunk_rows : x.away ? 256 : n;
  return most < n ? most : n;
}
// Tiles of at most `count` rows or columns, in scratch if x is away.
pair_passes passes_of(nf_context *context, nf_tensor x, int64_t count);
// All that an op stages lies between these two: what arrives sees what cuda_stream did before, and that sees afterwards all that
// has left.
void passes_open(pair_passes *p);
void passes_close(pair_passes *p);
// A pass: for (passes_begin(&p, columns, count); passes_next(&p, &tile);) { work; passes_put_back(&p) or passes_release(&p); }
void passes_begin(pair_passes *p, bool columns, int64_t count);
bool passes_next(pair_passes *p, pair_tile *ret_tile);
void passes_put_back(pair_passes *p);  // the tile has changed
void passes_release(pair_passes *p);   // it has only been read

#endif
