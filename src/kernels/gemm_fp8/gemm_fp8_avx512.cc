#include "kernels/gemm_fp8/gemm_fp8_impl.h"
#include "kernels/simd/simd_avx512.h"

namespace plimsoll::kernels {

namespace {

struct Fp8Avx512 : Avx512 {
  using Codes = __m512i;
  using Nan = __mmask64;

  static Codes load_codes(const std::uint8_t* codes, std::int64_t left) {
    if (left >= 64) return _mm512_loadu_si512(codes);
    return _mm512_maskz_loadu_epi8((1ull << left) - 1, codes);
  }
  static void weights_of(Codes codes, Reg* weights) {
    widen(halves_of_odd(_mm512_slli_epi16(codes, 8)), weights);
    widen(halves_of_odd(codes), weights + 2);
  }
  static Nan no_nan() { return 0; }
  static Nan nan_codes(Codes codes) {
    const __m512i magnitude = _mm512_set1_epi8(0x7f);
    return _mm512_cmpeq_epi8_mask(_mm512_and_si512(codes, magnitude), magnitude);
  }
  static bool any(Nan nan) { return nan != 0; }

 private:
  // Codes in the upper bytes of the words, to binary16 / 256. Bit 14 is a copy of the sign, the low
  // bits are rests of the lower bytes.
  static __m512i halves_of_odd(Codes codes) {
    return _mm512_and_si512(_mm512_srai_epi16(codes, 1),
                            _mm512_set1_epi16(static_cast<short>(0xbf80)));
  }
  static void widen(__m512i halves, Reg* out) {
    out[0] = _mm512_cvtph_ps(_mm512_castsi512_si256(halves));
    out[1] = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(halves, 1));
  }
};

}  // namespace

void fp8_product_avx512(const Fp8Rows& w, const float* packed, std::int64_t packed_stride,
                        std::int64_t rows, float* y, std::int64_t y_stride) {
  fp8_product<Fp8Avx512>(w, packed, packed_stride, rows, y, y_stride);
}

void fp8_decode_avx512(const Fp8Rows& w, std::int64_t begin, std::int64_t end, float* tile,
                       std::int64_t tile_stride) {
  fp8_decode<Fp8Avx512>(w, begin, end, tile, tile_stride);
}

}  // namespace plimsoll::kernels
