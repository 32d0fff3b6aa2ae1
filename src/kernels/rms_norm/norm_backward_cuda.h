// The backwards of RMSNorm and LayerNorm (rms_norm.h, layer_norm.h) on a GPU. nvcc reads this
// header.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/rms_norm/rms_norm.h"

namespace plimsoll::kernels {

/// Floats of scratch memory that dweight needs: two a row.
constexpr std::int64_t norm_backward_scratch(std::int64_t rows) {
  return 2 * rows;
}

/// As on the CPU, pointers being the device's, 16-byte aligned; width is a multiple of 4. `scratch`
/// has norm_backward_scratch(rows) floats; nullptr where neither dweight nor dbias is wanted. Sums
/// have one order: the same bits every time.
void rms_norm_backward(const NormGradientArgs& args, float* scratch, cudaStream_t stream);
void layer_norm_backward(const NormGradientArgs& args, float* scratch, cudaStream_t stream);

}  // namespace plimsoll::kernels
