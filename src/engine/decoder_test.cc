// The decoder's bookkeeping, on a device that lies in the host's memory and a model whose likeliest
// token is known.
#include "engine/decoder.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/trace.h"
#include "support/fake_device.h"
#include "support/support.h"

namespace plimsoll {
namespace {

constexpr std::int64_t kVocab = 97;

std::int32_t next_of(std::int32_t id, std::int64_t position, std::int32_t block) {
  return static_cast<std::int32_t>((id * 31 + position * 7 + block) % kVocab);
}

/// The likeliest token is a function of the token, its position and the block that holds it.
class FakeModel : public Model {
 public:
  explicit FakeModel(test::FakeDevice& device) : Model(config()), device_(device) {}
  static ModelConfig config() {
    ModelConfig config;
    config.layers = 1;
    config.heads = config.kv_heads = 1;
    config.head_dim = 16;
    config.hidden_size = 1;
    config.vocab_size = kVocab;
    return config;
  }
  Tensor forward(const ops::Context& context, const Batch& batch,
                 std::vector<Tensor>*) const override {
    const ops::Rows rows = batch.rows_for(context);
    const ops::DeviceRows& there = rows.device;
    Tensor hidden = device_.allocate(DType::f32, {there.ids.size(), 1}, "");
    for (std::int64_t row = 0; row < there.ids.size(); ++row) {
      if (device_.capturing) continue;  // as a capture, which runs nothing
      const std::int32_t position = there.positions.address<std::int32_t>()[row];
      const std::int32_t line = there.lines.address<std::int32_t>()[row];
      const std::int32_t block =
          there.tables.address<std::int32_t>()[line * there.tables.dim(1) + position / 16];
      hidden.address<float>()[row] =
          static_cast<float>(next_of(there.ids.address<std::int32_t>()[row], position, block));
    }
    return hidden;
  }
  Tensor logits(const ops::Context&, const Tensor& hidden) const override {
    if (!logits_.defined()) logits_ = device_.allocate(DType::f32, {hidden.dim(0), kVocab}, "");
    std::fill_n(logits_.address<float>(), logits_.size(), 0.0f);
    for (std::int64_t row = 0; row < hidden.dim(0); ++row) {
      const auto id = static_cast<std::int64_t>(hidden.address<float>()[row]);
      logits_.address<float>()[row * kVocab + id] = 1;
    }
    return logits_;
  }
  void visit_linears(const std::function<void(ops::Linear&)>&) override {}
  void move_to(ops::Device&) override {}

 protected:
  quant::Matrix& token_table() override { return table_; }

 private:
  test::FakeDevice& device_;
  quant::Matrix table_;
  mutable Tensor logits_;  // one address, as a graph's
};

class DecoderTest : public testing::Test {
 protected:
  DecoderTest() {
    context.device = &device;
    sequences.reserve(2);
    for (int i = 0; i < 2; ++i) sequences.emplace_back(pool);
    sequences[1].extend(5);  // of different lengths
  }
  std::vector<kv::Sequence*> pointers() { return {&sequences[0], &sequences[1]}; }
  /// What the model says, from the host's knowledge alone.
  std::vector<std::int32_t> expected(std::span<const std::int32_t> ids) {
    std::vector<std::int32_t> next;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const std::int64_t position = sequences[i].length() - 1;
      next.push_back(next_of(ids[i], position, sequences[i].table()[position / 16]));
    }
    return next;
  }

