// Every architecture against float64 results of another implementation (tests/golden/*-tiny).
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "model/load_model.h"
#include "storage/safetensors.h"
#include "support/support.h"

namespace plimsoll {
namespace {

class Reference : public testing::TestWithParam<const char*> {
 protected:
  Reference()
      : model_(load_model(test::golden(GetParam()).string())),
        expected_(SafetensorsFile::open(
            test::golden(std::string(GetParam()) + "/expected.safetensors"))) {
    const Tensor ids = expected_.tensor("input_ids");
    for (std::int64_t row = 0; row < ids.dim(0); ++row) {
      const Tensor line = ids.rows(row, row + 1);
      rows_.emplace_back(line.data<std::int64_t>(), line.data<std::int64_t>() + line.size());
    }
  }

  std::span<const float> expected_row(const std::string& name, std::int64_t row) {
    return expected_.tensor(name).rows(row, row + 1).span<float>();
  }

  std::unique_ptr<Model> model_;
  SafetensorsFile expected_;
  std::vector<std::vector<std::int32_t>> rows_;
  ops::Context context_;
};

TEST_P(Reference, LogitsAndHiddenStatesOfABatch) {
  const auto length = static_cast<std::int64_t>(rows_[0].size());
  kv::BlockPool pool(model_->kv_shape(), 256);
  std::vector<kv::Sequence> sequences;
  sequences.emplace_back(pool);
  sequences.emplace_back(pool);
  Batch batch;
  batch.add(sequences[0], rows_[0]);
  batch.add(sequences[1], rows_[1]);
  std::vector<Tensor> hidden;
  const Tensor last = model_->forward(context_, batch, &hidden);
  const Tensor logits = model_->logits(context_, last);
  ASSERT_EQ(hidden.size(), static_cast<std::size_t>(model_->config().layers + 1));
  for (std::int64_t row = 0; row < 2; ++row) {
    const Tensor mine = logits.rows(row * length, (row + 1) * length);
    EXPECT_LE(test::relative_to_largest(mine.span<float>(), expected_row("logits", row)), 1e-4);
    for (std::size_t i = 0; i < hidden.size(); ++i) {
      const Tensor state = hidden[i].rows(row * length, (row + 1) * length);
      EXPECT_LE(test::relative_to_largest(state.span<float>(),
                                          expected_row(fmt::format("hidden.{}", i), row)),
                1e-4)
          << "hidden." << i;
    }
  }
}

TEST_P(Reference, DecodingStepByStepEqualsOnePass) {
  kv::BlockPool pool(model_->kv_shape(), 256);
  kv::Sequence whole(pool), stepwise(pool);
  Batch all;
  all.add(whole, rows_[0]);
  const Tensor expected = model_->logits(context_, model_->forward(context_, all));
  float largest = 0;
  for (const float value : expected.span<float>()) largest = std::max(largest, std::abs(value));
  std::size_t done = 0;
  for (const std::size_t count : {std::size_t{5}, std::size_t{1}, std::size_t{20}}) {
    while (done < rows_[0].size()) {
      const std::size_t now = std::min(count, rows_[0].size() - done);
      Batch step;
      step.add(stepwise, std::span(rows_[0]).subspan(done, now));
      const Tensor logits = model_->logits(context_, model_->forward(context_, step));
      for (std::size_t i = 0; i < static_cast<std::size_t>(logits.size()); ++i) {
        const float want =
            expected.data<float>()[done * static_cast<std::size_t>(logits.dim(1)) + i];
        ASSERT_NEAR(logits.data<float>()[i], want, 1e-5f * largest) << "position " << done;
      }
      done += now;
      if (count != 1) break;
      if (done >= 30) break;
    }
  }
  EXPECT_GE(done, 48u);
}

TEST_P(Reference, GreedyIds) {
  const Tensor ids = expected_.tensor("greedy_ids");
  const std::vector<std::int32_t> expected(ids.data<std::int64_t>(),
                                           ids.data<std::int64_t>() + ids.size());
  kv::BlockPool pool(model_->kv_shape(), 256);
  kv::Sequence sequence(pool);
  std::vector<std::int32_t> mine(expected.begin(), expected.begin() + 12), next = mine;
  while (mine.size() < expected.size()) {
    Batch step;
    step.add(sequence, next);
    const Tensor hidden = model_->forward(context_, step);
    const Tensor logits = model_->logits(context_, hidden.rows(hidden.dim(0) - 1, hidden.dim(0)));
    const auto values = logits.span<float>();
    next = {
        static_cast<std::int32_t>(std::max_element(values.begin(), values.end()) - values.begin())};
    mine.push_back(next[0]);
  }
  EXPECT_EQ(mine, expected);
}

INSTANTIATE_TEST_SUITE_P(Models, Reference,
                         testing::Values("gpt2-tiny", "llama-tiny", "llama3-tiny", "mistral-tiny",
                                         "mistral-tiny-bf16-sharded", "qwen2-tiny"),
                         [](const auto& parameter) {
                           std::string name = parameter.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

}  // namespace
}  // namespace plimsoll
