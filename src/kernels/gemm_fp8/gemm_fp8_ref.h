#pragma once

#include "kernels/linear_args.h"

namespace plimsoll::kernels {

/// The oracle: decoded rows multiplied in double precision.
void gemm_fp8_scalar(const LinearArgs& args);

}  // namespace plimsoll::kernels
