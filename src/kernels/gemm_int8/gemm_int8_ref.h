#pragma once

#include "kernels/linear_args.h"

namespace plimsoll::kernels {

/// The oracle: quant's own definition of the product.
void gemm_int8_scalar(const LinearArgs& args);

}  // namespace plimsoll::kernels
