#include "study/sweeps.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/threads.h"
#include "model/load_model.h"
#include "support/support.h"

namespace plimsoll::study {
namespace {

/// Five repeats around `rate`, their spread two in a hundred of it.
SweepPoint point(const std::string& variant, std::int64_t value, double rate) {
  return {variant, value, 0,
          summarised({rate * 1.02, rate * 0.99, rate, rate * 1.01, rate * 0.98})};
}

/// The same with noise that does not go with the other variants' rounds.
SweepPoint noisy(const std::string& variant, std::int64_t value, double rate) {
  return {variant, value, 0, summarised({rate * 0.9, rate * 1.1, rate, rate * 0.93, rate * 1.07})};
}

std::vector<std::int64_t> places(const std::vector<Crossover>& found) {
  std::vector<std::int64_t> places;
  for (const Crossover& each : found) {
    if (each.at) places.push_back(*each.at);
  }
  return places;
}

TEST(Crossovers, TheFirstMeasuredValueBeyondTheCrossing) {
  const std::vector<SweepPoint> points{
      point("bf16+eager", 128, 1000), point("bf16+flash", 128, 800),
      point("bf16+eager", 512, 900),  point("bf16+flash", 512, 990),
      point("bf16+eager", 2048, 500), point("bf16+flash", 2048, 1000)};
  const auto found = crossovers(Sweep::prompt, points, 0.02);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].sweep, "prompt");
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
    points.push_back(point("bf16+sdpa", batches[i], dense[i]));
    points.push_back(noisy("nf4-dq+sdpa", batches[i], four[i]));
  }
  const auto found = crossovers(Sweep::batch, points, 0.02);
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
  const std::vector<SweepPoint> points{noisy("bf16+eager", 0, 1010), point("bf16+flash", 0, 1000),
                                       noisy("bf16+eager", 512, 990),
                                       point("bf16+flash", 512, 1000)};
  EXPECT_TRUE(crossovers(Sweep::depth, points, 0).empty());
  // Sure, but smaller than what a variant differs from itself.
  const std::vector<SweepPoint> small{point("bf16+eager", 0, 1010), point("bf16+flash", 0, 1000),
                                      point("bf16+eager", 512, 990),
                                      point("bf16+flash", 512, 1000)};
  EXPECT_EQ(places(crossovers(Sweep::depth, small, 0)), (std::vector<std::int64_t>{512}));
  EXPECT_TRUE(crossovers(Sweep::depth, small, 0.02).empty());
}

TEST(Crossovers, AlwaysFasterOrOnlySometimes) {
  const std::vector<SweepPoint> points{point("bf16+sdpa", 1, 100), point("int8+sdpa", 1, 150),
                                       point("bf16+sdpa", 4, 400), point("int8+sdpa", 4, 500)};
  auto found = crossovers(Sweep::batch, points, 0.02);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_FALSE(found[0].at);
  EXPECT_EQ(found[0].text, "int8+sdpa is faster than bf16+sdpa at every batch measured (1, 4)");
  const std::vector<SweepPoint> fades{point("bf16+sdpa", 1, 100), point("int8+sdpa", 1, 150),
                                      point("bf16+sdpa", 4, 400), noisy("int8+sdpa", 4, 401)};
  found = crossovers(Sweep::batch, fades, 0.02);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_FALSE(found[0].at);
  EXPECT_EQ(
      found[0].text,
      "int8+sdpa is faster than bf16+sdpa at batch 1; at 4 the difference is inside the noise");
}

TEST(Crossovers, OnlyVariantsThatDifferInOneThingAndValuesOfBoth) {
  std::vector<SweepPoint> points{point("bf16+eager", 128, 100), point("int8+sdpa", 128, 50),
                                 point("bf16+eager", 512, 100), point("int8+sdpa", 512, 200)};
  EXPECT_TRUE(crossovers(Sweep::prompt, points, 0.02).empty());
  for (SweepPoint& each : points) {
    if (each.variant == "int8+sdpa") each.variant = "bf16+eager+kv-int8";
  }
  EXPECT_EQ(places(crossovers(Sweep::prompt, points, 0.02)), (std::vector<std::int64_t>{512}));
  points.back().value = 513;  // measured for one alone
  EXPECT_TRUE(crossovers(Sweep::prompt, points, 0.02).empty());
}

