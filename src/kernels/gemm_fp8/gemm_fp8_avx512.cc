#include <immintrin.h>

#include "kernels/gemm_fp8/gemm_fp8_isa.h"

namespace plimsoll::kernels {

namespace {

constexpr std::int64_t kGroup = 64;

__m512i load_codes(const std::uint8_t* codes, std::int64_t left) {
  if (left >= kGroup) return _mm512_loadu_si512(codes);
  return _mm512_maskz_loadu_epi8((1ull << left) - 1, codes);
}

// Codes in the upper bytes of the words, to binary16 / 256. Bit 14 is a copy of the sign, the low
// bits are rests of the lower bytes.
__m512i halves_of_odd(__m512i codes) {
  return _mm512_and_si512(_mm512_srai_epi16(codes, 1),
                          _mm512_set1_epi16(static_cast<short>(0xbf80)));
}

void widen(__m512i halves, __m512* out) {
  out[0] = _mm512_cvtph_ps(_mm512_castsi512_si256(halves));
  out[1] = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(halves, 1));
}

// Four registers in packed order.
void weights_of(__m512i codes, __m512* weights) {
  widen(halves_of_odd(_mm512_slli_epi16(codes, 8)), weights);
  widen(halves_of_odd(codes), weights + 2);
}

__mmask64 nan_codes(__m512i codes) {
  const __m512i magnitude = _mm512_set1_epi8(0x7f);
  return _mm512_cmpeq_epi8_mask(_mm512_and_si512(codes, magnitude), magnitude);
}

template <int R>
void product(const Fp8Rows& w, const float* packed, std::int64_t packed_stride, float* y,
             std::int64_t y_stride) {
  for (std::int64_t n = 0; n < w.outputs; ++n) {
    const std::uint8_t* codes = w.codes + n * w.columns;
    // Two chains a row of x, so that FMAs overlap when there is one row.
    __m512 sum[R][2];
    for (int r = 0; r < R; ++r) sum[r][0] = sum[r][1] = _mm512_setzero_ps();
    __mmask64 nan = 0;
    for (std::int64_t k = 0; k < w.columns; k += kGroup) {
      const __m512i group = load_codes(codes + k, w.columns - k);
      nan |= nan_codes(group);
      __m512 weights[4];
      weights_of(group, weights);
      for (int part = 0; part < 4; ++part) {
        for (int r = 0; r < R; ++r) {
          const __m512 x = _mm512_loadu_ps(packed + r * packed_stride + k + part * 16);
          sum[r][part % 2] = _mm512_fmadd_ps(weights[part], x, sum[r][part % 2]);
        }
      }
    }
    const float scale = nan != 0 ? __builtin_nanf("") : w.scales[n] * kFp8HalfScale;
    for (int r = 0; r < R; ++r) {
      y[r * y_stride + n] = _mm512_reduce_add_ps(_mm512_add_ps(sum[r][0], sum[r][1])) * scale;
    }
  }
}

}  // namespace

void fp8_product_avx512(const Fp8Rows& w, const float* packed, std::int64_t packed_stride,
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

void fp8_decode_avx512(const Fp8Rows& w, std::int64_t begin, std::int64_t end, float* tile,
                       std::int64_t tile_stride) {
  for (std::int64_t n = 0; n < w.outputs; ++n) {
    const std::uint8_t* codes = w.codes + n * w.columns;
    const __m512 scale = _mm512_set1_ps(w.scales[n] * kFp8HalfScale);
    float* out = tile + n * tile_stride;
    __mmask64 nan = 0;
    for (std::int64_t k = begin; k < end; k += kGroup, out += kGroup) {
      const __m512i group = load_codes(codes + k, w.columns - k);
      nan |= nan_codes(group);
      __m512 weights[4];
      weights_of(group, weights);
      for (int part = 0; part < 4; ++part) {
        _mm512_storeu_ps(out + part * 16, _mm512_mul_ps(weights[part], scale));
      }
    }
    if (nan != 0) tile[n * tile_stride] = __builtin_nanf("");
  }
}

}  // namespace plimsoll::kernels
