#include <gtest/gtest.h>

#include "study/made_up_results.h"
#include "study/study.h"

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

}  // namespace
}  // namespace plimsoll::study