TEST(Crossovers, PlacesMayChangeTwice) {
  std::vector<SweepPoint> points;
  const double rates[]{150, 80, 150};
  for (int i = 0; i < 3; ++i) {
    points.push_back(point("bf16+eager", i, 100));
    points.push_back(point("bf16+flash", i, rates[i]));
  }
  EXPECT_EQ(places(crossovers(Sweep::prompt, points, 0.02)), (std::vector<std::int64_t>{1, 2}));
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
  std::vector<std::int64_t> done;
  int values = 0;
  options_.progress = [&](const std::string& what, std::int64_t units, std::int64_t total) {
    said.push_back(what);
    done.push_back(units);
    EXPECT_EQ(total, 2 * sweep_units(options_, model_->config().max_positions));
    return true;
  };
  options_.on_value = [&] { ++values; };
  Sweeps sweeps;
  run_sweeps(variants_, options_, sweeps);
  EXPECT_EQ(values, 6);
  EXPECT_TRUE(sweeps.skipped.empty());
  for (const auto* points : {&sweeps.batch, &sweeps.prompt, &sweeps.depth}) {
    ASSERT_EQ(points->size(), 4u);
    for (const SweepPoint& each : *points) {
      EXPECT_EQ(each.tokens_per_second.samples.size(), 3u);
      EXPECT_EQ(each.turns, 7);
      EXPECT_GT(each.tokens_per_second.median, 0);
    }
  }
  EXPECT_EQ(sweeps.batch[1].variant, "fp32+eager");
  EXPECT_EQ(sweeps.batch[2].value, 3);
  EXPECT_EQ(sweeps.depth[3].value, 20);
  ASSERT_GE(said.size(), 4u);
  EXPECT_EQ(said[2], "batch 1, fp32+sdpa");
  EXPECT_EQ(said[3], "batch 1, fp32+eager");
  // Nothing goes back, and about all is done at the end.
  EXPECT_TRUE(std::ranges::is_sorted(done));
  EXPECT_GT(10 * done.back(), 8 * 2 * sweep_units(options_, model_->config().max_positions));
}

TEST_F(Sweeping, GoesOnWhereItWasStopped) {
  Sweeps sweeps;
  run_sweeps(variants_, options_, sweeps);
  const Sweeps whole = sweeps;
  // As a sweep that was killed has left it: the last value of depth is missing.
  sweeps.depth.resize(2);
  int values = 0;
  options_.on_value = [&] { ++values; };
  options_.turns = 8;
  run_sweeps(variants_, options_, sweeps);
  EXPECT_EQ(values, 1);
  ASSERT_EQ(sweeps.depth.size(), 4u);
  EXPECT_EQ(sweeps.depth[1].tokens_per_second.samples, whole.depth[1].tokens_per_second.samples);
  EXPECT_EQ(sweeps.depth[3].turns, 8);
  EXPECT_EQ(sweeps.batch.size(), whole.batch.size());
}

TEST_F(Sweeping, WhatTheModelOrTheMemoryHasNoRoomForIsSkipped) {
  const std::int64_t positions = model_->config().max_positions;
  options_.batches = {1, 2000};
  options_.prompts = {positions, positions + 1};
  options_.depths = {positions - 1};
  options_.memory_limit = model_->weight_bytes() + (8 << 20);
  Sweeps sweeps;
  run_sweeps(variants_, options_, sweeps);
  ASSERT_EQ(sweeps.skipped.size(), 4u);
  EXPECT_TRUE(sweeps.skipped[0].starts_with("batch 2000 of fp32+sdpa: needs "))
      << sweeps.skipped[0];
  EXPECT_EQ(sweeps.skipped[2], fmt::format("prompt {}: {} positions, the model has {}",
                                           positions + 1, positions + 1, positions));
  EXPECT_TRUE(sweeps.skipped[3].starts_with("depth ")) << sweeps.skipped[3];
  // Said once, whatever the number of groups and sittings.
  run_sweeps(variants_, options_, sweeps);
  EXPECT_EQ(sweeps.skipped.size(), 4u);
  ASSERT_EQ(sweeps.batch.size(), 2u);
  ASSERT_EQ(sweeps.prompt.size(), 2u);
  EXPECT_TRUE(sweeps.depth.empty());
  EXPECT_EQ(sweeps.batch[0].value, 1);
  EXPECT_EQ(sweeps.prompt[0].value, positions);
}

TEST(Crossovers, EachSweepHasTheFloorOfWhatItMeasures) {
  Sweeps sweeps;
  for (auto* points : {&sweeps.batch, &sweeps.prompt, &sweeps.depth}) {
    *points = {point("bf16+eager", 1, 1000), point("bf16+flash", 1, 950),
               point("bf16+eager", 2, 1000), point("bf16+flash", 2, 1050)};
  }
  find_crossovers(sweeps, 0.1, 0.02);
  ASSERT_EQ(sweeps.crossovers.size(), 1u);
  EXPECT_EQ(sweeps.crossovers[0].sweep, "prompt");
  find_crossovers(sweeps, 0.02, 0.1);
  ASSERT_EQ(sweeps.crossovers.size(), 2u);
  EXPECT_EQ(sweeps.crossovers[0].sweep, "batch");
  EXPECT_EQ(sweeps.crossovers[1].sweep, "depth");
}

}  // namespace
}  // namespace plimsoll::study
