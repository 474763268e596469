// The streams and events by which tiles arrive and leave.
#include "tensor/cuda/staging.cuh"

typedef struct {
  cudaEvent_t arrived, worked, free;
} slot_events;
static cudaStream_t arriving, leaving;
static cudaEvent_t begun, gone;
static slot_events events[STAGED][turns::MOST];

static void make_event(cudaEvent_t *event) { CUDA_CHECK(cudaEventCreateWithFlags(event, cudaEventDisableTiming)); }
static void make_streams(void) {
  CUDA_CHECK(cudaStreamCreateWithFlags(&arriving, cudaStreamNonBlocking));
  CUDA_CHECK(cudaStreamCreateWithFlags(&leaving, cudaStreamNonBlocking));
  make_event(&begun);
  make_event(&gone);
  for (int i = 0; i < STAGED; i++)
    for (int j = 0; j < turns::MOST; j++) {
      slot_events *e = &events[i][j];
      make_event(&e->arrived), make_event(&e->worked), make_event(&e->free);
    }
}

// What `later` is given from now on waits for all that `earlier` has been given.
static void order(cudaStream_t earlier, cudaEvent_t event, cudaStream_t later) {
  CUDA_CHECK(cudaEventRecord(event, earlier));
  CUDA_CHECK(cudaStreamWaitEvent(later, event, 0));
}

// Lines that follow one another are one.
static void copy(void *to, size_t to_apart, const void *from, size_t from_apart, const away_part *part, cudaStream_t stream) {
  if (part->apart == part->bytes) CUDA_CHECK(cudaMemcpyAsync(to, from, part->bytes * part->lines, cudaMemcpyDefault, stream));
  else CUDA_CHECK(cudaMemcpy2DAsync(to, to_apart, from, from_apart, part->bytes, part->lines, cudaMemcpyDefault, stream));
}

turns turns_of(nf_context *context, staged what, int n, size_t bytes) {
  turns t = {};
  t.what = what;
  for (int i = 0; i < n; i++) t.memory[i] = scratch<char>(context, (int64_t)bytes);
  return t;
}

static void wait_free(turns *t, int slot, cudaStream_t stream) {
  if (t->used[slot]) CUDA_CHECK(cudaStreamWaitEvent(stream, events[t->what][slot].free, 0));
  t->used[slot] = true;
}
void turns_bring(turns *t, int slot, away_part from) {
  wait_free(t, slot, arriving);
  copy(t->memory[slot], from.bytes, from.host, from.apart, &from, arriving);
  CUDA_CHECK(cudaEventRecord(events[t->what][slot].arrived, arriving));
}
void turns_await(turns *t, int slot) { CUDA_CHECK(cudaStreamWaitEvent(cuda_stream, events[t->what][slot].arrived, 0)); }
void turns_take(turns *t, int slot) { wait_free(t, slot, cuda_stream); }
void turns_leave(turns *t, int slot, away_part to) {
  const slot_events *e = &events[t->what][slot];
  order(cuda_stream, e->worked, leaving);
  copy(to.host, to.apart, t->memory[slot], to.bytes, &to, leaving);
  CUDA_CHECK(cudaEventRecord(e->free, leaving));
}
void turns_release(turns *t, int slot) { CUDA_CHECK(cudaEventRecord(events[t->what][slot].free, cuda_stream)); }
void turns_settle(void) { order(leaving, gone, arriving); }

// ---- a pair tensor in tiles ----

pair_passes passes_of(nf_context *context, nf_tensor x, int64_t count) {
  pair_passes p = {};
  p.x = x;
  if (x.away) p.tiles = turns_of(context, PAIR_TILES, turns::MOST, (size_t)(tensor_bytes(x) / x.shape[0] * count));
  return p;
}

// Pairs of a row of x, and tiles' places.
static int64_t across(const pair_passes *p) { return tensor_rows(p->x) / p->x.shape[0]; }
static int slot_of(int turn) { return turn % turns::MOST; }
static int64_t count_at(const pair_passes *p, int64_t first) { return p->n - first < p->count ? p->n - first : p->count; }
static away_part part_at(const pair_passes *p, int64_t first) {
  size_t pair = (size_t)(tensor_last(p->x) * tensor_value_bytes(p->x)), row = (size_t)across(p) * pair,
         count = (size_t)count_at(p, first);
  char *x = (char *)p->x.data;
  if (p->columns) return away_part{x + (size_t)first * pair, count * pair, (size_t)p->x.shape[0], row};
  return away_part{x + (size_t)first * row, row, count, row};
}

void passes_open(pair_passes *p) {
  if (!p->x.away) return;
  if (!arriving) make_streams();
  order(cuda_stream, begun, arriving);
  CUDA_CHECK(cudaStreamWaitEvent(leaving, begun, 0));
}
// Nothing has arrived that cuda_stream has not waited for.
void passes_close(pair_passes *p) {
  if (p->x.away) order(leaving, gone, cuda_stream);
}

void passes_begin(pair_passes *p, bool columns, int64_t count) {
  p->columns = columns;
  p->n = columns ? across(p) : p->x.shape[0];
  p->count = count;
  p->first = 0;
}

bool passes_next(pair_passes *p, pair_tile *ret_tile) {
  int64_t first = p->first, count = count_at(p, first), c = tensor_last(p->x);
  if (first >= p->n) return false;
  p->first += count;
  if (p->x.away) {
    int slot = slot_of(p->turn++);
    turns_bring(&p->tiles, slot, part_at(p, first));
    turns_await(&p->tiles, slot);
    *ret_tile = pair_tile{(bf16 *)p->tiles.memory[slot], (int)first, (int)count, p->columns ? count : across(p)};
  } else {
    *ret_tile = pair_tile{narrow_data(p->x) + first * (p->columns ? 1 : across(p)) * c, (int)first, (int)count, across(p)};
  }
  return true;
}

// The tile that passes_next gave last.
void passes_put_back(pair_passes *p) {
  if (!p->x.away) return;
  int64_t first = (p->first - 1) / p->count * p->count;
  turns_leave(&p->tiles, slot_of(p->turn - 1), part_at(p, first));
}
void passes_release(pair_passes *p) {
  if (p->x.away) turns_release(&p->tiles, slot_of(p->turn - 1));
}
