// As gemm_dense_panels_avx512.cc; vdpbf16ps multiplies two columns at once.
#include <immintrin.h>

#include "kernels/gemm_dense_panels/gemm_dense_panels_isa.h"

namespace plimsoll::kernels {

namespace {

template <int R>
void multiply(const DenseTileArgs& a) {
  __m512 sum[R][2];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) sum[r][0] = sum[r][1] = _mm512_setzero_ps();
  const auto* w = static_cast<const std::int32_t*>(a.w);
  const auto* x = static_cast<const std::int32_t*>(a.x);
  for (std::int64_t step = 0; step < a.steps; ++step, w += 32, x += R) {
    const auto w0 = reinterpret_cast<__m512bh>(_mm512_loadu_si512(w));
    const auto w1 = reinterpret_cast<__m512bh>(_mm512_loadu_si512(w + 16));
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      const auto xs = reinterpret_cast<__m512bh>(_mm512_set1_epi32(x[r]));
      sum[r][0] = _mm512_dpbf16_ps(sum[r][0], w0, xs);
      sum[r][1] = _mm512_dpbf16_ps(sum[r][1], w1, xs);
    }
  }
  const auto lanes = static_cast<std::uint32_t>((std::uint64_t{1} << a.outputs) - 1);
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) {
    if (r >= a.rows) break;
    _mm512_mask_storeu_ps(a.y + r * a.y_stride, static_cast<__mmask16>(lanes), sum[r][0]);
    _mm512_mask_storeu_ps(a.y + r * a.y_stride + 16, static_cast<__mmask16>(lanes >> 16),
                          sum[r][1]);
  }
}

constexpr int kSizes[] = {1, 2, 3, 4, 6, 8, 12};
constexpr DenseTile kTiles[] = {multiply<1>, multiply<2>, multiply<3>, multiply<4>,
                                multiply<6>, multiply<8>, multiply<12>};

}  // namespace

const DenseTiles kBf16PanelsAvx512Bf16{kSizes, kTiles, 7};

void round_to_bf16_avx512(const float* x, std::int64_t count, std::uint16_t* out) {
  for (std::int64_t i = 0; i < count; i += 16) {
    const std::int64_t left = count - i;
    const auto lanes = static_cast<__mmask16>(left >= 16 ? 0xffffu : (1u << left) - 1u);
    const __m256bh rounded = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(lanes, x + i));
    _mm256_mask_storeu_epi16(out + i, lanes, reinterpret_cast<__m256i>(rounded));
  }
}

}  // namespace plimsoll::kernels
