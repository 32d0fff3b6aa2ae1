// One row a tile: codes are widened to 16 bits, since vpmaddubsw saturates; vpmaddwd adds pairs, so
// that an output has two neighbouring lanes until the end.
#include <immintrin.h>

#include "kernels/gemm_int8_panels/gemm_int8_panels_isa.h"

namespace plimsoll::kernels {

namespace {

void multiply(const Int8TileArgs& a) {
  __m256i sum[8];
#pragma GCC unroll 8
  for (auto& part : sum) part = _mm256_setzero_si256();
  const std::uint8_t* w = a.w;
  const auto* x = static_cast<const std::int64_t*>(a.x);
  for (std::int64_t step = 0; step < a.steps; ++step, w += 128) {
    const __m256i xs = _mm256_set1_epi64x(x[step]);
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) {
      const __m256i weights = _mm256_cvtepu8_epi16(
          _mm_loadu_si128(reinterpret_cast<const __m128i*>(w + 16 * static_cast<std::int64_t>(i))));
      sum[i] = _mm256_add_epi32(sum[i], _mm256_madd_epi16(weights, xs));
    }
  }
  alignas(32) std::int32_t halves[64];
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    _mm256_store_si256(reinterpret_cast<__m256i*>(halves + 8 * static_cast<std::int64_t>(i)),
                       sum[i]);
  }
  for (std::int64_t n = 0; n < a.outputs; ++n) {
    // Sums may have wrapped; what is left without the offsets fits.
    auto rest = static_cast<std::uint32_t>(halves[2 * n]) +
                static_cast<std::uint32_t>(halves[2 * n + 1]) -
                static_cast<std::uint32_t>(a.offsets[0]);
    if (a.zeros != nullptr) rest -= static_cast<std::uint32_t>(a.zeros[n]);
    a.y[n] = static_cast<float>(static_cast<std::int32_t>(rest)) * a.x_scales[0] * a.scales[n] *
             a.factor;
  }
}

__m256 magnitude(__m256 v) {
  return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v);
}

__m256i lanes_left(std::int64_t left) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(left > 8 ? 8 : static_cast<int>(left)), lane);
}

float largest_below(const float* x, std::int64_t count, float limit) {
  __m256 largest = _mm256_setzero_ps();
  for (std::int64_t i = 0; i < count; i += 8) {
    const __m256 v = magnitude(_mm256_maskload_ps(x + i, lanes_left(count - i)));
    const __m256 kept = _mm256_cmp_ps(v, _mm256_set1_ps(limit), _CMP_LT_OQ);
    largest = _mm256_max_ps(largest, _mm256_and_ps(v, kept));
  }
  alignas(32) float lanes[8];
  _mm256_store_ps(lanes, largest);
  float result = 0;
  for (const float lane : lanes) result = lane > result ? lane : result;
  return result;
}

std::int32_t quantize(const float* x, std::int64_t count, float limit, float scale,
                      std::int8_t* codes) {
  std::int32_t sum = 0;
  for (std::int64_t i = 0; i < count; i += 8) {
    const __m256 v = _mm256_maskload_ps(x + i, lanes_left(count - i));
    const __m256 kept = _mm256_cmp_ps(magnitude(v), _mm256_set1_ps(limit), _CMP_LT_OQ);
    const __m256 scaled = _mm256_mul_ps(_mm256_and_ps(v, kept), _mm256_set1_ps(scale));
    alignas(32) std::int32_t code[8];
    _mm256_store_si256(reinterpret_cast<__m256i*>(code), _mm256_cvtps_epi32(scaled));
    for (std::int64_t j = 0; j < 8 && i + j < count; ++j) {
      codes[i + j] = static_cast<std::int8_t>(code[j]);
      sum += code[j];
    }
  }
  return sum;
}

constexpr int kSizes[] = {1};
constexpr Int8Tile kTiles[] = {multiply};

}  // namespace

const Int8PanelKernels kInt8PanelsAvx2{kSizes, kTiles, 1, 2, largest_below, quantize};

}  // namespace plimsoll::kernels
