#include <immintrin.h>

#include "kernels/gemm_fp8/gemm_fp8_isa.h"

namespace plimsoll::kernels {

namespace {

constexpr std::int64_t kGroup = 32;

__m256i load_codes(const std::uint8_t* codes, std::int64_t left) {
  if (left >= kGroup) return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes));
  alignas(32) std::uint8_t padded[kGroup] = {};
  for (std::int64_t i = 0; i < left; ++i) padded[i] = codes[i];
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(padded));
}

// Codes in the upper bytes of the words, to binary16 / 256. Bit 14 is a copy of the sign, the low
// bits are rests of the lower bytes.
__m256i halves_of_odd(__m256i codes) {
  return _mm256_and_si256(_mm256_srai_epi16(codes, 1),
                          _mm256_set1_epi16(static_cast<short>(0xbf80)));
}

void widen(__m256i halves, __m256* out) {
  out[0] = _mm256_cvtph_ps(_mm256_castsi256_si128(halves));
  out[1] = _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1));
}

// Four registers in packed order.
void weights_of(__m256i codes, __m256* weights) {
  widen(halves_of_odd(_mm256_slli_epi16(codes, 8)), weights);
  widen(halves_of_odd(codes), weights + 2);
}

__m256i nan_codes(__m256i codes) {
  const __m256i magnitude = _mm256_set1_epi8(0x7f);
  return _mm256_cmpeq_epi8(_mm256_and_si256(codes, magnitude), magnitude);
}

bool any(__m256i mask) {
  return _mm256_testz_si256(mask, mask) == 0;
}

float sum_lanes(__m256 v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

template <int R>
void product(const Fp8Rows& w, const float* packed, std::int64_t packed_stride, float* y,
             std::int64_t y_stride) {
  for (std::int64_t n = 0; n < w.outputs; ++n) {
    const std::uint8_t* codes = w.codes + n * w.columns;
    // Two chains a row of x, so that FMAs overlap when there is one row.
    __m256 sum[R][2];
    for (int r = 0; r < R; ++r) sum[r][0] = sum[r][1] = _mm256_setzero_ps();
    __m256i nan = _mm256_setzero_si256();
    for (std::int64_t k = 0; k < w.columns; k += kGroup) {
      const __m256i group = load_codes(codes + k, w.columns - k);
      nan = _mm256_or_si256(nan, nan_codes(group));
      __m256 weights[4];
      weights_of(group, weights);
      for (int part = 0; part < 4; ++part) {
        for (int r = 0; r < R; ++r) {
          const __m256 x = _mm256_loadu_ps(packed + r * packed_stride + k + part * 8);
          sum[r][part % 2] = _mm256_fmadd_ps(weights[part], x, sum[r][part % 2]);
        }
      }
    }
    const float scale = any(nan) ? __builtin_nanf("") : w.scales[n] * kFp8HalfScale;
    for (int r = 0; r < R; ++r) {
      y[r * y_stride + n] = sum_lanes(_mm256_add_ps(sum[r][0], sum[r][1])) * scale;
    }
  }
}

}  // namespace

void fp8_product_avx2(const Fp8Rows& w, const float* packed, std::int64_t packed_stride,
                      std::int64_t rows, float* y, std::int64_t y_stride) {
  switch (rows) {
    case 1:
      return product<1>(w, packed, packed_stride, y, y_stride);
    case 2:
      return product<2>(w, packed, packed_stride, y, y_stride);
    case 3:
      return product<3>(w, packed, packed_stride, y, y_stride);
    default:
      return product<4>(w, packed, packed_stride, y, y_stride);
  }
}

void fp8_decode_avx2(const Fp8Rows& w, std::int64_t begin, std::int64_t end, float* tile,
                     std::int64_t tile_stride) {
  for (std::int64_t n = 0; n < w.outputs; ++n) {
    const std::uint8_t* codes = w.codes + n * w.columns;
    const __m256 scale = _mm256_set1_ps(w.scales[n] * kFp8HalfScale);
    float* out = tile + n * tile_stride;
    __m256i nan = _mm256_setzero_si256();
    for (std::int64_t k = begin; k < end; k += kGroup, out += kGroup) {
      const __m256i group = load_codes(codes + k, w.columns - k);
      nan = _mm256_or_si256(nan, nan_codes(group));
      __m256 weights[4];
      weights_of(group, weights);
      for (int part = 0; part < 4; ++part) {
        _mm256_storeu_ps(out + part * 8, _mm256_mul_ps(weights[part], scale));
      }
    }
    if (any(nan)) tile[n * tile_stride] = __builtin_nanf("");
  }
}

}  // namespace plimsoll::kernels
