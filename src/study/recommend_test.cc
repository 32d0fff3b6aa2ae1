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

Recommendation of(const Results& results, const std::string& workload) {
  for (const Recommendation& r : recommend(results)) {
    if (r.workload == workload) return r;
  }
  ADD_FAILURE() << workload;
  return {};
}

TEST(Recommend, OneForEachWorkload) {
  const Results results = made_up({made_up("fp32+sdpa", 40, kSlow, 1)});
  std::vector<std::string> workloads;
  for (const Recommendation& r : recommend(results)) {
    workloads.push_back(r.workload);
    EXPECT_EQ(r.variant, "fp32+sdpa");
    EXPECT_FALSE(r.runner_up);
    EXPECT_NE(r.confidence.find("the only one"), std::string::npos);
  }
  EXPECT_EQ(workloads, (std::vector<std::string>{"chat", "batch", "edge", "realtime"}));
}

TEST(Recommend, TakesTheFastestAndSaysHowSure) {
  const Results results =
      made_up({made_up("fp32+sdpa", 40, kSlow, 1), made_up("bf16+sdpa", 50, kFast, 1)});
  const Recommendation chat = of(results, "chat");
  EXPECT_EQ(chat.variant, "bf16+sdpa");
  EXPECT_EQ(chat.runner_up, "fp32+sdpa");
  EXPECT_EQ(chat.confidence.find("better than fp32+sdpa"), 0u) << chat.confidence;
  EXPECT_EQ(chat.figure->value, 200.5);
  EXPECT_EQ(of(results, "realtime").variant, "bf16+sdpa");
  EXPECT_EQ(of(results, "edge").variant, "fp32+sdpa");
}

TEST(Recommend, TakesTheLighterWhereNoiseHidesTheDifference) {
  const Results results =
      made_up({made_up("bf16+sdpa", 20, kFast, 1), made_up("int8+sdpa", 10, kNearlyFast, 1)});
  const Recommendation chat = of(results, "chat");
  EXPECT_EQ(chat.variant, "int8+sdpa");
  EXPECT_NE(chat.confidence.find("no measured difference from bf16+sdpa"), std::string::npos);
}

TEST(Recommend, TakesTheBetterMedianWhereMemoryIsAlikeToo) {
  Results results =
      made_up({made_up("bf16+eager", 20, kFast, 1), made_up("bf16+sdpa", 20, kNearlyFast, 1)});
  results.variants[0].memory.workspace_bytes = 700'000;
  const Recommendation chat = of(results, "chat");
  EXPECT_EQ(chat.variant, "bf16+eager");
  EXPECT_NE(chat.confidence.find("chosen for its better median"), std::string::npos);
  results.variants[0].memory.workspace_bytes = 1'700'000;
  EXPECT_EQ(of(results, "chat").variant, "bf16+sdpa");
}

TEST(Recommend, TheNoiseFloorCountsAsNoDifference) {
  // Apart beyond their own intervals, but not beyond what one variant differs from itself.
  Results results = made_up(
      {made_up("bf16+sdpa", 20, {204, 205, 206}, 1), made_up("int8+sdpa", 10, {200, 201, 202}, 1)});
  EXPECT_EQ(of(results, "chat").variant, "bf16+sdpa");
  results.noise.emplace();
  results.noise->floor_decode = 0.03;
  EXPECT_EQ(of(results, "chat").variant, "int8+sdpa");
}

TEST(Recommend, NeverTakesOneThatLosesTooMuch) {
  Results results =
      made_up({made_up("fp32+sdpa", 40, kSlow, 1), made_up("nf4+sdpa", 5, kFast, 1.055)});
  for (const Recommendation& r : recommend(results)) EXPECT_EQ(r.variant, "fp32+sdpa");
  Recommendation chat = of(results, "chat");
  ASSERT_FALSE(chat.would_change.empty());
  EXPECT_EQ(chat.would_change.front().find("--max-ppl-ratio 1.0550 or more: nf4+sdpa"), 0u);
  results.run.flags.max_ppl_ratio = 1.06;
  EXPECT_EQ(of(results, "chat").variant, "nf4+sdpa");
  results.run.flags.max_ppl_ratio = 1.05;
  results.variants[0].status = "does_not_fit";
  chat = of(results, "chat");
  EXPECT_FALSE(chat.variant);
  EXPECT_EQ(chat.would_change,
            std::vector<std::string>{"--max-ppl-ratio 1.0550 or more: nf4+sdpa loses least"});
}

TEST(Recommend, WhoFollowsTheAdviceGetsTheVariant) {
  Results results =
      made_up({made_up("fp32+sdpa", 40, kSlow, 1), made_up("nf4+sdpa", 5, kFast, 1.0010278)});
  results.run.flags.max_ppl_ratio = 1.001;
  Recommendation chat = of(results, "chat");
  EXPECT_EQ(chat.variant, "fp32+sdpa");
  EXPECT_TRUE(chat.would_change.front().starts_with("--max-ppl-ratio 1.0011 or more: nf4+sdpa"))
      << chat.would_change.front();
  results.run.flags.max_ppl_ratio = 1.0011;
  chat = of(results, "chat");
  EXPECT_EQ(chat.variant, "nf4+sdpa");
  EXPECT_NE(chat.reason.find("where 1.0011 is allowed"), std::string::npos) << chat.reason;
}

