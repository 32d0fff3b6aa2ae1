// The test bodies of the kernels that read panels. For tests and benchmarks only.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <initializer_list>
#include <limits>
#include <set>
#include <span>
#include <vector>

#include "core/threads.h"
#include "core/variant.h"
#include "kernels/panels/panels.h"
#include "kernels/tile_fma/quantised_cases.h"

namespace plimsoll::kernels::cases {

/// One row of every tile's size, the largest tile with a rest, and several.
inline constexpr std::int64_t kPanelRows[] = {1, 2, 3, 4, 5, 7, 12, 29};

/// unit * sum |x w| of every output, w being the stored matrix.
inline std::vector<float> product_bounds(const LinearArgs& args, double unit) {
  const quant::Matrix& w = *args.weight;
  const Tensor decoded =
      quant::is_dense(w.format) ? converted(w.codes, DType::f32) : quant::decode(w);
  std::vector<float> bounds;
  for (std::int64_t r = 0; r < args.rows; ++r) {
    for (std::int64_t n = 0; n < w.rows; ++n) {
      double sum = 0;
      for (std::int64_t k = 0; k < w.columns; ++k) {
        sum += std::fabs(static_cast<double>(args.x[r * w.columns + k]) *
                         decoded.data<float>()[n * w.columns + k]);
      }
      bounds.push_back(static_cast<float>(sum * unit + 1e-30));
    }
  }
  return bounds;
}

/// How far each output of a variant may be from the oracle's; args.weight is the stored matrix.
using PanelBounds =
    std::function<std::vector<float>(const LinearArgs&, const KernelVariant<LinearArgs>&)>;

inline void expect_near(std::span<const float> actual, std::span<const float> expected,
                        std::span<const float> bounds, const std::string& what) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (std::fabs(actual[i] - expected[i]) <= bounds[i]) continue;
    ADD_FAILURE() << what << ": output " << i << " is " << actual[i] << ", expected " << expected[i]
                  << " +- " << bounds[i];
    return;
  }
}

/// Every variant on the packed matrix against the oracle on the stored one, over all row counts,
/// into poisoned outputs. Returns how many variants ran.
inline int expect_panels_oracle(std::span<const KernelVariant<LinearArgs>> variants,
                                void (*oracle)(const LinearArgs&), const quant::Matrix& stored,
                                std::initializer_list<Compute> modes, const PanelBounds& bounds,
                                float amplitude = 1) {
  const quant::Matrix packed = to_panels(stored);
  std::set<std::string_view> ran;
  for (const std::int64_t rows : kPanelRows) {
    std::vector<float> x = random_values(rows * stored.columns, static_cast<std::uint64_t>(rows));
    for (float& value : x) value *= amplitude;
    const auto size = static_cast<std::size_t>(rows * stored.rows);
    constexpr float kPoison = std::numeric_limits<float>::quiet_NaN();
    for (const Compute compute : modes) {
      std::vector<float> expected(size, kPoison);
      const LinearArgs args{x.data(), rows, &stored, expected.data(), compute};
      oracle(args);
      for (const auto& variant : variants) {
        std::vector<float> actual(size, kPoison);
        const LinearArgs packed_args{x.data(), rows, &packed, actual.data(), compute};
        if (!variant.supports(packed_args)) continue;
        ran.insert(variant.name);
        variant.run(packed_args);
        expect_near(
            actual, expected, bounds(args, variant),
            fmt::format("{} {} [{}, {}] x {} rows", variant.name, quant::format_name(stored.format),
                        stored.rows, stored.columns, rows));
      }
    }
  }
  return static_cast<int>(ran.size());
}

inline int variants_of_this_cpu(std::span<const KernelVariant<LinearArgs>> variants) {
  int count = 0;
  for (const auto& variant : variants) count += variant.available().ok;
  return count;
}

/// Each of 29 rows gives the same bits alone, in pairs, all together, on one thread and on two.
inline void expect_rows_independent(std::span<const KernelVariant<LinearArgs>> variants,
                                    const quant::Matrix& stored) {
  constexpr std::int64_t kRows = 29;
  const quant::Matrix packed = to_panels(stored);
  const std::vector<float> x = random_values(kRows * stored.columns, 3);
  const int before = threads();
  int ran = 0;
  for (const Compute compute : {Compute::exact, Compute::fast}) {
    for (const auto& variant : variants) {
      const auto run = [&](std::int64_t chunk, int team) {
        set_threads(team);
        std::vector<float> y(static_cast<std::size_t>(kRows * stored.rows));
        for (std::int64_t row = 0; row < kRows; row += chunk) {
          variant.run({x.data() + row * stored.columns, std::min(chunk, kRows - row), &packed,
                       y.data() + row * stored.rows, compute});
        }
        return y;
      };
      if (!variant.supports({x.data(), 1, &packed, nullptr, compute})) continue;
      ++ran;
      const std::vector<float> together = run(kRows, 2);
      EXPECT_EQ(together, run(1, 1)) << variant.name;
      EXPECT_EQ(together, run(1, 2)) << variant.name;
      EXPECT_EQ(together, run(5, 2)) << variant.name;
    }
  }
  set_threads(before);
  EXPECT_GT(ran, 0);
}

}  // namespace plimsoll::kernels::cases
