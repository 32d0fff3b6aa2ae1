#include <immintrin.h>

#include "kernels/tile_fma/tile_fma.h"

namespace plimsoll::kernels {

namespace {

// 4 x 6 accumulators and one register for each of the ten operands fill the 32 registers; 24 FMAs a
// step against 10 loads keep the FMA pipe, not the load ports, the limit.
constexpr int kRows = 4;
constexpr int kOutputs = 6;

template <int R, int N>
void multiply(const TileFmaArgs& a, std::int64_t row, std::int64_t output) {
  __m512 sum[R][N];
  for (int r = 0; r < R; ++r) {
    for (int n = 0; n < N; ++n) sum[r][n] = _mm512_setzero_ps();
  }
  const float* x = a.x + row * a.x_stride;
  const float* w = a.w + output * a.w_stride;
  for (std::int64_t k = 0; k < a.depth; k += kTileLanes) {
    __m512 xs[R];
    for (int r = 0; r < R; ++r) xs[r] = _mm512_loadu_ps(x + r * a.x_stride + k);
    for (int n = 0; n < N; ++n) {
      const __m512 weights = _mm512_loadu_ps(w + n * a.w_stride + k);
      for (int r = 0; r < R; ++r) sum[r][n] = _mm512_fmadd_ps(xs[r], weights, sum[r][n]);
    }
  }
  float* y = a.y + row * a.y_stride + output;
  for (int r = 0; r < R; ++r) {
    for (int n = 0; n < N; ++n) y[r * a.y_stride + n] += _mm512_reduce_add_ps(sum[r][n]);
  }
}

template <int R>
void multiply_rows(const TileFmaArgs& a, std::int64_t row) {
  std::int64_t output = 0;
  for (; output + kOutputs <= a.outputs; output += kOutputs) multiply<R, kOutputs>(a, row, output);
  for (; output < a.outputs; ++output) multiply<R, 1>(a, row, output);
}

}  // namespace

void tile_fma_avx512(const TileFmaArgs& args) {
  std::int64_t row = 0;
  for (; row + kRows <= args.rows; row += kRows) multiply_rows<kRows>(args, row);
  switch (args.rows - row) {
    case 3:
      return multiply_rows<3>(args, row);
    case 2:
      return multiply_rows<2>(args, row);
    case 1:
      return multiply_rows<1>(args, row);
    default:
      return;
  }
}

}  // namespace plimsoll::kernels
