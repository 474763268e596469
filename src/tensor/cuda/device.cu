// The table of the CUDA ops, and the device they run on.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/cuda/common.cuh"
#include "tensor/cuda/cuda.h"
#include "tensor/cuda/pack.cuh"

cudaStream_t cuda_stream;
bool cuda_fp32;

void cuda_check(cudaError_t error, const char *file, int line) {
  if (error == cudaSuccess) return;
  fprintf(stderr, "nativefold: the GPU failed: %s (%s:%d)\n", cudaGetErrorString(error), file, line);
  exit(NF_FAILED);
}

// Cards that need not be there for a plan: what a program finds free on them, and the peak that measure_peak gives.
static const struct {
  const char *name, *text;
  int major;
  double gib, peak;  // 0: not measured
} cards[] = {{"h100", "NVIDIA H100 80GB", 9, 79.1, 405e12},
             {"h200", "NVIDIA H200", 9, 139.8, 412e12},
             {"a100-40", "NVIDIA A100 40GB", 8, 39.0, 0},
             {"a100-80", "NVIDIA A100 80GB", 8, 78.7, 0}};
static int assumed = -1;  // of cards
int cuda_assumed_major(void) { return assumed >= 0 ? cards[assumed].major : 0; }

// ---- Memory

// What has been handed out, so that releases can be counted.
typedef struct {
  void *memory;
  size_t bytes;
} block;
static block *blocks;
static int n_blocks;
static size_t in_use, most_used, ceiling;

void *cuda_allocate(size_t bytes) {
  if (bytes == 0) bytes = 1;
  if (ceiling && in_use + bytes > ceiling) return NULL;
  void *memory = NULL;
  if (cudaMalloc(&memory, bytes) != cudaSuccess) {
    cudaGetLastError();  // an answer, not a failure
    return NULL;
  }
  blocks = (block *)nf_realloc(blocks, (size_t)n_blocks + 1, sizeof *blocks);
  blocks[n_blocks++] = block{memory, bytes};
  in_use += bytes;
  if (in_use > most_used) most_used = in_use;
  return memory;
}

void cuda_release(void *memory) {
  if (!memory) return;
  CUDA_CHECK(cudaStreamSynchronize(cuda_stream));
  for (int i = 0; i < n_blocks; i++)
    if (blocks[i].memory == memory) {
      in_use -= blocks[i].bytes;
      blocks[i] = blocks[--n_blocks];
      break;
    }
  CUDA_CHECK(cudaFree(memory));
}

static void release(void *memory) {
  pack_forget(memory);
  cuda_release(memory);
}

static int64_t memory_peak(bool reset) {
  int64_t peak = (int64_t)most_used;
  if (reset) most_used = in_use;
  return peak;
}

static int64_t memory_room(void) {
  size_t there = 0, all = 0;
  if (assumed >= 0) {
    int64_t room = (int64_t)(cards[assumed].gib * (1 << 30));
    return ceiling && (int64_t)ceiling < room ? (int64_t)ceiling : room;
  }
  CUDA_CHECK(cudaMemGetInfo(&there, &all));
  there += in_use;
  return (int64_t)(ceiling && ceiling < there ? ceiling : there);
}

// ---- Copies. They pass through memory that the GPU reads by itself: a few pieces in turn, so that the host fills or
// empties one while another is on its way, and an upload need not wait for what the GPU still computes.
enum { N_PIECES = 4 };
static const size_t piece_bytes = (size_t)8 << 20;
typedef struct {
  char *memory[N_PIECES];
  cudaEvent_t done[N_PIECES];
  bool pending[N_PIECES];
  int at;
  size_t used;  // of piece `at`: small uploads share one
} pieces;
static pieces up, down;
static bool recording;

static void make_pieces(pieces *p) {
  for (int i = 0; i < N_PIECES; i++) {
    CUDA_CHECK(cudaHostAlloc((void **)&p->memory[i], piece_bytes, cudaHostAllocDefault));
    CUDA_CHECK(cudaEventCreateWithFlags(&p->done[i], cudaEventDisableTiming));
  }
}

static void wait_piece(pieces *p, int i) {
  if (p->pending[i]) CUDA_CHECK(cudaEventSynchronize(p->done[i]));
  p->pending[i] = false;
}

static void upload(void *to, const void *from, size_t bytes) {
  NF_ASSERT(!recording);  // a replay would find another upload's bytes
  for (size_t first = 0, count; first < bytes; first += count) {
    if (up.used == piece_bytes) {  // on to the next piece, when its copies have left
      CUDA_CHECK(cudaEventRecord(up.done[up.at], cuda_stream));
      up.pending[up.at] = true;
      up.at = (up.at + 1) % N_PIECES;
      up.used = 0;
      wait_piece(&up, up.at);
    }
    count = bytes - first < piece_bytes - up.used ? bytes - first : piece_bytes - up.used;
    char *piece = up.memory[up.at] + up.used;
    memcpy(piece, (const char *)from + first, count);
    CUDA_CHECK(cudaMemcpyAsync((char *)to + first, piece, count, cudaMemcpyDefault, cuda_stream));
    up.used += (count + 15) / 16 * 16;
    if (up.used > piece_bytes) up.used = piece_bytes;
  }
}

