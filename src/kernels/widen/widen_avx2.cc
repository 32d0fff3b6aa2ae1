#include <immintrin.h>

#include <cstdint>

#include "kernels/widen/widen.h"

namespace plimsoll::kernels {

void widen_f16_avx2(const std::uint16_t* source, std::int64_t count, float* target) {
  std::int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    _mm256_storeu_ps(
        target + i, _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(source + i))));
  }
  for (; i < count; ++i) target[i] = _cvtsh_ss(source[i]);
}

}  // namespace plimsoll::kernels
