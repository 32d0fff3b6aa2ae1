// y = x W^T for int4 and gptq: 4-bit uniform weights in the GPTQ v1 checkpoint layout.
#pragma once

#include <span>

#include "core/variant.h"
#include "kernels/linear_args.h"

namespace plimsoll::kernels {

/// Weights as quant/int4.h stores them (rows and columns multiples of 8), group_index in any order
/// (act-order); InternalError when one of its entries is no group. x and y fp32.
/// Both compute modes: fp32 products and sums of x and scale * (code - zero), where the scale and
/// the zero point may be applied to the sum of eight columns that share them. Every shape is taken.
std::span<const KernelVariant<LinearArgs>> gemm_int4_variants();

}  // namespace plimsoll::kernels
