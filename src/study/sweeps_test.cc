#include "study/sweeps.h"

#include <gtest/gtest.h>

#include "core/threads.h"
#include "model/load_model.h"
#include "support/support.h"

namespace plimsoll::study {
namespace {

/// Five repeats around `rate`, their spread two in a hundred of it.
SweepPoint point(Sweep sweep, const std::string& variant, std::int64_t value, double rate) {
  return {sweep, variant, value, 0,
          summarised({rate * 1.02, rate * 0.99, rate, rate * 1.01, rate * 0.98})};
}

/// The same with noise that does not go with the other variants' rounds.
SweepPoint noisy(Sweep sweep, const std::string& variant, std::int64_t value, double rate) {
  return {sweep, variant, value, 0,
          summarised({rate * 0.9, rate * 1.1, rate, rate * 0.93, rate * 1.07})};
}

std::vector<std::int64_t> places(const std::vector<Crossover>& found) {
  std::vector<std::int64_t> places;
  for (const Crossover& each : found) {
    if (each.at) places.push_back(*each.at);
  }
  return places;
}

TEST(Crossovers, TheFirstMeasuredValueBeyondTheCrossing) {
  const std::vector<SweepPoint> points{point(Sweep::prompt, "bf16+eager", 128, 1000),
                                       point(Sweep::prompt, "bf16+flash", 128, 800),
                                       point(Sweep::prompt, "bf16+eager", 512, 900),
                                       point(Sweep::prompt, "bf16+flash", 512, 990),
                                       point(Sweep::prompt, "bf16+eager", 2048, 500),
                                       point(Sweep::prompt, "bf16+flash", 2048, 1000)};
  const auto found = crossovers(points, 0.02);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].sweep, Sweep::prompt);
  EXPECT_EQ(found[0].faster, "bf16+flash");
  EXPECT_EQ(found[0].slower, "bf16+eager");
  EXPECT_EQ(found[0].at, 512);
  EXPECT_EQ(
      found[0].text,
      "bf16+flash overtakes bf16+eager from prompt 512 on: 1.10 times as fast (1.10 to 1.10); "
      "at 128 it is 0.80 times as fast (0.80 to 0.80)");
}

TEST(Crossovers, FourBitsStopPaying) {
  std::vector<SweepPoint> points;
  const std::int64_t batches[]{1, 4, 8, 16, 32};
  const double dense[]{100, 390, 760, 1500, 2900};
  const double four[]{180, 500, 765, 1200, 2000};  // at 8 the same, within the noise
  for (int i = 0; i < 5; ++i) {
    points.push_back(point(Sweep::batch, "bf16+sdpa", batches[i], dense[i]));
    points.push_back(noisy(Sweep::batch, "nf4-dq+sdpa", batches[i], four[i]));
  }
  const auto found = crossovers(points, 0.02);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].at, 16);  // not 8: inside the noise is no crossover
  EXPECT_EQ(found[0].faster, "bf16+sdpa");
  EXPECT_TRUE(found[0].text.starts_with(
      "from batch 16 on nf4-dq+sdpa no longer pays over bf16+sdpa: 0.80 times as fast ("))
      << found[0].text;
  EXPECT_NE(found[0].text.find("; at 4 it is 1.28 times as fast ("), std::string::npos)
      << found[0].text;
}

TEST(Crossovers, InsideTheNoiseThereIsNone) {
  // The medians cross; the intervals do not leave out 1.
  const std::vector<SweepPoint> points{
      noisy(Sweep::depth, "bf16+eager", 0, 1010), point(Sweep::depth, "bf16+flash", 0, 1000),
      noisy(Sweep::depth, "bf16+eager", 512, 990), point(Sweep::depth, "bf16+flash", 512, 1000)};
  EXPECT_TRUE(crossovers(points, 0).empty());
  // Sure, but smaller than what a variant differs from itself.
  const std::vector<SweepPoint> small{
      point(Sweep::depth, "bf16+eager", 0, 1010), point(Sweep::depth, "bf16+flash", 0, 1000),
      point(Sweep::depth, "bf16+eager", 512, 990), point(Sweep::depth, "bf16+flash", 512, 1000)};
  EXPECT_EQ(places(crossovers(small, 0)), (std::vector<std::int64_t>{512}));
  EXPECT_TRUE(crossovers(small, 0.02).empty());
}

TEST(Crossovers, AlwaysFasterOrOnlySometimes) {
  const std::vector<SweepPoint> points{
      point(Sweep::batch, "bf16+sdpa", 1, 100), point(Sweep::batch, "int8+sdpa", 1, 150),
      point(Sweep::batch, "bf16+sdpa", 4, 400), point(Sweep::batch, "int8+sdpa", 4, 500)};
  auto found = crossovers(points, 0.02);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_FALSE(found[0].at);
  EXPECT_EQ(found[0].text, "int8+sdpa is faster than bf16+sdpa at every batch measured (1, 4)");
  const std::vector<SweepPoint> fades{
      point(Sweep::batch, "bf16+sdpa", 1, 100), point(Sweep::batch, "int8+sdpa", 1, 150),
      point(Sweep::batch, "bf16+sdpa", 4, 400), noisy(Sweep::batch, "int8+sdpa", 4, 401)};
  found = crossovers(fades, 0.02);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_FALSE(found[0].at);
  EXPECT_EQ(
      found[0].text,
      "int8+sdpa is faster than bf16+sdpa at batch 1; at 4 the difference is inside the noise");
}

