// The copy engine's maps.
#include "tensor/cuda/tiles.cuh"

CUtensorMap tile_map(const tile_source *source) {
  // The driver's function, found when it is first wanted: the program is not linked with the driver.
  static decltype(&cuTensorMapEncodeTiled) encode;
  if (!encode) {
    cudaDriverEntryPointQueryResult found;
    CUDA_CHECK(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", (void **)&encode, 12000, cudaEnableDefault, &found));
    NF_ASSERT(found == cudaDriverEntryPointSuccess);
  }
  cuuint64_t n[4], stride[3];
  cuuint32_t box[4], step[4] = {1, 1, 1, 1};
  for (int i = 0; i < source->n_dims; i++) {
    n[i] = (cuuint64_t)source->n[i];
    if (i > 0) stride[i - 1] = (cuuint64_t)source->stride[i] * sizeof(half);
    box[i] = i == 0 ? 64 : i == source->rows_axis ? (cuuint32_t)source->rows : 1;
  }
  CUtensorMap map;
  CUresult result = encode(&map, CU_TENSOR_MAP_DATA_TYPE_FLOAT16, (cuuint32_t)source->n_dims, (void *)source->data, n, stride, box,
                           step, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
                           CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  NF_ASSERT(result == CUDA_SUCCESS);
  return map;
}
