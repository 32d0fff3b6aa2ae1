#include <immintrin.h>

#include <cstdint>

#include "kernels/machine_probe/machine_probe_isa.h"

namespace plimsoll::kernels {

std::int64_t bf16_products_avx512(std::int64_t iterations) {
  __m512bh ones = _mm512_cvtne2ps_pbh(_mm512_set1_ps(1), _mm512_set1_ps(1));
  __m512 sums[kProbeAccumulators];
  for (auto& sum : sums) sum = _mm512_setzero_ps();
  for (std::int64_t i = 0; i < iterations; ++i) {
    asm volatile("" : "+v"(ones));  // whose value the compiler then cannot know
#pragma GCC unroll 12
    for (auto& sum : sums) sum = _mm512_dpbf16_ps(sum, ones, ones);
  }
  std::int64_t total = 0;
  for (const auto& sum : sums) {
    float lanes[16];
    _mm512_storeu_ps(lanes, sum);
    for (const float lane : lanes) total += static_cast<std::int64_t>(lane);
  }
  return total;
}

}  // namespace plimsoll::kernels