TEST(Crossovers, OnlyVariantsThatDifferInOneThingAndValuesOfBoth) {
  std::vector<SweepPoint> points{
      point(Sweep::prompt, "bf16+eager", 128, 100), point(Sweep::prompt, "int8+sdpa", 128, 50),
      point(Sweep::prompt, "bf16+eager", 512, 100), point(Sweep::prompt, "int8+sdpa", 512, 200)};
  EXPECT_TRUE(crossovers(points, 0.02).empty());
  for (SweepPoint& each : points) {
    if (each.variant == "int8+sdpa") each.variant = "bf16+eager+kv-int8";
  }
  EXPECT_EQ(places(crossovers(points, 0.02)), (std::vector<std::int64_t>{512}));
  points.back().value = 513;  // measured for one alone
  EXPECT_TRUE(crossovers(points, 0.02).empty());
}

TEST(Crossovers, PlacesMayChangeTwice) {
  std::vector<SweepPoint> points;
  const double rates[]{150, 80, 150};
  for (int i = 0; i < 3; ++i) {
    points.push_back(point(Sweep::prompt, "bf16+eager", i, 100));
    points.push_back(point(Sweep::prompt, "bf16+flash", i, rates[i]));
  }
  EXPECT_EQ(places(crossovers(points, 0.02)), (std::vector<std::int64_t>{1, 2}));
}

class Sweeping : public testing::Test {
 protected:
  Sweeping() : model_(load_model(test::golden("llama-tiny").string())) {
    set_threads(1);
    ops::Context eager;
    eager.attention = ops::Attention::eager;
    variants_ = {{"fp32+sdpa", model_.get(), {}}, {"fp32+eager", model_.get(), eager}};
    options_.batches = {1, 3};
    options_.prompts = {4, 9};
    options_.depths = {0, 20};
    options_.new_tokens = 2;
    options_.repeats = 3;
    options_.turns = 7;
  }

  std::unique_ptr<Model> model_;
  std::vector<SweepVariant> variants_;
  SweepOptions options_;
};

TEST_F(Sweeping, EveryVariantAtEveryValueInTurns) {
  std::vector<std::string> said;
  options_.progress = [&](const std::string& what, std::int64_t, std::int64_t) {
    said.push_back(what);
    return true;
  };
  const Sweeps sweeps = run_sweeps(variants_, options_);
  ASSERT_EQ(sweeps.points.size(), 12u);
  EXPECT_TRUE(sweeps.skipped.empty());
  for (const SweepPoint& each : sweeps.points) {
    EXPECT_EQ(each.tokens_per_second.samples.size(), 3u);
    EXPECT_EQ(each.turns, 7);
    EXPECT_GT(each.tokens_per_second.median, 0);
  }
  EXPECT_EQ(sweeps.points[1].variant, "fp32+eager");
  EXPECT_EQ(sweeps.points[2].value, 3);
  EXPECT_EQ(sweeps.points.back().sweep, Sweep::depth);
  ASSERT_GE(said.size(), 4u);
  EXPECT_EQ(said[2], "batch 1, fp32+sdpa");
  EXPECT_EQ(said[3], "batch 1, fp32+eager");
  const auto json = as_json(sweeps, 0.02);
  EXPECT_EQ(json["batch"].size(), 4u);
  EXPECT_EQ(json["depth"][3]["value"], 20);
  EXPECT_EQ(json["prompt"][0]["tokens_per_second"]["samples"].size(), 3u);
  EXPECT_TRUE(json.contains("crossovers"));
}

TEST_F(Sweeping, WhatTheModelOrTheMemoryHasNoRoomForIsSkipped) {
  const std::int64_t positions = model_->config().max_positions;
  options_.batches = {1, 2000};
  options_.prompts = {positions, positions + 1};
  options_.depths = {positions - 1};
  options_.memory_limit = model_->weight_bytes() + (8 << 20);
  const Sweeps sweeps = run_sweeps(variants_, options_);
  ASSERT_EQ(sweeps.skipped.size(), 6u);
  EXPECT_TRUE(sweeps.skipped[0].starts_with("batch 2000 of fp32+sdpa: needs "))
      << sweeps.skipped[0];
  EXPECT_EQ(sweeps.skipped[2], fmt::format("prompt {} of fp32+sdpa: {} positions, the model has {}",
                                           positions + 1, positions + 1, positions));
  EXPECT_TRUE(sweeps.skipped[4].starts_with("depth ")) << sweeps.skipped[4];
  ASSERT_EQ(sweeps.points.size(), 4u);
  for (const SweepPoint& each : sweeps.points) {
    EXPECT_TRUE(each.value == 1 || each.value == positions);
  }
}

}  // namespace
}  // namespace plimsoll::study
