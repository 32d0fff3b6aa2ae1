// The step that training ends with: shapes checked, work traced.
#pragma once

#include "core/tensor.h"
#include "kernels/adamw/adamw.h"

namespace plimsoll::ops {

/// AdamW (kernels/adamw) of tensors of one size, all f32, where they lie. `settings` has step, rate
/// and the like; its pointers and count are not read.
void adamw(Tensor& values, const Tensor& gradients, Tensor& mean, Tensor& square,
           const kernels::AdamWArgs& settings);

/// The sum of x's elements' squares; waits for the GPU where x lies on one.
double sum_of_squares(const Tensor& x);

}  // namespace plimsoll::ops
