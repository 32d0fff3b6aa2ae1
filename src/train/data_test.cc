#include "train/data.h"

#include <gtest/gtest.h>

#include <numeric>
#include <set>

#include "support/support.h"
#include "train/checkpoint.h"
#include "train/schedule.h"

namespace plimsoll::train {
namespace {

Material counting(std::int32_t tokens) {
  Material material;
  material.stream.resize(static_cast<std::size_t>(tokens));
  std::iota(material.stream.begin(), material.stream.end(), 0);
  return material;
}

DataOptions options() {
  DataOptions o;
  o.sequence = 10;
  o.batch = 2;
  o.accumulate = 3;
  o.seed = 5;
  return o;
}

TEST(Dataset, WindowsComeFromBeforeTheHeldOutEnd) {
  const Dataset data(counting(205), options());
  std::set<std::int32_t> begins;
  for (std::int64_t step = 1; step <= 200; ++step) {
    const auto batches = data.step(step);
    ASSERT_EQ(batches.size(), 3u);
    for (const TrainingBatch& batch : batches) {
      EXPECT_EQ(batch.bounds, (ops::SequenceBounds{0, 10, 20}));
      for (const std::size_t row : {0u, 10u}) {
        begins.insert(batch.ids[row]);
        EXPECT_EQ(batch.ids[row + 9], batch.ids[row] + 9);
        EXPECT_EQ(batch.targets[row + 8], batch.ids[row] + 9);
        EXPECT_EQ(batch.targets[row + 9], -1);
        EXPECT_EQ(batch.positions[row + 9], 9);
      }
    }
  }
  // 20 of 205 are held out. Every offset occurs among 1200 draws of 176, but for a few.
  EXPECT_EQ(*begins.begin(), 0);
  EXPECT_LE(*begins.rbegin(), 185 - 10);
  EXPECT_GT(begins.size(), 170u);
  const auto held_out = data.held_out();
  ASSERT_EQ(held_out.size(), 1u);
  EXPECT_EQ(held_out[0].ids.front(), 185);
  EXPECT_EQ(held_out[0].ids.back(), 204);
  EXPECT_EQ(held_out[0].scored(), 18);
}

TEST(Dataset, AStepIsTheSameWheneverItIsAsked) {
  const Dataset one(counting(205), options()), other(counting(205), options());
  one.step(1);
  EXPECT_EQ(one.step(7)[2].ids, other.step(7)[2].ids);
  EXPECT_NE(one.step(7)[2].ids, one.step(8)[2].ids);
}

TEST(Dataset, PackedGoesInOrder) {
  DataOptions o = options();
  o.pack = true;
  const Dataset data(counting(100), o);  // 90 to train on: 9 windows, 6 a step
  EXPECT_EQ(data.step(1)[0].ids[0], 0);
  EXPECT_EQ(data.step(1)[2].ids[10], 50);
  EXPECT_EQ(data.step(2)[0].ids[0], 60);
  EXPECT_EQ(data.step(2)[1].ids[10], 0);
  EXPECT_EQ(data.steps_of(2), 3);
}

TEST(Dataset, AnEpochSeesEveryExampleOnce) {
  Material material;
  for (std::int32_t i = 0; i < 14; ++i) material.examples.push_back({{100 + i, 1, 2}, {0, 0, 1}});
  DataOptions o = options();
  o.eval_split = 0.15;  // two examples
  const Dataset data(std::move(material), o);
  EXPECT_EQ(data.steps_of(1), 2);
  for (const std::int64_t epoch : {0, 1}) {
    std::multiset<std::int32_t> seen;
    for (const std::int64_t step : {1, 2}) {
      for (const TrainingBatch& batch : data.step(2 * epoch + step)) {
        EXPECT_EQ(batch.targets, (std::vector<std::int32_t>{-1, 2, -1, -1, 2, -1}));
        seen.insert(batch.ids[0]);
        seen.insert(batch.ids[3]);
      }
    }
    EXPECT_EQ(seen.size(), 12u);
    EXPECT_EQ(std::set(seen.begin(), seen.end()).size(), 12u);
    EXPECT_LT(*seen.rbegin(), 112);
  }
}

TEST(Dataset, TooShort) {
  EXPECT_NE(test::message_of<InputError>([] { Dataset(counting(9), options()); }).find("10"),
            std::string::npos);
  EXPECT_NE(
      test::message_of<InputError>([] { Dataset(counting(50), options()); }).find("--eval-split"),
      std::string::npos);
}

TEST(Schedule, RisesAndFalls) {
  const auto rate = [](Schedule schedule, std::int64_t step) {
    return rate_of_step(schedule, 2, step, 12, 4);
  };
  for (const Schedule schedule : {Schedule::cosine, Schedule::linear, Schedule::constant}) {
    EXPECT_DOUBLE_EQ(rate(schedule, 1), 0.5);
    EXPECT_DOUBLE_EQ(rate(schedule, 4), 2);
    EXPECT_DOUBLE_EQ(rate(schedule, 5), 2);
    EXPECT_EQ(schedule_from_name(schedule_name(schedule)), schedule);
  }
  EXPECT_DOUBLE_EQ(rate(Schedule::linear, 9), 1);
  EXPECT_NEAR(rate(Schedule::cosine, 9), 1, 1e-12);
  EXPECT_NEAR(rate(Schedule::cosine, 7), 1 + std::sqrt(0.5), 1e-12);
  EXPECT_DOUBLE_EQ(rate(Schedule::constant, 12), 2);
  EXPECT_DOUBLE_EQ(rate_of_step(Schedule::cosine, 2, 1, 10, 0), 2);
  EXPECT_THROW(schedule_from_name("step"), InputError);
}

TEST(Checkpoint, ComesBackAndRefusesOtherSettings) {
  const auto parameters = [](float value) {
    Parameters p;
    const std::vector<float> values{value, 2 * value};
    p.add("w", Tensor::from(std::span<const float>(values), {2}));
    p.all()[0].mean.data<float>()[1] = value;
    p.all()[0].square.data<float>()[0] = 3 * value;
    return p;
  };
  const test::TemporaryFolder folder;
  Parameters blank = parameters(0);
  EXPECT_EQ(read_checkpoint(folder.path(), blank, R"({"lr": 1})"), std::nullopt);
  write_checkpoint(folder.path(), parameters(5), 17, R"({"lr": 1})");
  EXPECT_EQ(read_checkpoint(folder.path(), blank, R"({"lr": 1})"), 17);
  EXPECT_EQ(blank.all()[0].value.data<float>()[1], 10);
  EXPECT_EQ(blank.all()[0].mean.data<float>()[1], 5);
  EXPECT_EQ(blank.all()[0].square.data<float>()[0], 15);
  const std::string said =
      test::message_of<InputError>([&] { read_checkpoint(folder.path(), blank, R"({"lr": 2})"); });
  EXPECT_NE(said.find("lr: found 1, expected 2"), std::string::npos) << said;
  Parameters other;
  other.add("v", Tensor::zeros(DType::f32, {2}));
  EXPECT_THROW(read_checkpoint(folder.path(), other, R"({"lr": 1})"), InputError);
}

}  // namespace
}  // namespace plimsoll::train
