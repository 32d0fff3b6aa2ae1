// RMSNorm and LayerNorm of rms_norm.h and layer_norm.h on a GPU, for where no product takes them
// in. nvcc reads this header.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace plimsoll::kernels {

/// All pointers are the device's, f32, 16-byte aligned.
struct DeviceNormArgs {
  const float* x = nullptr;  // [rows, width], contiguous
  std::int64_t rows = 0;
  std::int64_t width = 0;         // a multiple of 4
  const float* weight = nullptr;  // [width]
  const float* bias = nullptr;    // [width], layer_norm only; nullptr: none
  float epsilon = 0;
  float* y = nullptr;  // [rows, width]; may be x
  bool dependent = true;
};

void rms_norm(const DeviceNormArgs& args, cudaStream_t stream);
void layer_norm(const DeviceNormArgs& args, cudaStream_t stream);

}  // namespace plimsoll::kernels
