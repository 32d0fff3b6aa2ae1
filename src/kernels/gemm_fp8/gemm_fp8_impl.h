// gemm_fp8 for any register width. For instruction-set files only: internal linkage throughout.
//
// V is a vector type of kernels/simd with what E4M3 needs besides: Codes (a register of bytes),
// load_codes, weights_of (four registers in packed order), and a Nan that adds up whether any code
// was one.
#pragma once

#include "kernels/gemm_fp8/gemm_fp8_isa.h"

namespace plimsoll::kernels {
namespace {

template <class V, int R>
void multiply_fp8(const Fp8Rows& w, const float* packed, std::int64_t packed_stride, float* y,
                  std::int64_t y_stride) {
  constexpr std::int64_t kGroup = 4 * V::kLanes;
  for (std::int64_t n = 0; n < w.outputs; ++n) {
    const std::uint8_t* codes = w.codes + n * w.columns;
    // Two chains a row of x, so that FMAs overlap when there is one row.
    typename V::Reg sum[R][2];
    for (int r = 0; r < R; ++r) sum[r][0] = sum[r][1] = V::zero();
    typename V::Nan nan = V::no_nan();
    for (std::int64_t k = 0; k < w.columns; k += kGroup) {
      const auto group = V::load_codes(codes + k, w.columns - k);
      nan |= V::nan_codes(group);
      typename V::Reg weights[4];
      V::weights_of(group, weights);
      for (int part = 0; part < 4; ++part) {
        for (int r = 0; r < R; ++r) {
          const auto x = V::load(packed + r * packed_stride + k + part * V::kLanes);
          sum[r][part % 2] = V::fma(weights[part], x, sum[r][part % 2]);
        }
      }
    }
    const float scale = V::any(nan) ? __builtin_nanf("") : w.scales[n] * kFp8HalfScale;
    for (int r = 0; r < R; ++r) {
      y[r * y_stride + n] = V::lanes_sum(V::add(sum[r][0], sum[r][1])) * scale;
    }
  }
}

template <class V, int R = 1>
void fp8_product(const Fp8Rows& w, const float* packed, std::int64_t packed_stride,
                 std::int64_t rows, float* y, std::int64_t y_stride) {
  if (rows == R) return multiply_fp8<V, R>(w, packed, packed_stride, y, y_stride);
  if constexpr (R < kFp8Rows) fp8_product<V, R + 1>(w, packed, packed_stride, rows, y, y_stride);
}

template <class V>
void fp8_decode(const Fp8Rows& w, std::int64_t begin, std::int64_t end, float* tile,
                std::int64_t tile_stride) {
  constexpr std::int64_t kGroup = 4 * V::kLanes;
  for (std::int64_t n = 0; n < w.outputs; ++n) {
    const std::uint8_t* codes = w.codes + n * w.columns;
    const auto scale = V::set1(w.scales[n] * kFp8HalfScale);
    float* out = tile + n * tile_stride;
    typename V::Nan nan = V::no_nan();
    for (std::int64_t k = begin; k < end; k += kGroup, out += kGroup) {
      const auto group = V::load_codes(codes + k, w.columns - k);
      nan |= V::nan_codes(group);
      typename V::Reg weights[4];
      V::weights_of(group, weights);
      for (int part = 0; part < 4; ++part) {
        V::store(out + part * V::kLanes, V::mul(weights[part], scale));
      }
    }
    if (V::any(nan)) tile[n * tile_stride] = __builtin_nanf("");
  }
}

}  // namespace
}  // namespace plimsoll::kernels
