// 16-bit and 8-bit floating-point storage types: bit patterns with exact conversions. Arithmetic is
// always done in float.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

namespace plimsoll {

/// bfloat16: the upper half of an IEEE float.
struct bf16 {
  std::uint16_t bits = 0;
};
/// IEEE 754 binary16.
struct fp16 {
  std::uint16_t bits = 0;
};
/// OCP FP8 E4M3 (finite: no infinities, S.1111.111 is NaN, largest 448). arXiv:2209.05433.
struct fp8_e4m3 {
  std::uint8_t bits = 0;
};

inline float to_float(float value) {
  return value;
}
inline float to_float(bf16 value) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16);
}
float to_float(fp16 value);
float to_float(fp8_e4m3 value);

/// Round to nearest, ties to even; NaN stays NaN; overflow gives infinity (E4M3: NaN-free
/// saturation to +-448).
bf16 to_bf16(float value);
fp16 to_fp16(float value);
fp8_e4m3 to_fp8_e4m3(float value);

template <class T>
T from_float(float value);
template <>
inline float from_float<float>(float value) {
  return value;
}
template <>
inline bf16 from_float<bf16>(float value) {
  return to_bf16(value);
}
template <>
inline fp16 from_float<fp16>(float value) {
  return to_fp16(value);
}

}  // namespace plimsoll
