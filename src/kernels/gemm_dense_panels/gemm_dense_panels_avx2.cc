// A tile of up to three rows and four registers of outputs: 12 accumulators, a word of x and the
// weights as operands fill the 16 registers.
#include <immintrin.h>

#include "kernels/gemm_dense_panels/gemm_dense_panels_isa.h"

namespace plimsoll::kernels {

namespace {

__m256i load(const std::int32_t* words) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words));
}

struct F32 {
  static constexpr int kColumns = 1;
  static __m256 column(const std::int32_t* words, int) { return _mm256_castsi256_ps(load(words)); }
};
struct F16 {
  static constexpr int kColumns = 2;
  static __m256 column(const std::int32_t* words, int c) {
    const __m256i half = c == 0 ? _mm256_and_si256(load(words), _mm256_set1_epi32(0xffff))
                                : _mm256_srli_epi32(load(words), 16);
    const __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(half, half), 0x08);
    return _mm256_cvtph_ps(_mm256_castsi256_si128(packed));
  }
};
struct Bf16 {
  static constexpr int kColumns = 2;
  static __m256 column(const std::int32_t* words, int c) {
    return _mm256_castsi256_ps(c == 0 ? _mm256_slli_epi32(load(words), 16)
                                      : _mm256_and_si256(load(words), _mm256_set1_epi32(-65536)));
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
  const auto* w = static_cast<const std::int32_t*>(a.w);
  const auto* x = static_cast<const float*>(a.x);
  for (std::int64_t step = 0; step < a.steps; ++step, w += 32, x += R * W::kColumns) {
#pragma GCC unroll 2
    for (int c = 0; c < W::kColumns; ++c) {
#pragma GCC unroll 4
      for (int n = 0; n < 4; ++n) {
        const __m256 weights = W::column(w + 8 * n, c);
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
    for (std::int64_t n = 0; n < a.outputs; ++n) a.y[r * a.y_stride + n] = row[n];
  }
}

constexpr int kSizes[] = {1, 2, 3};
template <class W>
constexpr DenseTile kTiles[] = {multiply<W, 1>, multiply<W, 2>, multiply<W, 3>};
template <class W>
constexpr DenseTiles kAll{kSizes, kTiles<W>, 3};

}  // namespace

const DensePanelKernels kDensePanelsAvx2{kAll<F32>, kAll<F16>, kAll<Bf16>};

}  // namespace plimsoll::kernels
