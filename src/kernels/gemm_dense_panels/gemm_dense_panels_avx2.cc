// A tile of up to three rows and four registers of outputs: 12 accumulators, a word of x and the
// weights as operands fill the 16 registers.
#include <immintrin.h>

#include "kernels/gemm_dense_panels/gemm_dense_panels_isa.h"

namespace plimsoll::kernels {

namespace {

__m256i load(const std::uint8_t* bytes) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes));
}

// Weights of a quarter of a panel's outputs: column c of the step, outputs 8 q to 8 q + 7.
struct F32 {
  static constexpr int kColumns = 1;
  static constexpr int kStepBytes = 128;
  static constexpr float kFactor = 1;
  static __m256 weights(const std::uint8_t* step, int, std::int64_t q) {
    return _mm256_castsi256_ps(load(step + 32 * q));
  }
};
struct F16 {
  static constexpr int kColumns = 1;
  static constexpr int kStepBytes = 64;
  static constexpr float kFactor = 1;
  static __m256 weights(const std::uint8_t* step, int, std::int64_t q) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(step) + q));
  }
};
struct Bf16 {
  static constexpr int kColumns = 2;
  static constexpr int kStepBytes = 128;
  static constexpr float kFactor = 1;
  static __m256 weights(const std::uint8_t* step, int c, std::int64_t q) {
    const __m256i words = load(step + 32 * q);
    return _mm256_castsi256_ps(c == 0 ? _mm256_slli_epi32(words, 16)
                                      : _mm256_and_si256(words, _mm256_set1_epi32(-65536)));
  }
};
struct F8 {
  static constexpr int kColumns = 2;
  static constexpr int kStepBytes = 64;
  static constexpr float kFactor = kF8HalfScale;
  static __m256 weights(const std::uint8_t* step, int c, std::int64_t q) {
    // As in gemm_dense_panels_avx512.cc.
    const __m128i codes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(step) + q);
    const __m128i upper = c == 0 ? _mm_slli_epi16(codes, 8) : codes;
    return _mm256_cvtph_ps(
        _mm_and_si128(_mm_srai_epi16(upper, 1), _mm_set1_epi16(static_cast<short>(0xbf80))));
  }
};

template <class W, int R>
void multiply(const DenseTileArgs& a) {
  __m256 sum[R][4];
#pragma GCC unroll 3
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (int n = 0; n < 4; ++n) sum[r][n] = _mm256_setzero_ps();
  }
  const auto* w = static_cast<const std::uint8_t*>(a.w);
  const auto* x = static_cast<const float*>(a.x);
  for (std::int64_t step = 0; step < a.steps;
       ++step, w += W::kStepBytes, x += static_cast<std::int64_t>(R) * W::kColumns) {
#pragma GCC unroll 2
    for (int c = 0; c < W::kColumns; ++c) {
#pragma GCC unroll 4
      for (int n = 0; n < 4; ++n) {
        const __m256 weights = W::weights(w, c, n);
#pragma GCC unroll 3
        for (int r = 0; r < R; ++r) {
          sum[r][n] = _mm256_fmadd_ps(weights, _mm256_broadcast_ss(x + c * R + r), sum[r][n]);
        }
      }
    }
  }
  alignas(32) float row[32];
#pragma GCC unroll 3
  for (int r = 0; r < R; ++r) {
    if (r >= a.rows) break;
#pragma GCC unroll 4
    for (int n = 0; n < 4; ++n) _mm256_store_ps(row + 8 * n, sum[r][n]);
    for (std::int64_t n = 0; n < a.outputs; ++n) {
      a.y[r * a.y_stride + n] = a.scales == nullptr ? row[n] : row[n] * (a.scales[n] * W::kFactor);
    }
  }
}

constexpr int kSizes[] = {1, 2, 3};
template <class W>
constexpr DenseTile kTiles[] = {multiply<W, 1>, multiply<W, 2>, multiply<W, 3>};
template <class W>
constexpr DenseTiles kAll{kSizes, kTiles<W>, 3};

}  // namespace

const DensePanelKernels kDensePanelsAvx2{kAll<F32>, kAll<F16>, kAll<Bf16>, kAll<F8>};

}  // namespace plimsoll::kernels
