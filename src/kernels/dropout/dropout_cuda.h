// Dropout on a GPU. nvcc reads this header.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace plimsoll::kernels {

/// All pointers are the device's, f32, contiguous.
struct DeviceDropoutArgs {
  const float* x = nullptr;  // [rows, width]
  std::int64_t rows = 0;
  std::int64_t width = 0;
  double share = 0;        // of the elements, left out: in [0, 1)
  std::uint64_t seed = 0;  // element i of row r is left out if Rng(seed, r) draws less as its i-th
  float* y = nullptr;      // [rows, width]; may be x
};

/// y = 0 where Rng(seed, row)'s uniform number of the column is below the share, x / (1 - share)
/// elsewhere: the CPU's choice, element by element.
void dropout(const DeviceDropoutArgs& args, cudaStream_t stream);
/// The same, added to y: the gradient of x from that of y. y is apart from x.
void add_dropout(const DeviceDropoutArgs& args, cudaStream_t stream);

}  // namespace plimsoll::kernels
