// y = x W^T for nf4, nf4-dq, fp4, fp4-dq, log4, int4 and gptq weights in panels
// (kernels/panels/panels.h).
#pragma once

#include <span>

#include "core/variant.h"
#include "kernels/linear_args.h"

namespace plimsoll::kernels {

/// weight->layout must be panels. exact: weights decoded to fp32 ((table[code] - zero point) *
/// scale), fused fp32 products and sums. fast: x rounded to eight bits, one scale for each 64
/// columns of a row; levels of the table rounded to eight bits (int4, gptq: codes less zero points,
/// exactly); exact integer sums of 64 products, scaled and added in fp32. In both every output is
/// one sum over the columns in their order, whatever the number of rows and threads. x must be
/// finite. Best first; no scalar variant, see gemm_dense_panels.h.
std::span<const KernelVariant<LinearArgs>> gemm_table4_panels_variants();

}  // namespace plimsoll::kernels
