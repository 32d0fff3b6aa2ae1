#include "kernels/cuda/tensor_map_cuda.h"

#include <cudaTypedefs.h>

#include "core/cuda/runtime_cuda.h"
#include "core/error.h"

namespace plimsoll::kernels {

namespace {

// The driver's function, asked of the runtime: the program does not link the driver's library,
// since it starts without one.
PFN_cuTensorMapEncodeTiled_v12000 encoder() {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found{};
  PLIMSOLL_CUDA_CHECK(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000,
                                                       cudaEnableDefault, &found));
  PLIMSOLL_CHECK(found == cudaDriverEntryPointSuccess, "no cuTensorMapEncodeTiled");
  return reinterpret_cast<PFN_cuTensorMapEncodeTiled_v12000>(function);
}

}  // namespace

CUtensorMap tensor_map(const void* matrix, std::uint64_t rows, std::uint64_t words,
                       std::uint32_t box_rows, std::uint32_t box_words) {
  static const PFN_cuTensorMapEncodeTiled_v12000 kEncode = encoder();
  CUtensorMap map{};
  const cuuint64_t sizes[] = {words, rows};
  const cuuint64_t strides[] = {words * sizeof(std::uint32_t)};  // of all but the innermost
  const cuuint32_t box[] = {box_words, box_rows};
  const cuuint32_t steps[] = {1, 1};
  const CUresult result =
      kEncode(&map, CU_TENSOR_MAP_DATA_TYPE_UINT32, 2, const_cast<void*>(matrix), sizes, strides,
              box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_NONE,
              CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  PLIMSOLL_CHECK(result == CUDA_SUCCESS, "a tensor map of {} x {} words: error {}", rows, words,
                 static_cast<int>(result));
  return map;
}

}  // namespace plimsoll::kernels
