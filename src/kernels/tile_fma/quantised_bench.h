// The one benchmark body of the linear kernels, of stored weights and of panels: verified against
// the oracle, then timed over enough copies of the weights that no cache holds them.
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
#include "kernels/panels/panels.h"
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
/// The same for variants that round activations (bf16: 2^-9 each; int8: 1/254 of the block's
/// largest) and levels (1/254), whose errors add up as those of a random walk.
inline constexpr double kRoundedTolerance = 0.02;

using Oracle = void (*)(const LinearArgs&);

struct LinearBench {
  KernelVariant<LinearArgs> variant;
  Oracle oracle;
  quant::WeightFormat format;
  BenchShape shape;
  std::int64_t rows;
  bool panels;

  std::string name() const {
    return fmt::format("{}/{}/{}x{}/rows:{}", variant.name, quant::format_name(format),
                       shape.outputs, shape.columns, rows);
  }
};

/// Whether `args`, run with another layout of `stored`, gave the oracle's outputs.
inline bool verified(const LinearBench& bench, const LinearArgs& args,
                     const quant::Matrix& stored) {
  LinearArgs few = args;
  few.rows = std::min(args.rows, kVerifiedRows);
  few.weight = &stored;
  std::vector<float> expected(static_cast<std::size_t>(few.rows * stored.rows));
  few.y = expected.data();
  bench.oracle(few);
  double largest = 0;
  double difference = 0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    largest = std::max(largest, std::fabs(static_cast<double>(expected[i])));
    difference = std::max(difference, std::fabs(static_cast<double>(args.y[i]) - expected[i]));
  }
  LinearArgs exact = args;
  exact.compute = Compute::exact;
  const double tolerance = bench.variant.supports(exact) ? kBenchTolerance : kRoundedTolerance;
  return difference <= tolerance * largest;  // false for NaN too
}

inline void run(benchmark::State& state, const LinearBench& bench) {
  const auto [outputs, columns] = bench.shape;
  const quant::Matrix stored = quant::is_dense(bench.format)
                                   ? dense_matrix(bench.format, outputs, columns)
                                   : random_matrix(bench.format, outputs, columns);
  std::vector<quant::Matrix> copies;
  std::int64_t bytes = 0;
  do {
    quant::Matrix copy = stored;
    if (bench.panels) {
      copy = to_panels(stored);
    } else {
      copy.codes = stored.codes.clone();
      if (stored.scales.defined()) copy.scales = stored.scales.clone();
    }
    bytes = quant::matrix_bytes(copy);
    copies.push_back(copy);
  } while (static_cast<std::int64_t>(copies.size()) * bytes < kBenchBytes);
  const std::vector<float> x = random_values(bench.rows * columns, 1);
  std::vector<float> y(static_cast<std::size_t>(bench.rows * outputs));
  LinearArgs args{x.data(), bench.rows, &copies[0], y.data(), Compute::fast};
  if (const Support support = bench.variant.supports(args); !support) {
    return state.SkipWithError(support.reason.c_str());
  }
  bench.variant.run(args);
  if (!verified(bench, args, stored)) return state.SkipWithError("differs from the oracle");

  std::size_t next = 0;
  for ([[maybe_unused]] auto _ : state) {
    args.weight = &copies[next];
    bench.variant.run(args);
    next = (next + 1) % copies.size();
  }
  const auto iterations = static_cast<double>(state.iterations());
  const auto products = static_cast<double>(bench.rows * outputs * columns);
  state.counters["GB/s"] = benchmark::Counter(static_cast<double>(bytes) * iterations * 1e-9,
                                              benchmark::Counter::kIsRate);
  state.counters["GOP/s"] =
      benchmark::Counter(2 * products * iterations * 1e-9, benchmark::Counter::kIsRate);
  state.counters["threads"] = static_cast<double>(threads());
}

/// By variant, format, shape and rows: "gemm_fp8_avx512/fp8/5632x2048/rows:1".
inline void register_all(std::span<const KernelVariant<LinearArgs>> variants, Oracle oracle,
                         std::initializer_list<quant::WeightFormat> formats, bool panels) {
  for (const quant::WeightFormat format : formats) {
    for (const auto& variant : variants) {
      for (const BenchShape shape : kBenchShapes) {
        for (const std::int64_t rows : kBenchRows) {
          const LinearBench bench{variant, oracle, format, shape, rows, panels};
          benchmark::RegisterBenchmark(bench.name().c_str(), [bench](benchmark::State& state) {
            run(state, bench);
          })->UseRealTime();
        }
      }
    }
  }
}

/// Kernels of the stored form: every variant but the last, which is the oracle.
inline bool register_benches(std::span<const KernelVariant<LinearArgs>> variants,
                             std::initializer_list<quant::WeightFormat> formats) {
  register_all(variants.first(variants.size() - 1), variants.back().run, formats, false);
  return true;
}

/// Kernels of panels; `oracle` takes the stored form.
inline bool register_panel_benches(std::span<const KernelVariant<LinearArgs>> variants,
                                   Oracle oracle,
                                   std::initializer_list<quant::WeightFormat> formats) {
  register_all(variants, oracle, formats, true);
  return true;
}

}  // namespace plimsoll::kernels::cases
