#pragma once

#include "kernels/linear_args.h"

namespace plimsoll::kernels {

/// The oracle: decoded rows multiplied in double precision.
void gemm_int4_scalar(const LinearArgs& args);

}  // namespace plimsoll::kernels
