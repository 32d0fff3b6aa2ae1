#include "core/half.h"

#include <cmath>

namespace plimsoll {

namespace {

std::uint32_t bits_of(float value) {
  return std::bit_cast<std::uint32_t>(value);
}

}  // namespace

float to_float(fp16 value) {
  const std::uint32_t sign = static_cast<std::uint32_t>(value.bits & 0x8000u) << 16;
  const std::uint32_t exponent = (value.bits >> 10) & 0x1fu;
  const std::uint32_t mantissa = value.bits & 0x3ffu;
  if (exponent == 0) {  // zero or subnormal: mantissa * 2^-24
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

float to_float(fp8_e4m3 value) {
  const std::uint32_t exponent = (value.bits >> 3) & 0xfu;
  const std::uint32_t mantissa = value.bits & 0x7u;
  float magnitude;
  if (exponent == 15 && mantissa == 7) {
    magnitude = std::bit_cast<float>(0x7fc00000u);
  } else if (exponent == 0) {
    magnitude = static_cast<float>(mantissa) * 0x1p-9f;
  } else {
    magnitude = std::bit_cast<float>(((exponent + 120) << 23) | (mantissa << 20));
  }
  return (value.bits & 0x80u) ? -magnitude : magnitude;
}

bf16 to_bf16(float value) {
  std::uint32_t bits = bits_of(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<std::uint16_t>((bits >> 16) | 0x40u)};
  bits += 0x7fffu + ((bits >> 16) & 1u);
  return {static_cast<std::uint16_t>(bits >> 16)};
}

fp16 to_fp16(float value) {
  const std::uint32_t bits = bits_of(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16) & 0x8000u);
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return {static_cast<std::uint16_t>(sign | 0x7e00u)};
  if (magnitude >= 0x477ff000u) return {static_cast<std::uint16_t>(sign | 0x7c00u)};  // >= 65520
  if (magnitude <
      0x38800000u) {  // below 2^-14: subnormal, in units of 2^-24; the FPU rounds to even
    const float scaled = std::bit_cast<float>(magnitude) * 0x1p24f;
    return {static_cast<std::uint16_t>(sign | static_cast<std::uint16_t>(std::nearbyint(scaled)))};
  }
  const std::uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  return {static_cast<std::uint16_t>(sign | ((rounded - 0x38000000u) >> 13))};
}

fp8_e4m3 to_fp8_e4m3(float value) {
  const auto sign = static_cast<std::uint8_t>((bits_of(value) >> 24) & 0x80u);
  const float magnitude = std::fabs(value);
  if (std::isnan(value)) return {static_cast<std::uint8_t>(sign | 0x7fu)};
  if (magnitude >= 448.0f) return {static_cast<std::uint8_t>(sign | 0x7eu)};
  if (magnitude < 0x1p-6f) {  // subnormal, in units of 2^-9
    return {static_cast<std::uint8_t>(
        sign | static_cast<std::uint8_t>(std::nearbyint(magnitude * 0x1p9f)))};
  }
  const std::uint32_t bits = bits_of(magnitude);
  const std::uint32_t rounded = bits + 0x7ffffu + ((bits >> 20) & 1u);
  return {static_cast<std::uint8_t>(sign | ((rounded - (120u << 23)) >> 20))};
}

}  // namespace plimsoll
