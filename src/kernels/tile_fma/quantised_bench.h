// The one benchmark body of the quantised linear kernels: verified against the oracle, then timed
// over enough copies of the weights that no cache holds them.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <span>
#include <string>
#include <vector>

#include "core/threads.h"
#include "core/variant.h"
#include "kernels/tile_fma/quantised_cases.h"

namespace plimsoll::kernels::cases {

struct BenchShape {
  std::int64_t outputs;
  std::int64_t columns;
};

/// TinyLlama-1.1B: gate and up, down, q and o.
inline constexpr BenchShape kBenchShapes[] = {{5632, 2048}, {2048, 5632}, {2048, 2048}};
inline constexpr std::int64_t kBenchRows[] = {1, 8, 512};
/// Several times the L3 of the machines at hand.
inline constexpr std::int64_t kBenchBytes = 192 << 20;
/// Rows of the product that are compared with the oracle.
inline constexpr std::int64_t kVerifiedRows = 8;
/// Largest difference over the largest output. int8 gives the oracle's bits; fp32 sums of up to
/// 5632 terms stay two orders below.
inline constexpr double kBenchTolerance = 1e-4;

inline bool verified(const KernelVariant<LinearArgs>& oracle, const LinearArgs& args) {
  LinearArgs few = args;
  few.rows = std::min(args.rows, kVerifiedRows);
  std::vector<float> expected(static_cast<std::size_t>(few.rows * args.weight->rows));
  few.y = expected.data();
  oracle.run(few);
  double largest = 0;
  double difference = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    largest = std::max(largest, std::fabs(static_cast<double>(expected[i])));
    difference = std::max(difference, std::fabs(static_cast<double>(args.y[i]) - expected[i]));
  }
  return difference <= kBenchTolerance * largest;  // false for NaN too
}

inline void bench_linear(benchmark::State& state, const KernelVariant<LinearArgs>& variant,
                         const KernelVariant<LinearArgs>& oracle, quant::WeightFormat format,
                         BenchShape shape, std::int64_t rows) {
  std::vector<quant::Matrix> copies{random_matrix(format, shape.outputs, shape.columns)};
  const std::int64_t bytes = quant::matrix_bytes(copies[0]);
  while (static_cast<std::int64_t>(copies.size()) * bytes < kBenchBytes) {
    quant::Matrix copy = copies[0];
    copy.codes = copy.codes.clone();
    copy.scales = copy.scales.clone();
    copies.push_back(copy);
  }
  const std::vector<float> x = random_values(rows * shape.columns, 1);
  std::vector<float> y(static_cast<std::size_t>(rows * shape.outputs));
  LinearArgs args{x.data(), rows, &copies[0], y.data(), Compute::fast};
  if (const Support support = variant.supports(args); !support) {
    return state.SkipWithError(support.reason.c_str());
  }
  variant.run(args);
  if (!verified(oracle, args)) return state.SkipWithError("differs from the oracle");

  std::size_t next = 0;
  for (auto _ : state) {
    args.weight = &copies[next];
    variant.run(args);
    next = (next + 1) % copies.size();
  }
  const auto iterations = static_cast<double>(state.iterations());
  const auto products = static_cast<double>(rows * shape.outputs * shape.columns);
  state.counters["GB/s"] = benchmark::Counter(static_cast<double>(bytes) * iterations * 1e-9,
                                              benchmark::Counter::kIsRate);
  state.counters["GOP/s"] =
      benchmark::Counter(2 * products * iterations * 1e-9, benchmark::Counter::kIsRate);
  state.counters["threads"] = static_cast<double>(threads());
}

/// Every variant but the oracle, by shape and rows; "gemm_fp8_avx512/fp8/5632x2048/rows:1".
inline bool register_benches(std::span<const KernelVariant<LinearArgs>> variants,
                             std::initializer_list<quant::WeightFormat> formats) {
  for (const quant::WeightFormat format : formats) {
    for (const auto& variant : variants.first(variants.size() - 1)) {
      for (const BenchShape shape : kBenchShapes) {
        for (const std::int64_t rows : kBenchRows) {
          const std::string name =
              fmt::format("{}/{}/{}x{}/rows:{}", variant.name, quant::format_name(format),
                          shape.outputs, shape.columns, rows);
          benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
            bench_linear(state, variant, variants.back(), format, shape, rows);
          })->UseRealTime();
        }
      }
    }
  }
  return true;
}

}  // namespace plimsoll::kernels::cases
