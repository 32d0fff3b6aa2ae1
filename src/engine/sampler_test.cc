#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "core/error.h"
#include "support/support.h"

namespace plimsoll {
namespace {

const std::vector<float> kLogits{1.0f, 3.0f, 2.0f, 3.0f, -1.0f};

std::map<std::int32_t, int> frequencies(const SamplingOptions& options, int draws) {
  Sampler sampler(options);
  std::map<std::int32_t, int> counts;
  for (int i = 0; i < draws; ++i) ++counts[sampler.sample(kLogits, {})];
  return counts;
}

TEST(Sampler, GreedyTakesTheLargestAndTheLowerIdOnTies) {
  EXPECT_EQ(Sampler({}).sample(kLogits, {}), 1);
}

TEST(Sampler, FrequenciesFollowTheSoftmax) {
  constexpr int kDraws = 200'000;
  SamplingOptions options;
  options.temperature = 2;
  const auto counts = frequencies(options, kDraws);
  double total = 0;
  for (const float logit : kLogits) total += std::exp(logit / 2.0);
  for (std::size_t id = 0; id < kLogits.size(); ++id) {
    const double p = std::exp(kLogits[id] / 2.0) / total;
    const double deviation = 5 * std::sqrt(p * (1 - p) / kDraws);  // five sigma
    EXPECT_NEAR(static_cast<double>(counts.at(static_cast<std::int32_t>(id))) / kDraws, p,
                deviation);
  }
}

TEST(Sampler, FiltersKeepWhatTheySay) {
  SamplingOptions options;
  options.temperature = 1;
  options.top_k = 3;
  auto counts = frequencies(options, 20'000);
  EXPECT_EQ(counts.size(), 3u);
  EXPECT_TRUE(counts.contains(1) && counts.contains(3) && counts.contains(2));

  options.top_k = 0;
  options.top_p = 0.5;  // ids 1 and 3 have 0.40 each: the second is needed to reach a half
  counts = frequencies(options, 5'000);
  EXPECT_EQ(counts.size(), 2u);
  EXPECT_TRUE(counts.contains(1) && counts.contains(3));

  options.top_p = 1;
  options.min_p = 0.3;  // exp(2 - 3) = 0.37 stays, exp(1 - 3) = 0.14 goes
  counts = frequencies(options, 20'000);
  EXPECT_EQ(counts.size(), 3u);
  EXPECT_FALSE(counts.contains(0));
}

TEST(Sampler, RepetitionPenaltyPushesSeenTokensDown) {
  SamplingOptions options;
  options.repetition_penalty = 1.6;  // 3 / 1.6 < 2
  const std::vector<std::int32_t> history{1, 3, 1};
  EXPECT_EQ(Sampler(options).sample(kLogits, history), 2);
  const std::vector<float> negative{-1.0f, -1.2f};
  const std::vector<std::int32_t> first{0};
  EXPECT_EQ(Sampler(options).sample(negative, first), 1);
}

TEST(Sampler, ASeedFixesTheDraws) {
  SamplingOptions options;
  options.temperature = 1;
  options.seed = 42;
  EXPECT_EQ(frequencies(options, 1000), frequencies(options, 1000));
  SamplingOptions other = options;
  other.seed = 43;
  EXPECT_NE(frequencies(options, 1000), frequencies(other, 1000));
}

TEST(Sampler, SenselessOptionsAreRefusedByFlag) {
  SamplingOptions options;
  options.top_p = 0;
  EXPECT_EQ(test::message_of<InputError>([&] { options.check(); }),
            "--top-p: value: found 0, expected a number in (0, 1]");
}

TEST(Sampler, ADamagedModelIsAnErrorAndNotAToken) {
  const std::vector<float> logits{1.0f, NAN, 2.0f};
  EXPECT_EQ(
      test::message_of<InputError>([&] { Sampler({}).sample(logits, {}); }),
      "the model: logits: found NaN or infinity, expected finite numbers: its weights are damaged");
}

}  // namespace
}  // namespace plimsoll
