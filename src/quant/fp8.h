// fp8: OCP E4M3 weights (Micikevicius et al., arXiv:2209.05433) with one scale a row.
//
//   codes  [rows, columns] f8_e4m3   nearest(w / scale)     4 exponent bits, 3 mantissa bits, +-448
//   scales [rows] f32                absmax / 448           1 for a row of zeros
//   w ~ code * scale
//
// The error is at most |w| / 16 (half a unit of three mantissa bits), and scale / 1024 below 2^-6
// scale.
#pragma once

#include <cstdint>
#include <string_view>

#include "quant/matrix.h"

namespace plimsoll::quant {

/// Largest finite E4M3 value.
inline constexpr float kFp8Max = 448;

Matrix encode_fp8(const Tensor& weights, std::string_view name);
void decode_fp8_rows(const Matrix& matrix, std::int64_t begin, std::int64_t end, float* out);

}  // namespace plimsoll::quant
