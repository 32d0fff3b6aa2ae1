#include "kernels/attention_eager/attention_eager_impl.h"
#include "kernels/simd/simd_avx512.h"

namespace plimsoll::kernels {

void round_to_bf16(const float* source, std::int64_t count, std::uint16_t* target) {
  std::int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    const __m256bh rounded = _mm512_cvtneps_pbh(_mm512_loadu_ps(source + i));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(target + i), reinterpret_cast<__m256i>(rounded));
  }
  if (i == count) return;
  const auto some = static_cast<__mmask16>((1u << (count - i)) - 1);
  const __m256bh rounded = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(some, source + i));
  _mm256_mask_storeu_epi16(target + i, some, reinterpret_cast<__m256i>(rounded));
}

void masked_softmax_bf16(float* scores, std::int64_t count, std::int64_t begin, std::int64_t end,
                         float scale, std::uint16_t* weights) {
  softmax<Avx512>(scores, count, begin, end, scale);
  round_to_bf16(scores, count, weights);
}

}  // namespace plimsoll::kernels
