// A tile of up to 12 rows and two registers of outputs: 24 accumulators, two registers of weights
// and a word of x at a time fill the 32 registers, and 24 products a step hide 14 loads.
#include <immintrin.h>

#include "kernels/gemm_dense_panels/gemm_dense_panels_isa.h"

namespace plimsoll::kernels {

namespace {

// Weights of half a panel's outputs: column c of the step, outputs 16 h to 16 h + 15.
struct F32 {
  static constexpr int kColumns = 1;
  static constexpr int kStepBytes = 128;
  static constexpr float kFactor = 1;
  static __m512 weights(const std::uint8_t* step, int, int h) {
    return _mm512_loadu_ps(step + 64 * static_cast<std::int64_t>(h));
  }
};
struct F16 {
  static constexpr int kColumns = 1;
  static constexpr int kStepBytes = 64;
  static constexpr float kFactor = 1;
  static __m512 weights(const std::uint8_t* step, int, int h) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(step) + h));
  }
};
struct Bf16 {
  static constexpr int kColumns = 2;
  static constexpr int kStepBytes = 128;
  static constexpr float kFactor = 1;
  static __m512 weights(const std::uint8_t* step, int c, int h) {
    const __m512i words = _mm512_loadu_si512(step + 64 * static_cast<std::int64_t>(h));
    return _mm512_castsi512_ps(c == 0 ? _mm512_slli_epi32(words, 16)
                                      : _mm512_and_si512(words, _mm512_set1_epi32(-65536)));
  }
};
struct F8 {
  static constexpr int kColumns = 2;
  static constexpr int kStepBytes = 64;
  static constexpr float kFactor = kF8HalfScale;
  static __m512 weights(const std::uint8_t* step, int c, int h) {
    // The code in the upper byte of each half. Bit 14 is a copy of the sign, the low bits are rests
    // of the lower byte.
    const __m512i codes = _mm512_loadu_si512(step);
    const __m512i upper = c == 0 ? _mm512_slli_epi16(codes, 8) : codes;
    const __m512i halves = _mm512_and_si512(_mm512_srai_epi16(upper, 1),
                                            _mm512_set1_epi16(static_cast<short>(0xbf80)));
    return _mm512_cvtph_ps(h == 0 ? _mm512_castsi512_si256(halves)
                                  : _mm512_extracti64x4_epi64(halves, 1));
  }
};

template <class W, int R>
void multiply(const DenseTileArgs& a) {
  __m512 sum[R][2];
#pragma GCC unroll 12
  for (int r = 0; r < R; ++r) sum[r][0] = sum[r][1] = _mm512_setzero_ps();
  const auto* w = static_cast<const std::uint8_t*>(a.w);
  const auto* x = static_cast<const float*>(a.x);
  for (std::int64_t step = 0; step < a.steps;
       ++step, w += W::kStepBytes, x += static_cast<std::int64_t>(R) * W::kColumns) {
#pragma GCC unroll 2
    for (int c = 0; c < W::kColumns; ++c) {
      const __m512 w0 = W::weights(w, c, 0);
      const __m512 w1 = W::weights(w, c, 1);
#pragma GCC unroll 12
      for (int r = 0; r < R; ++r) {
        const __m512 xs = _mm512_set1_ps(x[c * R + r]);
        sum[r][0] = _mm512_fmadd_ps(w0, xs, sum[r][0]);
        sum[r][1] = _mm512_fmadd_ps(w1, xs, sum[r][1]);
      }
    }
  }
  const auto all = static_cast<std::uint32_t>((std::uint64_t{1} << a.outputs) - 1);
#pragma GCC unroll 2
  for (int h = 0; h < 2; ++h) {
    const auto lanes = static_cast<__mmask16>(all >> (16 * h));
    __m512 scales = _mm512_set1_ps(1);
    if (a.scales != nullptr) {
      scales = _mm512_mul_ps(_mm512_maskz_loadu_ps(lanes, a.scales + 16 * h),
                             _mm512_set1_ps(W::kFactor));
    }
#pragma GCC unroll 12
    for (int r = 0; r < R; ++r) {
      if (r >= a.rows) break;
      _mm512_mask_storeu_ps(a.y + r * a.y_stride + 16 * h, lanes, _mm512_mul_ps(sum[r][h], scales));
    }
  }
}

constexpr int kSizes[] = {1, 2, 3, 4, 6, 8, 12};
template <class W>
constexpr DenseTile kTiles[] = {multiply<W, 1>, multiply<W, 2>, multiply<W, 3>, multiply<W, 4>,
                                multiply<W, 6>, multiply<W, 8>, multiply<W, 12>};
template <class W>
constexpr DenseTiles kAll{kSizes, kTiles<W>, 7};

}  // namespace

const DensePanelKernels kDensePanelsAvx512{kAll<F32>, kAll<F16>, kAll<Bf16>, kAll<F8>};

}  // namespace plimsoll::kernels