static void download(void *to, const void *from, size_t bytes) {
  size_t asked = 0, got = 0;
  int next = 0, oldest = 0;
  while (got < bytes) {
    for (; asked < bytes && !down.pending[next]; next = (next + 1) % N_PIECES) {
      size_t count = bytes - asked < piece_bytes ? bytes - asked : piece_bytes;
      CUDA_CHECK(cudaMemcpyAsync(down.memory[next], (const char *)from + asked, count, cudaMemcpyDefault, cuda_stream));
      CUDA_CHECK(cudaEventRecord(down.done[next], cuda_stream));
      down.pending[next] = true;
      asked += count;
    }
    size_t count = bytes - got < piece_bytes ? bytes - got : piece_bytes;
    wait_piece(&down, oldest);
    memcpy((char *)to + got, down.memory[oldest], count);
    got += count;
    oldest = (oldest + 1) % N_PIECES;
  }
}

// Page-locked, so that the card reaches it at the full rate of its bus.
static void *host_allocate(size_t bytes) {
  void *memory = NULL;
  if (cudaHostAlloc(&memory, bytes, cudaHostAllocDefault) == cudaSuccess) return memory;
  cudaGetLastError();
  return NULL;
}
static void host_release(void *memory) {
  if (!memory) return;
  CUDA_CHECK(cudaStreamSynchronize(cuda_stream));
  CUDA_CHECK(cudaFreeHost(memory));
}
static void put_away(void *host, const void *device, size_t bytes) {
  CUDA_CHECK(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDefault, cuda_stream));
}
static void bring_back(void *device, const void *host, size_t bytes) {
  CUDA_CHECK(cudaMemcpyAsync(device, host, bytes, cudaMemcpyDefault, cuda_stream));
}

// ---- Recordings: what a body launches, as a graph.
static bool record(void) {
  recording = true;
  CUDA_CHECK(cudaStreamBeginCapture(cuda_stream, cudaStreamCaptureModeRelaxed));
  return true;
}
static void *recorded(void) {
  cudaGraph_t graph;
  cudaGraphExec_t executable = NULL;
  recording = false;
  CUDA_CHECK(cudaStreamEndCapture(cuda_stream, &graph));
  CUDA_CHECK(cudaGraphInstantiate(&executable, graph, 0));
  CUDA_CHECK(cudaGraphDestroy(graph));
  return executable;
}
static void replay(void *graph) { CUDA_CHECK(cudaGraphLaunch((cudaGraphExec_t)graph, cuda_stream)); }
static void forget(void *graph) {
  CUDA_CHECK(cudaStreamSynchronize(cuda_stream));
  CUDA_CHECK(cudaGraphExecDestroy((cudaGraphExec_t)graph));
}

static bool narrow(void) { return !cuda_fp32; }

__global__ void probe_kernel() {}

static cudaDeviceProp properties;


static const char *description(void) {
  static char text[640];
  if (assumed >= 0) {
    snprintf(text, sizeof text, "%s, not looked for", cards[assumed].text);
    return text;
  }
  snprintf(text, sizeof text, "%s, %.0f GiB%s", properties.name, (double)properties.totalGlobalMem / (1 << 30),
           cuda_fp32 ? ", fp32" : "");
  return text;
}

// A large layer in fp32 as the network has it (products in TF32); the best of a few.
static double measure_peak(void) {
  enum { SIZE = 4096 };
  static double best;  // measured once
  if (assumed >= 0) return cards[assumed].peak;
  if (best > 0) return best;
  size_t bytes = (size_t)SIZE * SIZE * sizeof(float);
  float *memory = (float *)cuda_allocate(3 * bytes);
  if (!memory) return 0;
  CUDA_CHECK(cudaMemsetAsync(memory, 0, 3 * bytes, cuda_stream));
  cudaEvent_t start, stop;
  CUDA_CHECK(cudaEventCreate(&start));
  CUDA_CHECK(cudaEventCreate(&stop));
  op_linear a = {};
  a.x = tensor_2(memory, SIZE, SIZE);
  a.w = tensor_2(memory + SIZE * SIZE, SIZE, SIZE);
  a.y = tensor_2(memory + 2 * SIZE * SIZE, SIZE, SIZE);
  nf_context dry = context_dry(cuda_ops());
  cuda_linear(&dry, &a);
  void *rest = cuda_allocate(dry.peak);
  if (!rest) {
    cuda_release(memory);
    return 0;
  }
  nf_context context = context_create(cuda_ops(), rest, dry.peak);
  for (int trial = 0; trial < 5; trial++) {
    CUDA_CHECK(cudaEventRecord(start, cuda_stream));
    cuda_linear(&context, &a);
    CUDA_CHECK(cudaEventRecord(stop, cuda_stream));
    CUDA_CHECK(cudaEventSynchronize(stop));
    float milliseconds = 0;
    CUDA_CHECK(cudaEventElapsedTime(&milliseconds, start, stop));
    double rate = 2.0 * SIZE * SIZE * SIZE / (milliseconds * 1e-3);
    if (rate > best) best = rate;
  }
  CUDA_CHECK(cudaEventDestroy(start));
  CUDA_CHECK(cudaEventDestroy(stop));
  cuda_release(rest);
  cuda_release(memory);
  return best;
}

