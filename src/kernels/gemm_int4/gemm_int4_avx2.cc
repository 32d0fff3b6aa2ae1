#include "kernels/gemm_int4/gemm_int4_impl.h"
#include "kernels/simd/simd_avx2.h"

namespace plimsoll::kernels {

namespace {

// Outputs are a multiple of 8: registers are always full.
struct Int4Avx2 : Avx2 {
  using Words = __m256i;

  // With the fourth bit of every code flipped, which makes it code - 8 in two's complement.
  static Words load_words(const std::int32_t* words, std::int64_t) {
    return _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(words)),
                            _mm256_set1_epi32(static_cast<int>(0x88888888u)));
  }
  static Reg centred_codes(Words words, int column) {
    return _mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_slli_epi32(words, 28 - 4 * column), 28));
  }
  static Reg load_scales(const std::uint16_t* scales, std::int64_t) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(scales)));
  }
  static Reg load_centred_zeros(const std::int32_t* zeros, std::int64_t) {
    const __m256i shifts = _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28);
    const __m256i stored = _mm256_srlv_epi32(_mm256_set1_epi32(zeros[0]), shifts);
    const __m256i points =
        _mm256_and_si256(_mm256_add_epi32(stored, _mm256_set1_epi32(1)), _mm256_set1_epi32(0xf));
    return _mm256_cvtepi32_ps(_mm256_sub_epi32(points, _mm256_set1_epi32(8)));
  }
};

}  // namespace

const Int4Kernels kInt4Avx2 = kInt4<Int4Avx2>;

}  // namespace plimsoll::kernels
