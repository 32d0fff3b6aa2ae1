#include "eval/statistics.h"

#include <gtest/gtest.h>

#include <cmath>

namespace plimsoll {
namespace {

TEST(Statistics, OfKnownSamples) {
  EXPECT_DOUBLE_EQ(mean({1, 2, 6}), 3);
  EXPECT_DOUBLE_EQ(standard_deviation({1, 2, 6}), std::sqrt(7));
  EXPECT_DOUBLE_EQ(standard_deviation({5}), 0);
  EXPECT_DOUBLE_EQ(median({3, 1, 2}), 2);
  EXPECT_DOUBLE_EQ(median({4, 1, 2, 3}), 2.5);
  EXPECT_DOUBLE_EQ(quantile({10, 0, 20}, 0.25), 5);
  EXPECT_DOUBLE_EQ(quantile({10, 0, 20}, 1), 20);
  EXPECT_DOUBLE_EQ(relative_spread({1, 2, 3, 4, 5}), 1.0 / 3);
}

}  // namespace
}  // namespace plimsoll
