// A tile of up to 12 rows and two registers of outputs: 24 accumulators, two registers of weights
// and a word of x at a time fill the 32 registers, and 24 products a step hide 14 loads.
#include <immintrin.h>

#include "kernels/gemm_dense_panels/gemm_dense_panels_isa.h"

namespace plimsoll::kernels {

namespace {

struct F32 {
  static constexpr int kColumns = 1;
  static __m512 column(__m512i words, int) { return _mm512_castsi512_ps(words); }
};
struct F16 {
  static constexpr int kColumns = 2;
  static __m512 column(__m512i words, int c) {
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(c == 0 ? words : _mm512_srli_epi32(words, 16)));
  }
};
struct Bf16 {
  static constexpr int kColumns = 2;
  static __m512 column(__m512i words, int c) {
    return _mm512_castsi512_ps(c == 0 ? _mm512_slli_epi32(words, 16)
                                      : _mm512_and_si512(words, _mm512_set1_epi32(-65536)));
  }
};

template <class W, int R>
void multiply(const DenseTileArgs& a) {
  __m512 sum[R][2];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) sum[r][0] = sum[r][1] = _mm512_setzero_ps();
  const auto* w = static_cast<const std::int32_t*>(a.w);
  const auto* x = static_cast<const float*>(a.x);
  for (std::int64_t step = 0; step < a.steps; ++step, w += 32, x += R * W::kColumns) {
    const __m512i low = _mm512_loadu_si512(w);
    const __m512i high = _mm512_loadu_si512(w + 16);
#pragma GCC unroll 2
    for (int c = 0; c < W::kColumns; ++c) {
      const __m512 w0 = W::column(low, c);
      const __m512 w1 = W::column(high, c);
#pragma GCC unroll 12
      for (int r = 0; r < R; ++r) {
        const __m512 xs = _mm512_set1_ps(x[c * R + r]);
        sum[r][0] = _mm512_fmadd_ps(w0, xs, sum[r][0]);
        sum[r][1] = _mm512_fmadd_ps(w1, xs, sum[r][1]);
      }
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
template <class W>
constexpr DenseTile kTiles[] = {multiply<W, 1>, multiply<W, 2>, multiply<W, 3>, multiply<W, 4>,
                                multiply<W, 6>, multiply<W, 8>, multiply<W, 12>};
template <class W>
constexpr DenseTiles kAll{kSizes, kTiles<W>, 7};

}  // namespace

const DensePanelKernels kDensePanelsAvx512{kAll<F32>, kAll<F16>, kAll<Bf16>};

}  // namespace plimsoll::kernels