static nf_ops table;

static void fill_table(void) {
  table.name = "cuda";
  table.allocate = cuda_allocate;
  table.release = release;
  table.upload = upload;
  table.download = download;
  table.host_memory = false;
  table.narrow = narrow;
  table.host_allocate = host_allocate;
  table.host_release = host_release;
  table.put_away = put_away;
  table.bring_back = bring_back;
  table.keep = pack_keep;
  table.record = record;
  table.recorded = recorded;
  table.replay = replay;
  table.forget = forget;
  table.memory_peak = memory_peak;
  table.memory_room = memory_room;
#define FILL(op) table.op = cuda_##op
  FILL(layer_norm), FILL(linear), FILL(linears), FILL(transition), FILL(triangle_multiply), FILL(triangle_attention), FILL(pair_logits);
  FILL(attention), FILL(kept_logits), FILL(keep_logits), FILL(kept_rows), FILL(keep_rows), FILL(atom_attention), FILL(outer_product_mean), FILL(pair_average), FILL(gather), FILL(copy_columns);
  FILL(scale), FILL(outer_sum), FILL(relative_embed), FILL(relative_concat), FILL(add_rows), FILL(msa_embed);
  FILL(distance_embed), FILL(template_embed), FILL(atom_embed), FILL(atom_pair), FILL(atoms_to_tokens), FILL(expectation);
  FILL(augment), FILL(add_normals);
#undef FILL
  table.measure_peak = measure_peak;
  table.description = description;
}

static char problem[400];
const char *cuda_problem(void) { return problem; }

static int wished_device;
void cuda_choose(int device, int64_t most_bytes) {
  wished_device = device;
  ceiling = (size_t)most_bytes;
}

bool cuda_assume(const char *name) {
  for (size_t i = 0; i < sizeof cards / sizeof *cards; i++)
    if (strcmp(cards[i].name, name) == 0) {
      assumed = (int)i;
      fill_table();
      table.dry_only = true;
      return true;
    }
  return false;
}

const nf_ops *cuda_ops(void) {
  if (assumed >= 0) return &table;
  static bool tried;
  if (tried) return table.name ? &table : NULL;
  tried = true;
  int count = 0;
  cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess || count == 0) {
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    if (error == cudaErrorInsufficientDriver) {
      int runtime = CUDART_VERSION;
      snprintf(problem, sizeof problem, "this machine has no NVIDIA driver, or one older than CUDA %d.%d needs",
               runtime / 1000, runtime % 1000 / 10);
    } else if (visible) {
      snprintf(problem, sizeof problem, "CUDA_VISIBLE_DEVICES=%.100s leaves no NVIDIA GPU to use", visible);
    } else {
      snprintf(problem, sizeof problem, "this machine has no NVIDIA GPU that can be used (%s)",
               error == cudaSuccess ? "none found" : cudaGetErrorString(error));
    }
    cudaGetLastError();
    return NULL;
  }
  const char *wish = getenv("NATIVEFOLD_CUDA_FP32");
  cuda_fp32 = wish && strcmp(wish, "0") != 0;
  if (wished_device >= count) {
    snprintf(problem, sizeof problem, "--gpu_device=%d: there %s %d visible GPU%s, counted from 0", wished_device,
             count == 1 ? "is" : "are", count, count == 1 ? "" : "s");
    return NULL;
  }
  CUDA_CHECK(cudaGetDeviceProperties(&properties, wished_device));
  if (properties.major < 8) {
    snprintf(problem, sizeof problem,
             "the %s has compute capability %d.%d, but 8.0 (A100) or above is needed: A100, A10, RTX 30, 40 and 50, L4, "
             "L40, H100, H200",
             properties.name, properties.major, properties.minor);
    return NULL;
  }
  CUDA_CHECK(cudaSetDevice(wished_device));
  // A card that this build holds no code for fails at its first kernel, whichever that is.
  cudaFuncAttributes attributes;
  if (cudaFuncGetAttributes(&attributes, probe_kernel) != cudaSuccess) {
    cudaGetLastError();
    snprintf(problem, sizeof problem,
             "the %s has compute capability %d.%d, and this program was built for other cards (make cuda=1 CUDA_ARCH=%d%d)",
             properties.name, properties.major, properties.minor, properties.major, properties.minor);
    return NULL;
  }
  CUDA_CHECK(cudaStreamCreateWithFlags(&cuda_stream, cudaStreamNonBlocking));
  make_pieces(&up);
  make_pieces(&down);
  fill_table();
  return &table;
}
