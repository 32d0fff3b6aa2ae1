#include "kernels/gemm_fp8/gemm_fp8_impl.h"
#include "kernels/simd/simd_avx2.h"

namespace plimsoll::kernels {

namespace {

struct Fp8Avx2 : Avx2 {
  using Codes = __m256i;
  struct Nan {
    __m256i mask;
    void operator|=(Nan other) { mask = _mm256_or_si256(mask, other.mask); }
  };

  static Codes load_codes(const std::uint8_t* codes, std::int64_t left) {
    if (left >= 32) return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes));
    alignas(32) std::uint8_t padded[32] = {};
    for (std::int64_t i = 0; i < left; ++i) padded[i] = codes[i];
    return _mm256_load_si256(reinterpret_cast<const __m256i*>(padded));
  }
  static void weights_of(Codes codes, Reg* weights) {
    widen(halves_of_odd(_mm256_slli_epi16(codes, 8)), weights);
    widen(halves_of_odd(codes), weights + 2);
  }
  static Nan no_nan() { return {_mm256_setzero_si256()}; }
  static Nan nan_codes(Codes codes) {
    const __m256i magnitude = _mm256_set1_epi8(0x7f);
    return {_mm256_cmpeq_epi8(_mm256_and_si256(codes, magnitude), magnitude)};
  }
  static bool any(Nan nan) { return _mm256_testz_si256(nan.mask, nan.mask) == 0; }

 private:
  // As in gemm_fp8_avx512.cc.
  static __m256i halves_of_odd(Codes codes) {
    return _mm256_and_si256(_mm256_srai_epi16(codes, 1),
                            _mm256_set1_epi16(static_cast<short>(0xbf80)));
  }
  static void widen(__m256i halves, Reg* out) {
    out[0] = _mm256_cvtph_ps(_mm256_castsi256_si128(halves));
    out[1] = _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1));
  }
};

}  // namespace

void fp8_product_avx2(const Fp8Rows& w, const float* packed, std::int64_t packed_stride,
                      std::int64_t rows, float* y, std::int64_t y_stride) {
  fp8_product<Fp8Avx2>(w, packed, packed_stride, rows, y, y_stride);
}

void fp8_decode_avx2(const Fp8Rows& w, std::int64_t begin, std::int64_t end, float* tile,
                     std::int64_t tile_stride) {
  fp8_decode<Fp8Avx2>(w, begin, end, tile, tile_stride);
}

}  // namespace plimsoll::kernels
