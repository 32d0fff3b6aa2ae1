// AdamW's step (adamw.h), and the sums that a step needs besides, on a GPU. nvcc reads this header.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/adamw/adamw.h"

namespace plimsoll::kernels {

/// As on the CPU, pointers being the device's, 16-byte aligned.
void adamw(const AdamWArgs& args, cudaStream_t stream);

/// Doubles of scratch memory that add_squares() needs.
inline constexpr std::int64_t kSumScratch = 1024;
/// *total += the sum of values[i]^2, in double. Device pointers; sums have one order: the same bits
/// every time.
void add_squares(const float* values, std::int64_t count, double* scratch, double* total,
                 cudaStream_t stream);
/// *total += the sum of values; likewise. For a few thousand numbers: one block.
void add_sum(const double* values, std::int64_t count, double* total, cudaStream_t stream);

}  // namespace plimsoll::kernels
