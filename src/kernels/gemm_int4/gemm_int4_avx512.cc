#include "kernels/gemm_int4/gemm_int4_impl.h"
#include "kernels/simd/simd_avx512.h"

namespace plimsoll::kernels {

namespace {

struct Int4Avx512 : Avx512 {
  using Words = __m512i;

  static Words load_words(const std::int32_t* words, std::int64_t left) {
    return _mm512_maskz_loadu_epi32(lanes_of(left), words);
  }
  // vpermps reads the low four bits of each lane.
  static Reg centred_codes(Words words, int column) {
    const Reg table = _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7);
    return _mm512_permutexvar_ps(_mm512_srli_epi32(words, static_cast<unsigned>(4 * column)),
                                 table);
  }
  static Reg load_scales(const std::uint16_t* scales, std::int64_t left) {
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes_of(left), scales));
  }
  static Reg load_centred_zeros(const std::int32_t* zeros, std::int64_t left) {
    const __m512i shifts =
        _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28);
    const __m512i word_of_lane = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    const __m512i words = _mm512_maskz_loadu_epi32(left >= kLanes ? 3 : 1, zeros);
    const __m512i stored = _mm512_srlv_epi32(_mm512_permutexvar_epi32(word_of_lane, words), shifts);
    const __m512i points =
        _mm512_and_si512(_mm512_add_epi32(stored, _mm512_set1_epi32(1)), _mm512_set1_epi32(0xf));
    return _mm512_cvtepi32_ps(_mm512_sub_epi32(points, _mm512_set1_epi32(8)));
  }

 private:
  // The panel's last register may be half full: outputs are a multiple of 8.
  static __mmask16 lanes_of(std::int64_t left) { return left >= kLanes ? 0xffff : 0x00ff; }
};

}  // namespace

const Int4Kernels kInt4Avx512 = kInt4<Int4Avx512>;

}  // namespace plimsoll::kernels
