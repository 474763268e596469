// The table of the CUDA ops, and the device they run on.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tensor/cuda/common.cuh"
#include "tensor/cuda/cuda.h"

cudaStream_t cuda_stream;
bool cuda_fp32;

void cuda_check(cudaError_t error, const char *file, int line) {
  if (error == cudaSuccess) return;
  fprintf(stderr, "nativefold: the GPU failed: %s (%s:%d)\n", cudaGetErrorString(error), file, line);
  exit(NF_FAILED);
}

static void *allocate(size_t bytes) {
  void *memory = NULL;
  if (cudaMalloc(&memory, bytes > 0 ? bytes : 1) == cudaSuccess) return memory;
  cudaGetLastError();  // an answer, not a failure
  return NULL;
}
static void release(void *memory) {
  CUDA_CHECK(cudaStreamSynchronize(cuda_stream));
  CUDA_CHECK(cudaFree(memory));
}
static void upload(void *to, const void *from, size_t bytes) {
  CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, cuda_stream));
  CUDA_CHECK(cudaStreamSynchronize(cuda_stream));  // the caller may change `from`
}
static void download(void *to, const void *from, size_t bytes) {
  CUDA_CHECK(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, cuda_stream));
  CUDA_CHECK(cudaStreamSynchronize(cuda_stream));
}

static cudaDeviceProp properties;

static const char *description(void) {
  static char text[640];
  snprintf(text, sizeof text, "%s, %.0f GiB%s", properties.name, (double)properties.totalGlobalMem / (1 << 30),
           cuda_fp32 ? ", fp32" : "");
  return text;
}

// A large layer in fp32 as the network has it (products in TF32); the best of a few.
static double measure_peak(void) {
  enum { SIZE = 4096 };
  size_t bytes = (size_t)SIZE * SIZE * sizeof(float);
  float *memory = (float *)allocate(3 * bytes);
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
  void *rest = allocate(dry.peak);
  if (!rest) {
    release(memory);
    return 0;
  }
  nf_context context = context_create(cuda_ops(), rest, dry.peak);
  double best = 0;
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
  release(rest);
  release(memory);
  return best;
}

static nf_ops table;

static void fill_table(void) {
  table.name = "cuda";
  table.allocate = allocate;
  table.release = release;
  table.upload = upload;
  table.download = download;
  table.host_memory = false;
#define FILL(op) table.op = cuda_##op
  FILL(layer_norm), FILL(linear), FILL(transition), FILL(triangle_multiply), FILL(triangle_attention), FILL(pair_logits);
  FILL(attention), FILL(atom_attention), FILL(outer_product_mean), FILL(pair_average), FILL(gather), FILL(copy_columns);
  FILL(scale), FILL(outer_sum), FILL(relative_embed), FILL(relative_concat), FILL(add_rows), FILL(msa_embed);
  FILL(distance_embed), FILL(template_embed), FILL(atom_embed), FILL(atom_pair), FILL(atoms_to_tokens), FILL(expectation);
  FILL(augment), FILL(add_normals);
#undef FILL
  table.measure_peak = measure_peak;
  table.description = description;
}

static char problem[400];
const char *cuda_problem(void) { return problem; }

const nf_ops *cuda_ops(void) {
  static bool tried;
  if (tried) return table.name ? &table : NULL;
  tried = true;
  int count = 0;
  cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess || count == 0) {
    snprintf(problem, sizeof problem, "this machine has no NVIDIA GPU that can be used (%s)",
             error == cudaSuccess ? "none found" : cudaGetErrorString(error));
    cudaGetLastError();
    return NULL;
  }
  const char *wish = getenv("NATIVEFOLD_CUDA_FP32");
  cuda_fp32 = wish && strcmp(wish, "0") != 0;
  CUDA_CHECK(cudaGetDeviceProperties(&properties, 0));
  if (properties.major < 8) {
    snprintf(problem, sizeof problem, "the %s has compute capability %d.%d, but 8.0 (A100) or above is needed",
             properties.name, properties.major, properties.minor);
    return NULL;
  }
  CUDA_CHECK(cudaSetDevice(0));
  CUDA_CHECK(cudaStreamCreateWithFlags(&cuda_stream, cudaStreamNonBlocking));
  fill_table();
  return &table;
}
