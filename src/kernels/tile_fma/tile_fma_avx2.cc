#include <immintrin.h>

#include "kernels/tile_fma/tile_fma.h"

namespace plimsoll::kernels {

namespace {

// 3 x 4 accumulators leave 4 of the 16 registers for operands; 12 FMAs a step against 7 loads match
// the two FMA and two load ports.
constexpr int kRows = 3;
constexpr int kOutputs = 4;
constexpr int kLanes = 8;

float sum_lanes(__m256 v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

template <int R, int N>
void multiply(const TileFmaArgs& a, std::int64_t row, std::int64_t output) {
  __m256 sum[R][N];
  for (int r = 0; r < R; ++r) {
    for (int n = 0; n < N; ++n) sum[r][n] = _mm256_setzero_ps();
  }
  const float* x = a.x + row * a.x_stride;
  const float* w = a.w + output * a.w_stride;
  for (std::int64_t k = 0; k < a.depth; k += kLanes) {
    __m256 xs[R];
    for (int r = 0; r < R; ++r) xs[r] = _mm256_loadu_ps(x + r * a.x_stride + k);
    for (int n = 0; n < N; ++n) {
      const __m256 weights = _mm256_loadu_ps(w + n * a.w_stride + k);
      for (int r = 0; r < R; ++r) sum[r][n] = _mm256_fmadd_ps(xs[r], weights, sum[r][n]);
    }
  }
  float* y = a.y + row * a.y_stride + output;
  for (int r = 0; r < R; ++r) {
    for (int n = 0; n < N; ++n) y[r * a.y_stride + n] += sum_lanes(sum[r][n]);
  }
}

template <int R>
void multiply_rows(const TileFmaArgs& a, std::int64_t row) {
  std::int64_t output = 0;
  for (; output + kOutputs <= a.outputs; output += kOutputs) multiply<R, kOutputs>(a, row, output);
  for (; output < a.outputs; ++output) multiply<R, 1>(a, row, output);
}

}  // namespace

void tile_fma_avx2(const TileFmaArgs& args) {
  std::int64_t row = 0;
  for (; row + kRows <= args.rows; row += kRows) multiply_rows<kRows>(args, row);
  switch (args.rows - row) {
    case 2:
      return multiply_rows<2>(args, row);
    case 1:
      return multiply_rows<1>(args, row);
    default:
      return;
  }
}

}  // namespace plimsoll::kernels
