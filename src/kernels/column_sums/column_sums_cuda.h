// The sum of a matrix' rows, on a GPU: the gradient of a bias. nvcc reads this header.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace plimsoll::kernels {

/// sums[width] += the sum of x's rows; x is [rows, width], contiguous. Device pointers, f32, apart
/// from each other. The sum over rows has one order: the same bits every time.
void add_column_sums(const float* x, std::int64_t rows, std::int64_t width, float* sums,
                     cudaStream_t stream);

}  // namespace plimsoll::kernels
