// RoPE by tables of cosines and sines (rope.h), forward and backward, on a GPU. nvcc reads this
// header.
#pragma once

#include <cuda_runtime_api.h>

#include "kernels/rope/rope.h"

namespace plimsoll::kernels {

/// As on the CPU, pointers being the device's.
void rope(const RopeArgs& args, cudaStream_t stream);
void rope_backward(const RopeArgs& args, cudaStream_t stream);

}  // namespace plimsoll::kernels
