// Tensors as the elementwise kernels take them.
#pragma once

#include "core/tensor.h"
#include "kernels/activation/activation_cuda.h"

namespace plimsoll::ops {

/// y = f(a, b) of whole rows: f32 [rows, width] of the GPU's memory, y's rows and width. `y` may be
/// `a` or `b`.
inline kernels::DeviceElementwiseArgs elementwise(const Tensor& a, const Tensor& b, Tensor& y) {
  kernels::DeviceElementwiseArgs args;
  args.a = a.address<float>();
  args.a_stride = a.dim(1);
  args.b = b.address<float>();
  args.b_stride = b.dim(1);
  args.rows = y.dim(0);
  args.width = y.dim(1);
  args.y = y.address<float>();
  args.y_stride = y.dim(1);
  return args;
}

}  // namespace plimsoll::ops
