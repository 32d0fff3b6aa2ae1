// Rounding that a compiler can vectorise, and weights as the encoders read them.
#pragma once

#include <bit>
#include <cstdint>
#include <string_view>

#include "core/tensor.h"

namespace plimsoll::quant {

/// Nearest integer, ties to even, for |value| <= 2^22: beyond 2^23 a float has no fraction left, so
/// that adding 1.5 * 2^23 rounds in hardware. Needs no SSE4.1 and no call, unlike std::nearbyint.
inline float round_even(float value) {
  return (value + 0x1.8p23f) - 0x1.8p23f;
}

/// to_float(to_fp16(value)) without a branch. Not for NaN.
inline float round_to_f16(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const std::uint32_t sign = bits & 0x80000000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  // Subnormal halves are multiples of 2^-24, a float's unit in the last place from 0.5 to 1.
  const auto subnormal =
      std::bit_cast<std::uint32_t>((std::bit_cast<float>(magnitude) + 0.5f) - 0.5f);
  const std::uint32_t normal = (magnitude + 0xfffu + ((magnitude >> 13) & 1u)) & ~0x1fffu;
  std::uint32_t rounded = magnitude < 0x38800000u ? subnormal : normal;  // below 2^-14
  rounded = magnitude >= 0x477ff000u ? 0x7f800000u : rounded;            // 65520 and more
  return std::bit_cast<float>(rounded | sign);
}

/// values[count] rounded in place to f16 or bf16; f32: left alone. InternalError for other dtypes.
void round_values(float* values, std::int64_t count, DType dtype);

/// Elements [first, first + count) of `weights` (f64, f32, f16, bf16) as f32, rounded to
/// `rounded_to`. InputError naming `name` and the element when one is not finite, before or after
/// rounding.
void load_weights(const Tensor& weights, std::int64_t first, std::int64_t count, DType rounded_to,
                  std::string_view name, float* out);

/// InputError as load_weights() has it when an element of `values` (f64, f32, f16 or bf16, any
/// shape) is not finite, or would not be in `dtype` (f32, f16, bf16). In parallel.
void require_representable(const Tensor& values, DType dtype, std::string_view name);

/// InputError naming `name` unless `weights` is a matrix of f32, f16 or bf16.
void require_matrix(const Tensor& weights, std::string_view name);

}  // namespace plimsoll::quant
