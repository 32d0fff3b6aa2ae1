// SwiGLU for any register width. For instruction-set files only: internal linkage throughout.
#pragma once

#include "kernels/activation/activation_isa.h"

namespace plimsoll::kernels {
namespace {

/// gate / (1 + 2^(-gate log2(e))) * up. The power is kept below infinity, where 2^n is no float:
/// far to the left the result is then -gate 2^-126 and not zero. NaN stays NaN: max returns its
/// second operand.
template <class V>
typename V::Reg swiglu_of(typename V::Reg gate, typename V::Reg up) {
  constexpr float kLog2E = 0x1.715476p+0f;
  constexpr float kLargestPower = 126;
  const auto power =
      V::sub(V::zero(), V::max(V::set1(-kLargestPower), V::mul(gate, V::set1(kLog2E))));
  return V::mul(V::div(gate, V::add(V::set1(1), V::exp2(power))), up);
}

template <class V>
void swiglu_of_all(const float* gate, const float* up, std::int64_t count, float* y) {
  std::int64_t i = 0;
  for (; i + V::kLanes <= count; i += V::kLanes) {
    V::store(y + i, swiglu_of<V>(V::load(gate + i), V::load(up + i)));
  }
  if (i == count) return;
  const std::int64_t left = count - i;
  V::store_some(y + i, left,
                swiglu_of<V>(V::load_some(gate + i, left), V::load_some(up + i, left)));
}

}  // namespace
}  // namespace plimsoll::kernels
