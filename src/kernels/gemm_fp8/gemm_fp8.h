// y = x W^T for fp8 (e4m3) weights with a scale a row.
#pragma once

#include <span>

#include "core/variant.h"
#include "kernels/linear_args.h"

namespace plimsoll::kernels {

/// Weights as quant/fp8.h stores them; activations stay fp32, products and sums are fp32 in both
/// compute modes. An output whose weight row holds a NaN code is NaN. Every shape is taken.
std::span<const KernelVariant<LinearArgs>> gemm_fp8_variants();

}  // namespace plimsoll::kernels
