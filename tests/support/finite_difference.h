// Gradients checked against central differences in double.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "core/rng.h"

namespace plimsoll::test {

/// A scalar function of many numbers, in double: the forward, spelt out, times fixed weights.
using Function = std::function<double(const std::vector<double>&)>;

inline std::vector<float> random_floats(std::size_t count, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(rng.normal());
  return values;
}

inline std::vector<double> widened(const std::vector<float>& values) {
  return {values.begin(), values.end()};
}

/// Expects gradient[i] = d f / d x[i] for every `stride`-th i, within `tolerance` of the largest of
/// those differences. A step of 1e-5 leaves the difference itself an error of some 1e-9.
inline void expect_gradient(const Function& f, const std::vector<float>& at,
                            const std::vector<float>& gradient, double tolerance,
                            std::size_t stride = 1) {
  ASSERT_EQ(at.size(), gradient.size());
  ASSERT_FALSE(at.empty());
  constexpr double kStep = 1e-5;
  std::vector<double> x = widened(at);
  std::vector<double> wanted(x.size());
  double largest = 0;
  for (std::size_t i = 0; i < x.size(); i += stride) {
    const double middle = x[i];
    x[i] = middle + kStep;
    const double above = f(x);
    x[i] = middle - kStep;
    const double below = f(x);
    x[i] = middle;
    wanted[i] = (above - below) / (2 * kStep);
    largest = std::max(largest, std::abs(wanted[i]));
  }
  ASSERT_GT(largest, 0);
  for (std::size_t i = 0; i < x.size(); i += stride)
    EXPECT_NEAR(gradient[i], wanted[i], tolerance * largest) << "element " << i;
}

}  // namespace plimsoll::test
