// y = x W^T for int8, int8-dynamic and int8-static.
#pragma once

#include <span>

#include "core/variant.h"
#include "kernels/linear_args.h"

namespace plimsoll::kernels {

/// The product that quant/int8.h defines: activations quantised to eight bits (a token at a time,
/// or by the matrix's input_scale and input_zero), exact integer sums, scaled in fp32; int8's
/// outlier columns are multiplied in source_dtype and summed in fp32. Without outliers every
/// variant gives the same bits. Both compute modes are the same. x must be finite. Columns: at most
/// 2^17 (scalar, 2^16 in the others), so that sums fit an int32.
std::span<const KernelVariant<LinearArgs>> gemm_int8_variants();

}  // namespace plimsoll::kernels
