// The functions of activation.h on a GPU, for where no product takes them in. nvcc reads this
// header.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace plimsoll::kernels {

/// y[r, i] = f(a[r, i], b[r, i]) for i < width. Strides count floats from one row to the next. All
/// pointers are the device's; 16-byte aligned where width and strides are multiples of 4.
struct DeviceElementwiseArgs {
  const float* a = nullptr;
  std::int64_t a_stride = 0;
  const float* b = nullptr;  // swiglu, add
  std::int64_t b_stride = 0;
  std::int64_t rows = 0;
  std::int64_t width = 0;
  float* y = nullptr;  // may be a or b
  std::int64_t y_stride = 0;
  bool dependent = true;
};

/// silu(a) * b: a is the gate, b is what goes up.
void swiglu(const DeviceElementwiseArgs& args, cudaStream_t stream);
void gelu_erf(const DeviceElementwiseArgs& args, cudaStream_t stream);
void gelu_tanh(const DeviceElementwiseArgs& args, cudaStream_t stream);
/// a + b. With b_stride 0 b is one row for all: a bias.
void add(const DeviceElementwiseArgs& args, cudaStream_t stream);

}  // namespace plimsoll::kernels
