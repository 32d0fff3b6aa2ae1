// The 8-bit dynamic data type in which -dq keeps its scales (Dettmers, arXiv:1511.04561): a sign, a
// unary decimal exponent that ends at the first one, and the remaining bits as a linear fraction.
// 127 negative values, zero, 127 positive values and 1.0, ascending.
#pragma once

#include <cstdint>
#include <span>

namespace plimsoll::quant {

/// f32 [256], ascending, the values of bitsandbytes' create_dynamic_map().
std::span<const float> dynamic_map();

/// Code of the value nearest to x in [-1, 1], with bitsandbytes' choice at ties. NaN gives 0.
std::uint8_t dynamic_code(float x);

}  // namespace plimsoll::quant