  test::FakeDevice device;
  FakeModel model{device};
  ops::Context context;
  kv::BlockPool pool{model.kv_shape(), 8 * 16, &device};
  std::vector<kv::Sequence> sequences;
};

TEST_F(DecoderTest, ACacheIsRefusedAsAWhole) {
  const kv::KvShape shape = model.kv_shape();
  device.most = static_cast<std::uint64_t>(8 * 16 * shape.bytes_per_token()) - 1;
  const std::string said =
      test::message_of<InputError>([&] { kv::BlockPool(shape, 8 * 16, &device); });
  EXPECT_EQ(said, "a KV cache of 128 tokens needs more than there is");
}

TEST_F(DecoderTest, EachStepReadsWhatTheLastOneChose) {
  Decoder decoder(model, context, pointers(), 48);
  std::vector<std::int32_t> ids{3, 4};
  for (int step = 0; step < 40; ++step) {
    const std::vector<std::int32_t> next = decoder.likeliest(ids, false);
    EXPECT_EQ(next, expected(ids)) << "step " << step;
    ids = next;
  }
  EXPECT_EQ(sequences[0].length(), 40);
  EXPECT_EQ(sequences[1].length(), 45);
  EXPECT_EQ(device.captured, 1);
  EXPECT_EQ(device.launched, 39);
}

TEST_F(DecoderTest, StepsThatAreBegunEarlyAreTheSame) {
  Decoder ahead(model, context, pointers(), 48);
  std::vector<std::int32_t> ids{3, 4};
  std::vector<std::vector<std::int32_t>> all;
  all.reserve(30);
  for (int step = 0; step < 30; ++step) all.push_back(ids = ahead.likeliest(ids, step < 29));
  EXPECT_EQ(sequences[0].length(), 30);
  // Another pool gives its blocks in the same order.
  kv::BlockPool other_pool{model.kv_shape(), 8 * 16, &device};
  kv::Sequence first(other_pool);
  kv::Sequence second(other_pool);
  second.extend(5);
  Decoder plain(model, context, {&first, &second}, 48);
  ids = {3, 4};
  for (const std::vector<std::int32_t>& next : all) {
    EXPECT_EQ(plain.likeliest(ids, false), next);
    ids = next;
  }
}

TEST_F(DecoderTest, WhatWasBegunIsTakenBack) {
  Decoder decoder(model, context, pointers(), 48);
  const std::vector<std::int32_t> first = decoder.likeliest(std::vector<std::int32_t>{3, 4}, true);
  EXPECT_EQ(sequences[0].length(), 2);
  decoder.stop();
  decoder.stop();
  EXPECT_EQ(sequences[0].length(), 1);
  // Another token than the one that was begun with.
  const std::vector<std::int32_t> other{8, 9};
  const std::vector<std::int32_t> next = decoder.likeliest(other, false);
  EXPECT_EQ(next, expected(other));
  EXPECT_EQ(sequences[1].length(), 7);
}

TEST_F(DecoderTest, LogitsAreThoseOfTheStep) {
  Decoder decoder(model, context, pointers(), 48);
  for (const std::vector<std::int32_t>& ids : {std::vector{1, 2}, {5, 6}, {7, 8}}) {
    const Tensor logits = decoder.logits(ids);
    EXPECT_EQ(logits.shape(), (Shape{2, kVocab}));
    const std::vector<std::int32_t> next = expected(ids);
    for (std::int64_t row = 0; row < 2; ++row) {
      EXPECT_EQ(logits.data<float>()[row * kVocab + next[static_cast<std::size_t>(row)]], 1.0f);
    }
  }
}

TEST_F(DecoderTest, AFullPoolLeavesAllAsItWas) {
  Decoder decoder(model, context, pointers(), 128);
  sequences[1].extend(16 * 7 - 5);  // a block is left, which the first takes
  const std::vector<std::int32_t> ids{3, 4};
  test::message_of<InputError>([&] { decoder.likeliest(ids, false); });
  EXPECT_EQ(sequences[0].length(), 0);
  EXPECT_EQ(sequences[1].length(), 16 * 7);
  EXPECT_EQ(pool.free_blocks(), 1);
}

TEST_F(DecoderTest, ATracedStepRunsKernelByKernel) {
  Decoder decoder(model, context, pointers(), 48);
  std::vector<std::int32_t> ids{3, 4};
  for (int step = 0; step < 3; ++step) ids = decoder.likeliest(ids, false);
  trace::start();
  const std::vector<std::int32_t> next = decoder.likeliest(ids, false);
  trace::stop();
  EXPECT_EQ(next, expected(ids));
  EXPECT_EQ(device.launched, 2);
  ids = decoder.likeliest(next, false);
  EXPECT_EQ(ids, expected(next));
  EXPECT_EQ(device.launched, 3);
}

}  // namespace
}  // namespace plimsoll
