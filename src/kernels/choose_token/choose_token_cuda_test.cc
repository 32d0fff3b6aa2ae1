#include "kernels/choose_token/choose_token_cuda.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/cuda/memory_cuda.h"
#include "kernels/attention/attention_cases.h"
#include "support/cuda.h"

namespace plimsoll::kernels {
namespace {

/// Buffers of a step, and what it leaves.
struct Step {
  std::int64_t rows, vocabulary;
  cuda::Buffer logits, ids, positions, chosen, step, scratch, temperatures, seeds;
  DeviceChooseArgs args;

  Step(std::span<const float> values, std::int64_t rows_of)
      : rows(rows_of),
        vocabulary(static_cast<std::int64_t>(values.size()) / rows_of),
        logits(cuda::Buffer::of(values, "a test")),
        ids(static_cast<std::size_t>(rows) * 4, "a test"),
        positions(cuda::Buffer::of<std::int32_t>(
            std::vector<std::int32_t>(static_cast<std::size_t>(rows), 7), "a test")),
        chosen(static_cast<std::size_t>(rows) * 4 * 3, "a test"),
        step(4, "a test"),
        scratch(choose_token_scratch(rows), "a test") {
    ids.fill(0xff);
    chosen.fill(0xff);
    step.fill(0);
    scratch.fill(0);
    args.logits = logits.data<float>();
    args.stride = vocabulary;
    args.rows = rows;
    args.vocabulary = vocabulary;
    args.ids = ids.data<std::int32_t>();
    args.positions = positions.data<std::int32_t>();
    args.chosen = chosen.data<std::int32_t>();
    args.chosen_steps = 3;
    args.step = step.data<std::uint32_t>();
    args.scratch = scratch.data();
  }

  void sample(float temperature, std::uint64_t first_seed) {
    std::vector<std::uint64_t> of_rows(static_cast<std::size_t>(rows));
    for (std::size_t r = 0; r < of_rows.size(); ++r) of_rows[r] = first_seed + r;
    seeds = cuda::Buffer::of<std::uint64_t>(of_rows, "a test");
    temperatures = cuda::Buffer::of<float>(
        std::vector<float>(static_cast<std::size_t>(rows), temperature), "a test");
    args.seeds = seeds.data<std::uint64_t>();
    args.temperatures = temperatures.data<float>();
  }

  std::vector<std::int32_t> run() {
    const cuda::Stream stream;
    choose_token(args, stream.get());
    stream.synchronize();
    return read(ids);
  }
  static std::vector<std::int32_t> read(const cuda::Buffer& buffer) {
    std::vector<std::int32_t> values(buffer.bytes() / 4);
    buffer.download(values.data(), buffer.bytes(), 0);
    return values;
  }
};

TEST(ChooseTokenCuda, TheLargestAndOfEqualOnesTheFirst) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const std::int64_t vocabulary : {1, 3, 64, 1000, 32000, 151'936}) {
    constexpr std::int64_t kRows = 9;
    std::vector<float> logits = cases::normal_values(kRows * vocabulary, 1);
    std::vector<std::int32_t> expected;
    expected.reserve(kRows);
    for (std::int64_t r = 0; r < kRows; ++r) {
      float* row = logits.data() + r * vocabulary;
      if (r % 2 == 0) {  // the largest one twice, or more often where there are few
        const float largest = *std::max_element(row, row + vocabulary);
        row[vocabulary - 1] = largest;
        row[vocabulary / 2] = largest;
      }
      expected.push_back(static_cast<std::int32_t>(std::max_element(row, row + vocabulary) - row));
    }
    Step step(logits, kRows);
    EXPECT_EQ(step.run(), expected) << vocabulary;
  }
}

TEST(ChooseTokenCuda, StepsForwardAndKeepsWhatWasChosen) {
  PLIMSOLL_GPU_OR_SKIP();
  Step step(cases::normal_values(2 * 500, 2), 2);
  const std::vector<std::int32_t> ids = step.run();
  for (int i = 0; i < 3; ++i) step.run();
  EXPECT_EQ(Step::read(step.positions), (std::vector<std::int32_t>{11, 11}));
  EXPECT_EQ(Step::read(step.step), std::vector<std::int32_t>{4});
  EXPECT_EQ(Step::read(step.chosen),
            (std::vector<std::int32_t>{ids[0], ids[1], ids[0], ids[1], ids[0], ids[1]}));
}

TEST(ChooseTokenCuda, WhatIsNotFiniteIsNoToken) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    std::vector<float> logits = cases::normal_values(3 * 999, 3);
    logits[999 + 998] = bad;
    Step step(logits, 3);
    const std::vector<std::int32_t> ids = step.run();
    EXPECT_GE(ids[0], 0);
    EXPECT_EQ(ids[1], -1);
    EXPECT_GE(ids[2], 0);
  }
}

// 4,000 rows with the same logits and seeds of their own: frequencies within five deviations of
// the softmax.
TEST(ChooseTokenCuda, SamplesTheSoftmax) {
  PLIMSOLL_GPU_OR_SKIP();
  constexpr std::int64_t kRows = 4000;
  constexpr std::int64_t kVocabulary = 20;
  constexpr float kTemperature = 0.7f;
  const std::vector<float> row = cases::normal_values(kVocabulary, 4);
  std::vector<float> logits;
  logits.reserve(kRows * kVocabulary);
  for (std::int64_t r = 0; r < kRows; ++r) logits.insert(logits.end(), row.begin(), row.end());
  std::vector<double> probabilities;
  probabilities.reserve(row.size());
  double total = 0;
  for (const float logit : row) {
    probabilities.push_back(std::exp(static_cast<double>(logit) / kTemperature));
    total += probabilities.back();
  }
  Step step(logits, kRows);
  step.sample(kTemperature, 1000);
  const std::vector<std::int32_t> ids = step.run();
  std::vector<double> counts(row.size(), 0.0);
  for (const std::int32_t id : ids) counts.at(static_cast<std::size_t>(id)) += 1;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const double p = probabilities[i] / total;
    EXPECT_NEAR(counts[i], kRows * p, 5 * std::sqrt(kRows * p * (1 - p)) + 1) << "id " << i;
  }
  // The same position and seed give the same token, in whatever batch; another position others.
  const std::vector<std::int32_t> second = step.run();
  EXPECT_NE(ids, second);
  Step alone(row, 1);
  alone.sample(kTemperature, 1003);
  EXPECT_EQ(alone.run()[0], ids[3]);
}

}  // namespace
}  // namespace plimsoll::kernels
