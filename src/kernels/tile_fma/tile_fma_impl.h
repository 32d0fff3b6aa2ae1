// tile_fma for any register width. For instruction-set files only: internal linkage throughout.
#pragma once

#include "kernels/tile_fma/tile_fma.h"

namespace plimsoll::kernels {
namespace {

template <class V, int R, int N>
void multiply_tile(const TileFmaArgs& a, std::int64_t row, std::int64_t output) {
  typename V::Reg sum[R][N];
  for (int r = 0; r < R; ++r) {
    for (int n = 0; n < N; ++n) sum[r][n] = V::zero();
  }
  const float* x = a.x + row * a.x_stride;
  const float* w = a.w + output * a.w_stride;
  for (std::int64_t k = 0; k < a.depth; k += V::kLanes) {
    typename V::Reg xs[R];
    for (int r = 0; r < R; ++r) xs[r] = V::load(x + r * a.x_stride + k);
    for (int n = 0; n < N; ++n) {
      const auto weights = V::load(w + n * a.w_stride + k);
      for (int r = 0; r < R; ++r) sum[r][n] = V::fma(xs[r], weights, sum[r][n]);
    }
  }
  float* y = a.y + row * a.y_stride + output;
  for (int r = 0; r < R; ++r) {
    for (int n = 0; n < N; ++n) y[r * a.y_stride + n] += V::lanes_sum(sum[r][n]);
  }
}

template <class V, int R, int kOutputs>
void multiply_rows(const TileFmaArgs& a, std::int64_t row) {
  std::int64_t output = 0;
  for (; output + kOutputs <= a.outputs; output += kOutputs) {
    multiply_tile<V, R, kOutputs>(a, row, output);
  }
  for (; output < a.outputs; ++output) multiply_tile<V, R, 1>(a, row, output);
}

/// Tiles of R rows from `row` on, then of fewer.
template <class V, int R, int kOutputs>
void tile_fma(const TileFmaArgs& a, std::int64_t row = 0) {
  for (; row + R <= a.rows; row += R) multiply_rows<V, R, kOutputs>(a, row);
  if constexpr (R > 1) tile_fma<V, R - 1, kOutputs>(a, row);
}

}  // namespace
}  // namespace plimsoll::kernels
