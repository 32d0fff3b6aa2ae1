#include "kernels/machine_probe/machine_probe_isa.h"

namespace plimsoll::kernels {

namespace {

/// Keeps the compiler from knowing that the factor is 1.
template <class T>
T opaque(T value) {
  volatile T hidden = value;
  return hidden;
}

/// Each sum is computed, not folded into a formula.
void keep(float& sum) {
#if defined(__x86_64__)
  asm volatile("" : "+x"(sum));
#else
  sum = opaque(sum);
#endif
}
void keep(std::int32_t& sum) {
#if defined(__x86_64__)
  asm volatile("" : "+r"(sum));
#else
  sum = opaque(sum);
#endif
}

template <class T>
std::int64_t products(std::int64_t iterations) {
  const T one = opaque(T{1});
  T sums[kProbeAccumulators] = {};
  for (std::int64_t i = 0; i < iterations; ++i) {
#pragma GCC unroll 12
    for (T& sum : sums) keep(sum += one * one);
  }
  std::int64_t total = 0;
  for (const T sum : sums) total += static_cast<std::int64_t>(sum);
  return total;
}

}  // namespace

std::uint64_t read_words_scalar(const std::uint64_t* words, std::int64_t run_words, int streams) {
  std::uint64_t checksum = 0;
  for (std::int64_t i = 0; i < run_words * streams; ++i) checksum ^= words[i];
  return checksum;
}

std::int64_t fp32_products_scalar(std::int64_t iterations) {
  return products<float>(iterations);
}

std::int64_t int8_products_scalar(std::int64_t iterations) {
  return products<std::int32_t>(iterations);
}

}  // namespace plimsoll::kernels
