// Sums over the rows of a matrix whose values are computed on the way.
#pragma once

#include <cstdint>

#include "kernels/cuda/launch_cuda.cuh"

namespace plimsoll::kernels {

inline constexpr int kSumColumns = 32;  // of a block: 128 bytes of each row
inline constexpr int kSumLines = 32;    // each adds up every 32nd row

/// sums[c] += the sum over rows of value(row, c), c < width. The order of a sum depends on nothing.
template <class Value>
__global__ void __launch_bounds__(kSumColumns* kSumLines)
    column_sums_kernel(const __grid_constant__ Value value, std::int64_t rows, std::int64_t width,
                       float* sums) {
  __shared__ float parts[kSumLines][kSumColumns];
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.x) * kSumColumns + threadIdx.x;
  float sum = 0;
  if (column < width) {
#pragma unroll 4
    for (std::int64_t row = threadIdx.y; row < rows; row += kSumLines) sum += value(row, column);
  }
  parts[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || column >= width) return;
  float total = sums[column];
  for (int line = 0; line < kSumLines; ++line) total += parts[line][threadIdx.x];
  sums[column] = total;
}

template <class Value>
void add_column_sums_of(const Value& value, std::int64_t rows, std::int64_t width, float* sums,
                        cudaStream_t stream) {
  if (rows == 0 || width == 0) return;
  const auto blocks = static_cast<unsigned>((width + kSumColumns - 1) / kSumColumns);
  launch(column_sums_kernel<Value>, {dim3(blocks), dim3(kSumColumns, kSumLines)}, stream, value,
         rows, width, sums);
}

}  // namespace plimsoll::kernels
