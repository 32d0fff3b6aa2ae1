// The loss of cross_entropy.h with its gradient, on a GPU. nvcc reads this header.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/cross_entropy/cross_entropy.h"

namespace plimsoll::kernels {

/// As on the CPU, pointers being the device's. A target outside the vocabulary makes its loss NaN.
void cross_entropy(const CrossEntropyArgs& args, cudaStream_t stream);

}  // namespace plimsoll::kernels
