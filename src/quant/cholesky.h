// Factorisation of a positive definite matrix, blocked and in parallel. Internal to quant.
#pragma once

#include <cstdint>

#include "core/tensor.h"

namespace plimsoll::quant {

/// Replaces the upper triangle of a[n, n] (f64, symmetric; the lower triangle is not read) by U
/// with A = U^T U. False, leaving `a` half done, when A is not positive definite.
bool factor_upper(Tensor& a);

/// The inverse of the upper triangular u[n, n] (f64): upper triangular, zeros below. The lower
/// triangle of `u` is not read; its diagonal must not hold 0.
Tensor invert_upper(const Tensor& u);

}  // namespace plimsoll::quant
