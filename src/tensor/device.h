// Where ops run, and the memory they run in.
#ifndef NF_TENSOR_DEVICE_H
#define NF_TENSOR_DEVICE_H

#include "base/status.h"
#include "tensor/tensor.h"

// Every op of a device (ops.h).
typedef struct nf_ops nf_ops;

// One run's state: a stack of memory on the device, and counts. A dry context hands out no memory and makes every op
// return before it computes, so that the same model code counts bytes and FLOPs first.
typedef struct {
  const nf_ops *ops;
  bool dry;
  int n_threads;
  char *memory;       // on the device; NULL in a dry context
  size_t size, used, peak;
  char *host;  // the same in the host's page-locked memory, for tensors that are away
  size_t host_size, host_used, host_peak;
  bool reduced;       // products may be made in bf16 (trunk, confidence); else, on a GPU, in TF32
  int64_t chunk_rows;  // rows of a pair tensor that an op's own copies hold at once, by the memory plan; 0: all
  int plane_channels;  // channels of triangle multiplication's whole factor on the device at once, if x is away; 0: all
  bool offload;        // the sum over templates waits in the host's memory while one is embedded, by the memory plan
  int64_t flops;      // of matrix products so far, two a multiply-add
} nf_context;

// "cpu": the fast ops; "plain": the loops that are the truth; "cuda": a GPU; "auto": a GPU if there is one, else the
// CPU. NULL if this build or machine has no such device.
const nf_ops *device_ops(const char *name);
// Which of the visible GPUs "cuda" and "auto" mean, and the most bytes of its memory to use (0: what is free). Before
// the first device_ops, or without effect.
void device_choose_gpu(int index, int64_t most_bytes);
// "cuda" becomes the named card, there or not, for dry contexts alone ("h100", "h200", "a100-40", "a100-80"). False: it is not
// known, or this build has no CUDA. Before the first device_ops.
bool device_assume_gpu(const char *name);
const char *device_problem(void);  // after "cuda" gave NULL: why, half a sentence

nf_context context_dry(const nf_ops *ops);
// `memory` (64-byte aligned, on the device) stays the caller's.
nf_context context_create(const nf_ops *ops, void *memory, size_t size);

// 64-byte aligned, uninitialised; too small a memory is our mistake (the dry pass counted otherwise).
void *context_alloc(nf_context *context, size_t bytes);
static inline size_t context_here(const nf_context *context) { return context->used; }
static inline void context_reset(nf_context *context, size_t mark) { context->used = mark; }
nf_tensor context_tensor(nf_context *context, int n_dims, int64_t a, int64_t b, int64_t c, int64_t d);
// The same for pair, template and MSA representations: bf16 where the device has them so (nf_ops.narrow).
nf_tensor context_narrow(nf_context *context, int n_dims, int64_t a, int64_t b, int64_t c, int64_t d);
// A tensor in the host's page-locked memory (nf_tensor.away), narrow as context_narrow has it or else float. It is on a stack
// of its own: context_away_reset gives back what was taken since context_away_here. Not where host and device memory are one.
nf_tensor context_away(nf_context *context, bool narrow, int n_dims, int64_t a, int64_t b, int64_t c, int64_t d);
static inline size_t context_away_here(const nf_context *context) { return context->host_used; }
static inline void context_away_reset(nf_context *context, size_t mark) { context->host_used = mark; }
// All values of a tensor as floats on the host, and back (rounded where the tensor is narrow).
void context_download(const nf_context *context, float *host, nf_tensor t);
void context_upload_to(const nf_context *context, nf_tensor t, const float *host);
// An array of the host as ops see it: itself where memory is one, else a copy in the context. Dry: NULL, counted.
const void *context_upload(nf_context *context, const void *host, size_t bytes);
#define CONTEXT_1(context, a) context_tensor(context, 1, a, 1, 1, 1)
#define CONTEXT_2(context, a, b) context_tensor(context, 2, a, b, 1, 1)
#define CONTEXT_3(context, a, b, c) context_tensor(context, 3, a, b, c, 1)
#define CONTEXT_NARROW_3(context, a, b, c) context_narrow(context, 3, a, b, c, 1)
#define CONTEXT_4(context, a, b, c, d) context_tensor(context, 4, a, b, c, d)

// A part of a run that is done again and again with the same arguments at the same addresses: run plainly the first
// time, recorded the second time where the device can (a CUDA graph), and replayed from then on. The body only calls
// ops; what changes between runs, it reads from the device.
typedef struct {
  int runs;
  void *recording;  // the device's; NULL: none
  int64_t flops;    // of one run
} nf_repetition;
void context_repeat(nf_context *context, nf_repetition *repetition, void (*body)(nf_context *context, void *arguments),
                    void *arguments);
void context_end_repeat(nf_context *context, nf_repetition *repetition);

// The machine's fp32 peak of matrix products, FLOP/s over all threads: the best of a few short measurements.
double device_measure_peak(const nf_ops *ops);
const char *device_description(const nf_ops *ops);  // "CPU, 2 threads, avx512"

#endif
