// What the benchmarks of backward kernels share: the gradient is verified against the forward
// kernel before it is timed.
#pragma once

#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "core/rng.h"
#include "core/threads.h"

namespace plimsoll::kernels::cases {

/// Uniform in [-1, 1).
inline std::vector<float> random_floats(std::int64_t count, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = static_cast<float>(2 * rng.uniform() - 1);
  return values;
}

/// Forward passes in fp32 differ by some 1e-7 of their sums' terms, over a step that changes each
/// input by 1e-3 on average; what is left are third derivatives.
inline constexpr double kSlopeTolerance = 1e-2;

/// Whether loss(x) = sum of dy * forward(x) changes along the gradient as the gradient says: the
/// central difference over the gradient's square is 1. `forward(x)` returns as many values as dy
/// has. False for NaN too.
template <class Forward>
bool gradient_agrees(const Forward& forward, const std::vector<float>& x,
                     const std::vector<float>& gradient, const std::vector<float>& dy) {
  double squares = 0;
  for (const float g : gradient) squares += static_cast<double>(g) * g;
  const double step = 1e-3 * std::sqrt(static_cast<double>(x.size()) / squares);
  const auto loss = [&](double by) {
    std::vector<float> moved = x;
    for (std::size_t i = 0; i < x.size(); ++i)
      moved[i] += static_cast<float>(by * static_cast<double>(gradient[i]));
    const std::vector<float> y = forward(moved);
    double total = 0;
    for (std::size_t i = 0; i < dy.size(); ++i) total += static_cast<double>(dy[i]) * y[i];
    return total;
  };
  const double slope = (loss(step) - loss(-step)) / (2 * step) / squares;
  return std::abs(slope - 1) <= kSlopeTolerance;
}

/// Times `run`; `bytes` and `operations` are those of one call.
template <class Run>
void time_gradient(benchmark::State& state, bool verified, const Run& run, std::int64_t bytes,
                   std::int64_t operations) {
  if (!verified) return state.SkipWithError("differs from the forward kernel's slope");
  for ([[maybe_unused]] auto _ : state) run();
  const auto calls = static_cast<double>(state.iterations());
  const auto rate = [&](std::int64_t amount) {
    return benchmark::Counter(static_cast<double>(amount) * calls * 1e-9,
                              benchmark::Counter::kIsRate);
  };
  state.counters["GB/s"] = rate(bytes);
  state.counters["GOP/s"] = rate(operations);
  state.counters["threads"] = static_cast<double>(threads());
}

}  // namespace plimsoll::kernels::cases
