// The backwards of activation.h, on a GPU. nvcc reads this header.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "kernels/activation/activation.h"

namespace plimsoll::kernels {

/// As on the CPU, pointers being the device's, 16-byte aligned.
void swiglu_backward(const SwigluGradientArgs& args, cudaStream_t stream);
void gelu_backward(const float* x, const float* dy, std::int64_t count, bool tanh_form, float* dx,
                   cudaStream_t stream);
/// x[i] += scale * y[i]
void add_scaled(float* x, const float* y, std::int64_t count, float scale, cudaStream_t stream);

}  // namespace plimsoll::kernels
