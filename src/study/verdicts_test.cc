#include <gtest/gtest.h>

#include "study/made_up_results.h"
#include "study/study.h"
#include "study/tables.h"
#include "study/timing.h"
#include "study/verdicts.h"

namespace plimsoll::study {
namespace {

using test::made_up;

const std::vector<double> kSlow{100, 101, 102, 100}, kFast{200, 201, 202, 200},
    kNearlyFast{199, 202, 201, 200};

std::vector<std::string> kinds(const Results& results) {
  const std::vector<Warning> warnings = warnings_about(results);
  std::vector<std::string> kinds;
  kinds.reserve(warnings.size());
  for (const Warning& warning : warnings) kinds.push_back(warning.kind);
  return kinds;
}

TEST(Warnings, NoneWhereAllIsWell) {
  EXPECT_TRUE(
      kinds(made_up({made_up("fp32+sdpa", 40, kSlow, 1), made_up("nf4+sdpa", 5, kFast, 1.03)}))
          .empty());
}

TEST(Warnings, EachWithItsEvidence) {
  Results results =
      made_up({made_up("fp32+sdpa", 40, kSlow, 1), made_up("nf4+sdpa", 5, kFast, 0.95)});
  EXPECT_EQ(kinds(results), std::vector<std::string>{"beats_reference"});
  // Inside the interval it is no news; nor is it when a dense variant does.
  results.variants[1].quality->ppl_ratio = {0.995, Interval{0.98, 1.01}};
  EXPECT_TRUE(kinds(results).empty());
  results.variants[1].quality->ppl_ratio = {1.08, Interval{1.06, 1.1}};
  EXPECT_EQ(kinds(results), std::vector<std::string>{"loss"});
  EXPECT_NE(warnings_about(results).front().text.find(": gptq or another"), std::string::npos);
  results.variants[1].weights = "gptq";
  EXPECT_EQ(warnings_about(results).front().text.find("gptq"), std::string::npos);
  results.variants[1].slow_paths = {"a scalar kernel"};
  results.noise.emplace();
  results.noise->noisy = true;
  results.noise->drift.noticed = true;
  EXPECT_EQ(kinds(results), (std::vector<std::string>{"loss", "slow_path", "noisy", "drift"}));
}

TEST(Warnings, SharesOverTheCeilingAreTheCaches) {
  Results results =
      made_up({made_up("fp32+sdpa", 40, kSlow, 1), made_up("nf4+sdpa", 5, kFast, 1.03)});
  results.variants[0].share_of_ceiling = {1.0, 0.9};
  EXPECT_TRUE(kinds(results).empty());
  results.variants[1].share_of_ceiling = {1.25, 1.5};
  ASSERT_EQ(kinds(results), std::vector<std::string>{"cached"});
  const std::string text = warnings_about(results).front().text;
  EXPECT_NE(text.find("over 1 (nf4+sdpa 1.50 in decoding and 1.25 in prefill): the caches hold"),
            std::string::npos)
      << text;
}

TEST(Verdicts, FasterSlowerOrNoDifference) {
  const Sampled fast = summarised(kFast), slow = summarised(kSlow);
  EXPECT_EQ(versus(fast, slow, Pairing::paired, 0).verdict, "faster");
  EXPECT_EQ(versus(slow, fast, Pairing::paired, 0).verdict, "slower");
  EXPECT_EQ(versus(fast, summarised(kNearlyFast), Pairing::paired, 0).verdict, "no difference");
  EXPECT_EQ(versus(fast, slow, Pairing::paired, 1.5).verdict, "no difference");
  EXPECT_EQ(versus(summarised({1}), summarised({2}), Pairing::paired, 0).verdict, "unknown");
  // Times: the ratio is of speeds all the same.
  const Versus times =
      versus_of_times(summarised({1, 1.01}), summarised({2, 2.01}), Pairing::paired, 0);
  EXPECT_NEAR(times.ratio, 2, 0.02);
  EXPECT_EQ(times.verdict, "faster");
}

TEST(Verdicts, NoiseIsHowFarAVariantDiffersFromItself) {
  const VariantResult a = made_up("bf16+sdpa", 1, {100, 100, 100, 100}, 1),
                      again = made_up("bf16+sdpa", 1, {104, 102, 103, 104}, 1);
  const Noise noise = noise_of(a.name, *a.latency, *again.latency, {&*a.latency});
  EXPECT_NEAR(noise.decode.value, 100 / 103.5, 1e-9);
  EXPECT_NEAR(noise.floor_decode, 1 - 100.0 / 104, 1e-9);
  EXPECT_FALSE(noise.noisy);
  EXPECT_FALSE(noise.drift.noticed);
  const VariantResult wild = made_up("bf16+sdpa", 1, {120, 110, 130, 125}, 1);
  EXPECT_TRUE(noise_of(a.name, *a.latency, *wild.latency, {&*a.latency}).noisy);
}

TEST(Verdicts, OneRepeatTellsNothingAboutNoise) {
  Results results =
      made_up({made_up("bf16+sdpa", 20, {100}, 1), made_up("int8+sdpa", 10, {93}, 1)});
  const VariantResult again = made_up("bf16+sdpa", 20, {140}, 1);
  const Latency& first = *results.variants[0].latency;
  results.noise = noise_of("bf16+sdpa", first, *again.latency, {&first});
  results.run.flags.repeats = 1;
  EXPECT_FALSE(results.noise->noisy);
  draw_conclusions(results);
  EXPECT_EQ(kinds(results), std::vector<std::string>{"one_repeat"});
  const std::string text = as_text(results);
  EXPECT_NE(text.find("unknown"), std::string::npos) << text;
  EXPECT_EQ(text.find("0.93x"), std::string::npos) << text;
  EXPECT_EQ(text.find("measured twice"), std::string::npos) << text;
  EXPECT_EQ(text.find("1 repeats"), std::string::npos) << text;
}

TEST(Verdicts, NumericsCostIsNoneInsideItsIntervalOrTheNoise) {
  Results results = made_up({made_up("bf16+sdpa", 20, kFast, 1)});
  LatencySamples fast, invariant;
  fast.prefill_seconds = {1, 1.02, 0.98, 1.01};
  invariant.prefill_seconds = {1.2, 1.21, 1.22, 1.2};
  fast.decode_seconds = {1, 2, 1.5, 1};
  invariant.decode_seconds = {2, 1, 1.5, 3};
  results.numerics_cost = numerics_cost_of("bf16+sdpa", fast, invariant);
  EXPECT_NEAR(results.numerics_cost.at("prefill").get<double>(), 1.205 / 1.005 - 1, 1e-12);
  EXPECT_GT(results.numerics_cost.at("prefill_low").get<double>(), 0.1);
  EXPECT_EQ(numerics_text(results),
            "Numerics: invariant against fast (bf16+sdpa): +19.9 % of the time in prefill (95 % "
            "interval " +
                fmt::format("{:+.1f} to {:+.1f}",
                            100 * results.numerics_cost.at("prefill_low").get<double>(),
                            100 * results.numerics_cost.at("prefill_high").get<double>()) +
                "), no measured difference in decoding.");
  EXPECT_NE(as_markdown(results).find(numerics_text(results)), std::string::npos);
  // The same samples on a machine whose noise reaches further.
  results.noise.emplace();
  results.noise->floor_prefill = 0.41;
  EXPECT_NE(numerics_text(results).find("no measured difference in prefill"), std::string::npos);
  LatencySamples one;
  one.prefill_seconds = one.decode_seconds = {1};
  results.numerics_cost = numerics_cost_of("bf16+sdpa", one, one);
  EXPECT_NE(numerics_text(results).find("unknown in prefill"), std::string::npos)
      << numerics_text(results);
}

TEST(Verdicts, DriftIsNoticed) {
  const VariantResult a = made_up("bf16+sdpa", 1, {100, 101, 100, 90, 91, 90}, 1),
                      b = made_up("int8+sdpa", 1, {200, 202, 200, 180, 182, 180}, 1);
  const Noise noise = noise_of(a.name, *a.latency, *a.latency, {&*a.latency, &*b.latency});
  EXPECT_NEAR(noise.drift.decode.value, 0.9, 1e-9);
  EXPECT_TRUE(noise.drift.noticed);
}

TEST(Verdicts, ConclusionsAreDrawnFromTheBaseline) {
  Results results =
      made_up({made_up("bf16+sdpa", 20, kSlow, 1), made_up("int8+sdpa", 10, kFast, 1.01)});
  results.run.flags.price_per_hour = 3.6;
  draw_conclusions(results);
  EXPECT_EQ(results.variants[0].versus_baseline->decode.ratio, 1);
  EXPECT_EQ(results.variants[1].versus_baseline->decode.verdict, "faster");
  EXPECT_EQ(results.variants[1].versus_baseline->end_to_end.verdict, "faster");
  EXPECT_EQ(results.recommended, "int8+sdpa");
  // 3.6 an hour is 0.001 a second, in which 200.5 tokens are made.
  EXPECT_NEAR(*results.variants[1].cost.per_million_tokens, 0.001 / 200.5 * 1e6, 1e-9);
}

}  // namespace
}  // namespace plimsoll::study
