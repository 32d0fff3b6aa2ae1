// y = x W^T for the 4-bit table formats: nf4, nf4-dq, fp4, fp4-dq, log4.
#pragma once

#include <span>

#include "core/variant.h"
#include "kernels/linear_args.h"

namespace plimsoll::kernels {

/// Weights as quant/matrix.h stores them: two codes a byte, the first in the high nibble, blocks of
/// `block` codes running through the rows; weight = table[code] * scale of the block, rounded to
/// fp32 only. x and y fp32. The scalar variant takes every shape; the others want columns and block
/// to be multiples of 64, so that 64 aligned codes share a scale. Both compute modes: fp32 products
/// and sums.
std::span<const KernelVariant<LinearArgs>> gemm_table4_variants();

}  // namespace plimsoll::kernels