TEST(Recommend, MoreMemoryMightChangeItButNotWhereMemoryComesFirst) {
  Results results =
      made_up({made_up("bf16+sdpa", 40, kFast, 1), made_up("nf4+sdpa", 5, kSlow, 1.01)});
  results.variants[0].status = "does_not_fit";
  results.variants[0].reason = "needs 40 MB, --memory-limit allows 10 MB";
  EXPECT_EQ(of(results, "chat").would_change.back(),
            "more memory might: bf16+sdpa was not measured, it needs 40 MB, --memory-limit allows "
            "10 MB");
  EXPECT_TRUE(of(results, "edge").would_change.empty());
}

TEST(Recommend, OneThatMayExceedTheBudgetGivesWayToOneThatSurelyDoesNot) {
  // As fast within the noise, and lighter by half; but its interval reaches to 1.0602.
  Results results =
      made_up({made_up("bf16+sdpa", 20, kSlow, 1), made_up("int8+sdpa", 10, kNearlyFast, 1.01),
               made_up("nf4-dq+sdpa", 5, kFast, 1.0497)});
  results.variants[0].quality->ppl_ratio.interval = {1, 1};
  Recommendation chat = of(results, "chat");
  EXPECT_EQ(chat.variant, "int8+sdpa");
  EXPECT_NE(chat.confidence.find("chosen for its quality: nf4-dq+sdpa may exceed the budget"),
            std::string::npos)
      << chat.confidence;
  ASSERT_FALSE(chat.would_change.empty());
  EXPECT_EQ(chat.would_change.front(),
            "a longer text that shows nf4-dq+sdpa within the budget, for less memory: its "
            "perplexity is 1.0497 times (95 % interval 1.0392 to 1.0602)");
  // Where memory is what counts it is better beyond noise, and taken with a word of caution.
  const Recommendation edge = of(results, "edge");
  EXPECT_EQ(edge.variant, "nf4-dq+sdpa");
  EXPECT_NE(edge.reason.find("where 1.05 is allowed, which it may exceed (95 % interval 1.0392 to "
                             "1.0602)"),
            std::string::npos)
      << edge.reason;
  results.recommendations = {chat, edge};
  ASSERT_EQ(warnings_about(results).size(), 1u);
  EXPECT_EQ(warnings_about(results).front().kind, "may_exceed");
  EXPECT_EQ(warnings_about(results).front().variant, "nf4-dq+sdpa");
  // With the interval within the budget it is taken for its memory.
  results.variants[2].quality->ppl_ratio = {1.04, Interval{1.035, 1.05}};
  chat = of(results, "chat");
  EXPECT_EQ(chat.variant, "nf4-dq+sdpa");
  EXPECT_EQ(chat.reason.find("may exceed"), std::string::npos);
  // One window tells no interval.
  results.variants[2].quality->ppl_ratio = {1.04, std::nullopt};
  EXPECT_EQ(of(results, "chat").variant, "int8+sdpa");
}

TEST(Recommend, NamesWhatOverrulesAnInterval) {
  Results results = made_up(
      {made_up("bf16+sdpa", 20, {204, 205, 206}, 1), made_up("int8+sdpa", 10, {200, 201, 202}, 1)});
  results.variants[1].memory.weights_bytes = 20'000'000;
  results.variants[0].memory.workspace_bytes = 500'000;
  results.noise.emplace();
  results.noise->variant = "bf16+sdpa";
  results.noise->floor_decode = 0.03;
  results.noise->floor_prefill = 0.04;
  const std::string chat = of(results, "chat").confidence;
  EXPECT_NE(
      chat.find("; inside the noise floor: bf16+sdpa measured twice differs from itself by up "
                "to 3.0 %): chosen for its better median"),
      std::string::npos)
      << chat;
  EXPECT_NE(of(results, "batch").confidence.find("up to 4.0 %"), std::string::npos);
  const std::string edge = of(results, "edge").confidence;
  EXPECT_NE(edge.find("apart by no more than the 1 MB, or 1 %, of workspace that come and go"),
            std::string::npos)
      << edge;
}

TEST(Recommend, WhereNoQualityIsKnownNoneIsTaken) {
  Results results = made_up({made_up("int8+sdpa", 10, kSlow, 1), made_up("nf4+sdpa", 5, kFast, 1)});
  results.reference = "bf16+sdpa";
  for (VariantResult& variant : results.variants) {
    variant.quality.reset();
    variant.quality_reason = "its quality is not known: the reference, bf16+sdpa, needs 15 GB";
  }
  for (const Recommendation& r : recommend(results)) {
    EXPECT_FALSE(r.variant);
    EXPECT_FALSE(r.figure);
    EXPECT_NE(r.reason.find("by the figure alone nf4+sdpa leads, "), std::string::npos) << r.reason;
    EXPECT_NE(r.reason.find("better than int8+sdpa: "), std::string::npos) << r.reason;
    EXPECT_NE(r.confidence.find("quality is not known"), std::string::npos) << r.confidence;
    EXPECT_NE(r.would_change.back().find("needs 15 GB"), std::string::npos);
  }
  const std::vector<Warning> warnings = warnings_about(results);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_EQ(warnings.front().kind, "not_judged");
}

