#include <immintrin.h>

#include <cstdint>

#include "kernels/machine_probe/machine_probe_isa.h"

namespace plimsoll::kernels {

namespace {

/// A compile-time number of streams, so that each has its registers and its pointer.
template <int kStreams>
std::uint64_t read_streams(const std::uint64_t* words, std::int64_t run_words) {
  __m256i sums[kStreams];
  for (int s = 0; s < kStreams; ++s) sums[s] = _mm256_setzero_si256();
  for (std::int64_t i = 0; i < run_words; i += 8) {
#pragma GCC unroll 8
    for (int s = 0; s < kStreams; ++s) {
      const auto* line = reinterpret_cast<const __m256i*>(words + s * run_words + i);
      sums[s] = _mm256_xor_si256(
          sums[s], _mm256_xor_si256(_mm256_load_si256(line), _mm256_load_si256(line + 1)));
    }
  }
  for (int s = 1; s < kStreams; ++s) sums[0] = _mm256_xor_si256(sums[0], sums[s]);
  std::uint64_t lanes[4];
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(lanes), sums[0]);
  return lanes[0] ^ lanes[1] ^ lanes[2] ^ lanes[3];
}

}  // namespace

std::uint64_t read_words_avx2(const std::uint64_t* words, std::int64_t run_words, int streams) {
  switch (streams) {
    case 1:
      return read_streams<1>(words, run_words);
    case 2:
      return read_streams<2>(words, run_words);
    case 4:
      return read_streams<4>(words, run_words);
    case 8:
      return read_streams<8>(words, run_words);
    default:
      return read_streams<1>(words, run_words * streams);
  }
}

std::int64_t fp32_products_avx2(std::int64_t iterations) {
  __m256 one = _mm256_set1_ps(1);
  __m256 sums[kProbeAccumulators];
  for (auto& sum : sums) sum = _mm256_setzero_ps();
  for (std::int64_t i = 0; i < iterations; ++i) {
    asm volatile("" : "+x"(one));  // whose value the compiler then cannot know
#pragma GCC unroll 12
    for (auto& sum : sums) sum = _mm256_fmadd_ps(one, one, sum);
  }
  std::int64_t total = 0;
  for (const auto& sum : sums) {
    float lanes[8];
    _mm256_storeu_ps(lanes, sum);
    for (const float lane : lanes) total += static_cast<std::int64_t>(lane);
  }
  return total;
}

std::int64_t int8_products_avx2(std::int64_t iterations) {
  __m256i ones = _mm256_set1_epi8(1);
  const __m256i pairs = _mm256_set1_epi16(1);
  __m256i sums[kProbeAccumulators];
  for (auto& sum : sums) sum = _mm256_setzero_si256();
  for (std::int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 12
    for (auto& sum : sums) {
      asm volatile("" : "+x"(ones));  // else the product would be computed once for all sums
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(ones, ones), pairs));
    }
  }
  std::int64_t total = 0;
  for (const auto& sum : sums) {
    std::int32_t lanes[8];
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(lanes), sum);
    for (const std::int32_t lane : lanes) total += lane;
  }
  return total;
}

}  // namespace plimsoll::kernels
