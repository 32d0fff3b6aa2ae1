#include "eval/confidence.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/rng.h"

namespace plimsoll {
namespace {

// Any table of Student's t, two-sided, 5 %.
TEST(StudentT, IsThatOfTheTables) {
  for (const auto& [degrees, t] : {std::pair<std::size_t, double>{1, 12.7062},
                                   {2, 4.3027},
                                   {3, 3.1824},
                                   {4, 2.7764},
                                   {9, 2.2622},
                                   {10, 2.2281},
                                   {30, 2.0423},
                                   {120, 1.9799},
                                   {1'000'000, 1.95996}}) {
    EXPECT_NEAR(student_t95(degrees), t, 5e-5) << degrees;
  }
}

TEST(ClusteredMean, OfOneWindowHasNoInterval) {
  ClusteredMean mean;
  for (int i = 0; i < 100; ++i) mean.add(i, 1, 0);
  EXPECT_DOUBLE_EQ(mean.estimate().value, 49.5);
  EXPECT_FALSE(mean.estimate().interval.has_value());
}

// Three windows of the same size: the interval of the mean of their three means, by hand.
TEST(ClusteredMean, TakesTheWindowsForTheSamples) {
  ClusteredMean mean;
  for (std::size_t window = 0; window < 3; ++window) {
    for (int i = 0; i < 50; ++i)
      mean.add(static_cast<double>(window) + (i % 2 ? 5 : -5), 2, window);
  }
  const Estimate estimate = mean.estimate();
  EXPECT_DOUBLE_EQ(estimate.value, 1);
  ASSERT_TRUE(estimate.interval.has_value());
  const double error = 1 / std::sqrt(3.0);  // the deviation of 0, 1, 2 is 1
  EXPECT_NEAR(estimate.interval->low, 1 - 4.3027 * error, 1e-4);
  EXPECT_NEAR(estimate.interval->high, 1 + 4.3027 * error, 1e-4);
}

TEST(ClusteredPercentiles, InterpolateAndSayWhatTheyCannotKnow) {
  ClusteredPercentiles samples;
  for (int i = 100; i >= 0; --i) samples.add(i, static_cast<std::size_t>(i % 7));
  EXPECT_DOUBLE_EQ(samples.estimate(50).value, 50);
  EXPECT_DOUBLE_EQ(samples.estimate(12.5).value, 12.5);
  EXPECT_FALSE(samples.estimate(99.9).interval.has_value());
  ClusteredPercentiles one_window;
  for (int i = 0; i < 1000; ++i) one_window.add(i, 0);
  EXPECT_FALSE(one_window.estimate(50).interval.has_value());
}

// The interval must hold the true percentile in 95 % of all texts. Samples of a window share an
// offset, which an interval of independent samples would not see.
TEST(ClusteredPercentiles, CoverTheTruePercentile) {
  constexpr int kTexts = 400, kWindows = 24, kSamples = 40;
  int covered = 0;
  for (int text = 0; text < kTexts; ++text) {
    Rng rng(static_cast<std::uint64_t>(text));
    ClusteredPercentiles samples;
    for (std::size_t window = 0; window < kWindows; ++window) {
      const double offset = rng.uniform();
      for (int i = 0; i < kSamples; ++i) samples.add(offset + rng.uniform(), window);
    }
    const auto interval = samples.estimate(90).interval;
    ASSERT_TRUE(interval.has_value());
    // The sum of two uniform values is below s > 1 with probability 1 - (2 - s)^2 / 2.
    const double truth = 2 - std::sqrt(0.2);
    covered += interval->low <= truth && truth <= interval->high ? 1 : 0;
  }
  // 95 % of 400 are 380, with a deviation of 4.4 (binomial); the inversion is an approximation for
  // large samples, worth another 2 % here.
  EXPECT_GE(covered, 380 - 8 - 3 * 4.4);
  EXPECT_LT(covered, kTexts);
}

}  // namespace
}  // namespace plimsoll
