#include "model/prefill.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "model/load_model.h"
#include "support/support.h"

namespace plimsoll {
namespace {

using Ids = std::vector<std::int32_t>;

Ids some_ids(std::int32_t count) {
  Ids ids;
  for (std::int32_t i = 0; i < count; ++i) ids.push_back(3 + i * 37 % 300);
  return ids;
}

class PrefillTiny : public testing::TestWithParam<const char*> {
 protected:
  /// Logits of every position, read in chunks from a pool that is as small as it may be.
  Tensor logits_of(const Ids& ids, std::int64_t chunk, kv::KvFormat format) {
    ops::Context context;
    context.prefill_chunk = chunk;
    context.kv = format;
    kv::BlockPool pool = pool_for(*model_, context, static_cast<std::int64_t>(ids.size()));
    kv::Sequence sequence(pool);
    std::vector<Tensor> hidden;
    const Tensor last = hidden_states(*model_, context, sequence, ids, &hidden);
    EXPECT_EQ(hidden.size(), static_cast<std::size_t>(model_->config().layers + 1));
    EXPECT_TRUE(std::ranges::equal(hidden.back().span<float>(), last.span<float>()));
    return model_->logits(context, last);
  }

  std::unique_ptr<Model> model_ = load_model(test::golden(GetParam()).string());
};

// The tiny Mistral's window is shorter than the text: small chunks drop blocks, one pass drops
// none.
TEST_P(PrefillTiny, ChunksGiveTheLogitsOfOnePass) {
  const Ids ids = some_ids(90);
  for (const kv::KvFormat format : {kv::KvFormat::f32, kv::KvFormat::bf16, kv::KvFormat::int8}) {
    const Tensor whole = logits_of(ids, 90, format);
    for (const std::int64_t chunk : {1, 7, 16, 89}) {
      // The passes have other shapes, so sums may be rounded otherwise: a few units of float's
      // 6e-8, grown over the layers. A key so changed may fall on the other side of a rounding of
      // its format: one unit of it, 2^-8 (bf16) or 1 / 127 (int8), in one of many elements.
      const double bound = format == kv::KvFormat::f32 ? 1e-5 : 4e-3;
      const Tensor chunked = logits_of(ids, chunk, format);
      EXPECT_LT(test::relative_to_largest(chunked.span<float>(), whole.span<float>()), bound)
          << chunk;
    }
  }
}

TEST_P(PrefillTiny, ACompressedCacheChangesLittle) {
  const Ids ids = some_ids(90);
  const Tensor exact = logits_of(ids, 32, kv::KvFormat::f32);
  const auto error = [&](kv::KvFormat format) {
    return test::relative_to_largest(logits_of(ids, 32, format).span<float>(), exact.span<float>());
  };
  const double bf16 = error(kv::KvFormat::bf16);
  const double fp16 = error(kv::KvFormat::fp16);
  const double int8 = error(kv::KvFormat::int8);
  // Named: a few units of the format (2^-9, 2^-12, 1 / 254) of keys and values.
  EXPECT_LT(bf16, 0.02);
  EXPECT_LT(fp16, 0.0025);
  EXPECT_LT(int8, 0.04);
  // Not that of another format, or none at all.
  EXPECT_GT(fp16, 0);
  EXPECT_GT(bf16, fp16);
  EXPECT_GT(int8, fp16);
}

// Passes that begin and end within sequences, and some that hold several.
TEST_P(PrefillTiny, SequencesReadTogetherAreThoseReadAlone) {
  const std::vector<std::int32_t> lengths{5, 1, 23, 8};
  std::vector<Ids> ids;
  for (const std::int32_t length : lengths) {
    ids.push_back(some_ids(length + 3));
    ids.back().erase(ids.back().begin(), ids.back().begin() + length % 3);
  }
  const std::vector<std::span<const std::int32_t>> spans(ids.begin(), ids.end());
  for (const std::int64_t chunk : {1, 7, 1000}) {
    ops::Context context;
    context.prefill_chunk = chunk;
    kv::BlockPool pool(model_->kv_shape(), 400);
    std::vector<kv::Sequence> sequences;
    std::vector<kv::Sequence*> pointers;
    sequences.reserve(ids.size());
    for (std::size_t i = 0; i < ids.size(); ++i) {
      sequences.emplace_back(pool);
      pointers.push_back(&sequences.back());
    }
    const Tensor last = read_together(*model_, context, pointers, spans);
    ASSERT_EQ(last.dim(0), static_cast<std::int64_t>(ids.size()));
    for (std::size_t i = 0; i < ids.size(); ++i) {
      EXPECT_EQ(sequences[i].length(), static_cast<std::int64_t>(ids[i].size()));
      kv::Sequence alone(pool);
      const Tensor hidden = hidden_states(*model_, context, alone, ids[i]);
      const Tensor expected = hidden.rows(hidden.dim(0) - 1, hidden.dim(0));
      const auto row = static_cast<std::int64_t>(i);
      EXPECT_LT(
          test::relative_to_largest(last.rows(row, row + 1).span<float>(), expected.span<float>()),
          1e-5)
          << "sequence " << i << ", chunks of " << chunk;
    }
  }
}

TEST(Prefill, AWindowBoundsThePool) {
  const auto model = load_model(test::golden("mistral-tiny").string());
  ops::Context context;
  context.prefill_chunk = 16;
  const std::int64_t window = model->config().sliding_window.value_or(0);
  ASSERT_GT(window, 0);
  EXPECT_EQ(model->kv_shape().window, window);
  EXPECT_LE(pool_for(*model, context, 100000).capacity_tokens(), window + 16 + 48);
  // Where some layers see everything, nothing may be dropped.
  const auto qwen = load_model(test::golden("qwen2-tiny").string());
  EXPECT_EQ(qwen->kv_shape().window, 0);
}

TEST(Prefill, TheChunkFollowsTheModelAndTheFlag) {
  ModelConfig small, large;
  small.hidden_size = small.intermediate_size = 64;
  large.hidden_size = large.intermediate_size = 1 << 20;
  EXPECT_EQ(prefill_chunk(small, {}), 1024);
  EXPECT_EQ(prefill_chunk(large, {}), 128);
  ops::Context context;
  context.prefill_chunk = 5;
  EXPECT_EQ(prefill_chunk(large, context), 5);
}

INSTANTIATE_TEST_SUITE_P(Models, PrefillTiny,
                         testing::Values("gpt2-tiny", "mistral-tiny", "qwen2-tiny"),
                         [](const auto& tested) {
                           std::string name = tested.param;
                           name.resize(name.find('-'));
                           return name;
                         });

}  // namespace
}  // namespace plimsoll
