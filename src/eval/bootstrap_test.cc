#include "eval/bootstrap.h"

#include <gtest/gtest.h>

#include "core/rng.h"

namespace plimsoll {
namespace {

TEST(Bootstrap, SummarisesByHand) {
  const Sampled s = summarised({4, 1, 3, 2});
  EXPECT_EQ(s.median, 2.5);
  EXPECT_EQ(s.mean, 2.5);
  EXPECT_NEAR(s.stddev, 1.2909944, 1e-6);
  ASSERT_TRUE(s.interval);
  EXPECT_GE(s.interval->low, 1);
  EXPECT_LT(s.interval->low, 2.5);
  EXPECT_GT(s.interval->high, 2.5);
  EXPECT_LE(s.interval->high, 4);
  EXPECT_EQ(s.samples, (std::vector<double>{4, 1, 3, 2}));
  EXPECT_FALSE(summarised({7}).interval);
}

TEST(Bootstrap, IsTheSameEachTime) {
  const std::vector<double> samples{1, 2, 4, 8, 16};
  EXPECT_EQ(summarised(samples).interval->low, summarised(samples).interval->low);
  EXPECT_EQ(summarised(samples).interval->high, summarised(samples).interval->high);
}

TEST(Bootstrap, ARatioOfPairsIgnoresWhatDisturbsBoth) {
  // Every round is slower than the one before, for both alike.
  const std::vector<double> a{2, 4, 6, 8, 10}, b{1, 2, 3, 4, 5};
  const Estimate paired = ratio_of_medians(a, b, Pairing::paired);
  EXPECT_EQ(paired.value, 2);
  EXPECT_EQ(paired.interval->low, 2);
  EXPECT_EQ(paired.interval->high, 2);
  const Estimate independent = ratio_of_medians(a, b, Pairing::independent);
  EXPECT_LT(independent.interval->low, 1.5);
  EXPECT_GT(independent.interval->high, 2.5);
}

TEST(Bootstrap, OneSampleHasNoInterval) {
  EXPECT_FALSE(ratio_of_medians({1}, {2}, Pairing::paired).interval);
  EXPECT_FALSE(ratio_of_medians({1, 2}, {2}, Pairing::independent).interval);
}

TEST(Bootstrap, QuantilesOfSeveralGroups) {
  const SampleGroups a{{1, 2, 3}, {10, 20, 30}}, b{{2, 4, 6}, {20, 40, 60}};
  EXPECT_EQ(pooled_quantile(a, 1), 30);
  EXPECT_EQ(pooled_quantile(a, 0.5), 6.5);
  const Estimate paired = ratio_of_quantiles(b, a, 0.95, Pairing::paired);
  EXPECT_EQ(paired.value, 2);
  EXPECT_NEAR(paired.interval->low, 2, 1e-12);
  EXPECT_NEAR(paired.interval->high, 2, 1e-12);
  const Estimate independent = ratio_of_quantiles(b, a, 1, Pairing::independent);
  // Resampled within its group, the largest is one of the second group's.
  EXPECT_GE(independent.interval->low, 20.0 / 30);
  EXPECT_LE(independent.interval->low, 40.0 / 30);
  EXPECT_GE(independent.interval->high, 3);
  EXPECT_LE(independent.interval->high, 6);
  EXPECT_FALSE(ratio_of_quantiles({{1, 2}, {3}}, {{1, 2}, {3}}, 0.5, Pairing::paired).interval);
}

/// Of many made-up pairs of eight repeats of the same thing, the interval of the ratio must hold 1
/// in about 95 of 100; with so few samples the percentile bootstrap is known to fall short of that.
TEST(Bootstrap, CoversTheTruth) {
  Rng rng(5);
  int covered = 0;
  constexpr int kTrials = 200;
  for (int trial = 0; trial < kTrials; ++trial) {
    std::vector<double> a(8), b(8);
    for (double& value : a) value = 1 + 0.02 * rng.normal();
    for (double& value : b) value = 1 + 0.02 * rng.normal();
    const Interval interval = *ratio_of_medians(a, b, Pairing::paired).interval;
    if (interval.low <= 1 && 1 <= interval.high) ++covered;
  }
  EXPECT_GT(covered, 180);
}

}  // namespace
}  // namespace plimsoll