TEST(Recommend, NeverTakesOneThatWasNotJudged) {
  Results results = made_up({made_up("fp32+sdpa", 40, kSlow, 1), made_up("nf4+sdpa", 5, kFast, 1)});
  results.variants[1].quality.reset();
  EXPECT_EQ(of(results, "chat").variant, "fp32+sdpa");
  results.variants[0].quality.reset();
  EXPECT_FALSE(of(results, "chat").variant);
  // Of random weights quality says nothing.
  results.run.model.shape_only = true;
  EXPECT_EQ(of(results, "chat").variant, "nf4+sdpa");
}

TEST(Recommend, BatchGoesByTheSweepWhereThereIsOne) {
  Results results = made_up({made_up("bf16+sdpa", 20, kSlow, 1), made_up("nf4+sdpa", 5, kFast, 1)});
  EXPECT_EQ(of(results, "batch").variant, "nf4+sdpa");
  results.sweeps.emplace();
  results.sweeps->batch = {{"bf16+sdpa", 1, 0, summarised({100, 101, 102})},
                           {"nf4+sdpa", 1, 0, summarised({200, 201, 202})},
                           {"bf16+sdpa", 32, 0, summarised({900, 901, 902})},
                           {"nf4+sdpa", 32, 0, summarised({500, 501, 502})},
                           {"nf4+sdpa", 64, 0, summarised({9000})}};
  const Recommendation batch = of(results, "batch");
  EXPECT_EQ(batch.variant, "bf16+sdpa");
  EXPECT_EQ(batch.figure->value, 901);
  EXPECT_NE(batch.metric.find("32"), std::string::npos);
}

TEST(Recommend, EdgeTakesTheFasterOfThoseThatNeedAlikeMuch) {
  Results results =
      made_up({made_up("int8+eager", 10, kSlow, 1), made_up("int8+sdpa", 10, kFast, 1)});
  results.variants[1].memory.workspace_bytes = 900'000;  // a megabyte comes and goes
  EXPECT_EQ(of(results, "edge").variant, "int8+sdpa");
  results.variants[1].memory.workspace_bytes = 1'200'000;
  EXPECT_EQ(of(results, "edge").variant, "int8+eager");
}

TEST(Recommend, OnlyWorkspaceComesAndGoes) {
  Results results = made_up({made_up("int8+sdpa", 1, kFast, 1), made_up("nf4+sdpa", 1, kSlow, 1)});
  results.variants[1].memory.weights_bytes = 740'000;
  EXPECT_EQ(of(results, "edge").variant, "nf4+sdpa");
  results.variants[1].memory.workspace_bytes = 200'000;
  EXPECT_EQ(of(results, "edge").variant, "nf4+sdpa");
}

TEST(Recommend, RealTimeGoesByTheTailOverAllLoads) {
  // Faster alone, and for half of the requests, but not where many come together.
  Results results = made_up({made_up("bf16+sdpa", 20, kSlow, 1), made_up("nf4+sdpa", 5, kFast, 1)});
  const Recommendation alone = of(results, "realtime");
  EXPECT_EQ(alone.variant, "nf4+sdpa");
  EXPECT_NEAR(alone.figure->value, 0.5, 1e-9);  // the slowest of three: 100 tokens at 200 a second
  EXPECT_NE(alone.would_change.front().find("--full"), std::string::npos);
  results.sweeps.emplace();
  results.sweeps->batch = {{"bf16+sdpa", 1, 0, summarised({100, 100, 100})},
                           {"nf4+sdpa", 1, 0, summarised({200, 200, 200})},
                           {"bf16+sdpa", 8, 0, summarised({800, 800, 800})},
                           {"nf4+sdpa", 8, 0, summarised({400, 400, 400})}};
  const Recommendation loaded = of(results, "realtime");
  EXPECT_EQ(loaded.variant, "bf16+sdpa");
  EXPECT_NEAR(loaded.figure->value, 0.01, 1e-12);  // 8 requests at 800 tokens a second
  EXPECT_TRUE(loaded.reason.starts_with("10 ms a token, 10 ms a token at the 99th"))
      << loaded.reason;
  EXPECT_NE(loaded.metric.find("1, 8 requests at once"), std::string::npos) << loaded.metric;
  EXPECT_EQ(loaded.would_change.front().find("--full"), std::string::npos);
  // One that is over the budget and was not swept is no candidate, and does no harm.
  results.variants.push_back(made_up("int4+sdpa", 5, kFast, 2));
  EXPECT_EQ(of(results, "realtime").variant, "bf16+sdpa");
  EXPECT_EQ(of(results, "batch").variant, "bf16+sdpa");
}

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
