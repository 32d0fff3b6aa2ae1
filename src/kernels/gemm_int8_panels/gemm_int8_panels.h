// y = x W^T for int8, int8-dynamic and int8-static weights in panels (kernels/panels/panels.h).
#pragma once

#include <span>

#include "core/variant.h"
#include "kernels/linear_args.h"

namespace plimsoll::kernels {

/// The product that quant/int8.h defines, as gemm_int8: without outliers the oracle's bits, in both
/// compute modes. weight->layout must be panels. Outlier columns are multiplied in source_dtype and
/// added to the scaled integer sum in fp32, in their order; they cost two cache lines of weights a
/// column, panel and row. A row's result depends on no other row (but with outliers_by_batch). Best
/// first; no scalar variant, see gemm_dense_panels.h.
std::span<const KernelVariant<LinearArgs>> gemm_int8_panels_variants();

}  // namespace plimsoll::kernels
