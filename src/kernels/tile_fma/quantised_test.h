// The one test body of the quantised linear kernels. For tests only.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "core/variant.h"
#include "kernels/tile_fma/quantised_cases.h"

namespace plimsoll::kernels::cases {

inline constexpr std::int64_t kTestRows[] = {1, 2, 3, 5, 17, 64};

/// Runs every variant that supports `args` into poisoned outputs and compares it with the last, the
/// oracle; bounds[i] is how far output i may be off. Returns how many variants ran besides the
/// oracle.
inline int expect_oracle(std::span<const KernelVariant<LinearArgs>> variants, LinearArgs args,
                         std::span<const float> bounds) {
  const auto size = static_cast<std::size_t>(args.rows * args.weight->rows);
  std::vector<float> expected(size, std::numeric_limits<float>::quiet_NaN());
  args.y = expected.data();
  variants.back().run(args);
  int ran = 0;
  for (const auto& variant : variants.first(variants.size() - 1)) {
    if (!variant.supports(args)) continue;
    ++ran;
    std::vector<float> actual(size, std::numeric_limits<float>::quiet_NaN());
    args.y = actual.data();
    variant.run(args);
    for (std::size_t i = 0; i < size; ++i) {
      if (std::fabs(actual[i] - expected[i]) <= bounds[i]) continue;
      ADD_FAILURE() << variant.name << " " << quant::format_name(args.weight->format) << " ["
                    << args.weight->rows << ", " << args.weight->columns << "] x " << args.rows
                    << " rows: output " << i << " is " << actual[i] << ", expected " << expected[i]
                    << " +- " << bounds[i];
      break;
    }
  }
  return ran;
}

/// How many variants besides the oracle this CPU runs.
inline int available(std::span<const KernelVariant<LinearArgs>> variants) {
  int count = 0;
  for (const auto& variant : variants.first(variants.size() - 1)) count += variant.available().ok;
  return count;
}

/// All row counts and compute modes over one matrix, fp32 bounds. Returns the least number of
/// variants that ran besides the oracle.
inline int expect_oracle_for_all_rows(std::span<const KernelVariant<LinearArgs>> variants,
                                      const quant::Matrix& w) {
  int least = std::numeric_limits<int>::max();
  for (const std::int64_t rows : kTestRows) {
    const std::vector<float> x =
        random_values(rows * w.columns, static_cast<std::uint64_t>(rows * 1000 + w.columns));
    LinearArgs args{x.data(), rows, &w, nullptr, Compute::exact};
    const std::vector<float> bounds = fp32_bounds(args);
    for (const Compute compute : {Compute::exact, Compute::fast}) {
      args.compute = compute;
      least = std::min(least, expect_oracle(variants, args, bounds));
    }
  }
  return least;
}

}  // namespace plimsoll::kernels::cases
