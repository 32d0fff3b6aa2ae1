#include <immintrin.h>

#include <cstdint>

#include "kernels/machine_probe/machine_probe_isa.h"

namespace plimsoll::kernels {

namespace {

/// A compile-time number of streams, so that each has its register and its pointer.
template <int kStreams>
std::uint64_t read_streams(const std::uint64_t* words, std::int64_t run_words) {
  __m512i sums[kStreams];
  for (int s = 0; s < kStreams; ++s) sums[s] = _mm512_setzero_si512();
  for (std::int64_t i = 0; i < run_words; i += 8) {
#pragma GCC unroll 8
    for (int s = 0; s < kStreams; ++s) {
      sums[s] = _mm512_xor_si512(sums[s], _mm512_load_si512(words + s * run_words + i));
    }
  }
  for (int s = 1; s < kStreams; ++s) sums[0] = _mm512_xor_si512(sums[0], sums[s]);
  std::uint64_t lanes[8];
  _mm512_storeu_si512(lanes, sums[0]);
  std::uint64_t checksum = 0;
  for (const std::uint64_t lane : lanes) checksum ^= lane;
  return checksum;
}

}  // namespace

std::uint64_t read_words_avx512(const std::uint64_t* words, std::int64_t run_words, int streams) {
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

std::int64_t fp32_products_avx512(std::int64_t iterations) {
  __m512 one = _mm512_set1_ps(1);
  __m512 sums[kProbeAccumulators];
  for (auto& sum : sums) sum = _mm512_setzero_ps();
  for (std::int64_t i = 0; i < iterations; ++i) {
    asm volatile("" : "+v"(one));  // whose value the compiler then cannot know
#pragma GCC unroll 12
    for (auto& sum : sums) sum = _mm512_fmadd_ps(one, one, sum);
  }
  std::int64_t total = 0;
  for (const auto& sum : sums) {
    float lanes[16];
    _mm512_storeu_ps(lanes, sum);
    for (const float lane : lanes) total += static_cast<std::int64_t>(lane);
  }
  return total;
}

std::int64_t int8_products_avx512(std::int64_t iterations) {
  __m512i ones = _mm512_set1_epi8(1);
  __m512i sums[kProbeAccumulators];
  for (auto& sum : sums) sum = _mm512_setzero_si512();
  for (std::int64_t i = 0; i < iterations; ++i) {
    asm volatile("" : "+v"(ones));
#pragma GCC unroll 12
    for (auto& sum : sums) sum = _mm512_dpbusd_epi32(sum, ones, ones);
  }
  std::int64_t total = 0;
  for (const auto& sum : sums) {
    std::int32_t lanes[16];
    _mm512_storeu_si512(lanes, sum);
    for (const std::int32_t lane : lanes) total += lane;
  }
  return total;
}

}  // namespace plimsoll::kernels
