// The gradient of an embedding table, on a GPU. nvcc reads this header.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace plimsoll::kernels {

/// All pointers are the device's, 16-byte aligned, f32 but the ids.
struct DeviceEmbeddingGradientArgs {
  const std::int32_t* ids = nullptr;  // [rows]; one outside the table is passed over
  std::int64_t rows = 0;
  const float* dy = nullptr;  // [rows, width]
  std::int64_t width = 0;     // a multiple of 4
  std::int64_t vocabulary = 0;
  float* dtable = nullptr;  // [vocabulary, width]
};

/// dtable[ids[r]] += dy[r], of equal ids in the order of rows: the same bits every time.
void embedding_backward(const DeviceEmbeddingGradientArgs& args, cudaStream_t stream);

}  // namespace plimsoll::kernels
