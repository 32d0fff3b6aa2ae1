// What the instruction-set files of machine_probe implement.
#pragma once

#include <cstdint>

namespace plimsoll::kernels {

/// Independent sums: latency times throughput of a multiply-add is 4 to 10 on the CPUs at hand, and
/// AVX2 has 16 registers.
inline constexpr int kProbeAccumulators = 12;
/// Sums of ones, two a step for bf16, stay exact in fp32.
inline constexpr std::int64_t kProbeIterations = std::int64_t{1} << 22;
/// Most streams that a read takes.
inline constexpr int kProbeStreams = 8;

/// Exclusive or of all words of `streams` runs of `run_words` words (a multiple of 8).
std::uint64_t read_words_scalar(const std::uint64_t* words, std::int64_t run_words, int streams);
std::uint64_t read_words_avx2(const std::uint64_t* words, std::int64_t run_words, int streams);
std::uint64_t read_words_avx512(const std::uint64_t* words, std::int64_t run_words, int streams);

/// Products added up in `iterations` steps.
std::int64_t fp32_products_scalar(std::int64_t iterations);
std::int64_t fp32_products_avx2(std::int64_t iterations);
std::int64_t fp32_products_avx512(std::int64_t iterations);
std::int64_t bf16_products_avx512(std::int64_t iterations);
std::int64_t int8_products_scalar(std::int64_t iterations);
std::int64_t int8_products_avx2(std::int64_t iterations);
std::int64_t int8_products_avx512(std::int64_t iterations);

}  // namespace plimsoll::kernels
