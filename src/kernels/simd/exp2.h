// 2^x, what the vector versions in simd_avx2.h and simd_avx512.h share. For instruction-set files.
//
// x = n + r with n = floor(x) and r in [0, 1). 2^r is the minimax polynomial of degree 5 in
// relative error with constant term 1 (Remez exchange), evaluated by Horner with fused
// multiply-adds:
//   approximation           8.3e-8
//   rounding, coefficients  1.3e-7
// together below kExp2Error. 2^n for whole n is exact, so 2^0 = 1. Below kExp2Smallest the result
// is 0, also for minus infinity. NaN stays NaN.
#pragma once

namespace plimsoll::kernels {
namespace {

/// Largest relative error of exp2 for x in [kExp2Smallest, 0].
constexpr float kExp2Error = 0x1p-22f;
/// Results below 2^-126 would be subnormal.
constexpr float kExp2Smallest = -126.0f;

constexpr float kExp2Terms[5] = {0x1.62e4bap-1f, 0x1.ebdb56p-3f, 0x1.c91ce6p-5f, 0x1.277854p-7f,
                                 0x1.e974fcp-10f};

}  // namespace
}  // namespace plimsoll::kernels
