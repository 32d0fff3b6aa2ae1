// Many sequences at once and one in chunks, on a GPU: to the bit what each gives alone where that
// is promised, and nearly so otherwise.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "engine/decoder.h"
#include "engine/session.h"
#include "model/load_model.h"
#include "model/prefill.h"
#include "ops/device.h"
#include "support/cuda.h"
#include "support/support.h"

namespace plimsoll {
namespace {

using Ids = std::vector<std::int32_t>;
using quant::WeightFormat;

constexpr int kPrompts = 8;
constexpr int kSteps = 3;

/// Prompts of different lengths, one of which ends with a block of the cache.
Ids prompt(int number) {
  Ids ids;
  for (int i = 0; i < 1 + number % kPrompts * 5; ++i)
    ids.push_back(3 + (i * 37 + number % kPrompts) % 290);
  return ids;
}

std::int32_t fed(int number, int step) {
  return 5 + number % kPrompts * 11 + step;
}

struct Case {
  const char* model;
  WeightFormat weights;
  kv::KvFormat kv;
};

class OnTheGpu : public testing::Test {
 protected:
  void load(const Case& of) {
    context_.device = &ops::open_device("cuda");
    context_.compute = ops::Compute::fast;
    context_.kv = of.kv;
    LoadOptions options;
    options.weights.format = of.weights;
    options.device = context_.device;
    const std::string name = test::golden(of.model).string();
    model_ = load_model(name, options);
    move_model(*model_, name, *context_.device);
  }

  /// Logits of each prompt's last token and of some tokens more, [sequences, vocabulary] a step.
  std::vector<Tensor> logits_of(const std::vector<int>& prompts) {
    kv::KvShape shape = model_->kv_shape(context_.kv);
    shape.window = 0;
    kv::BlockPool pool(shape, static_cast<std::int64_t>(prompts.size()) * 64, context_.device);
    std::vector<kv::Sequence> sequences;
    sequences.reserve(prompts.size());
    std::vector<kv::Sequence*> pointers;
    std::vector<Ids> ids;
    for (const int number : prompts) {
      pointers.push_back(&sequences.emplace_back(pool));
      ids.push_back(prompt(number));
    }
    const std::vector<std::span<const std::int32_t>> spans(ids.begin(), ids.end());
    const Tensor last = read_together(*model_, context_, pointers, spans);
    std::vector<Tensor> logits{model_->logits(context_, last).to_host()};
    Decoder decoder(*model_, context_, pointers, 64);
    for (int step = 0; step < kSteps; ++step) {
      Ids next;
      for (const int number : prompts) next.push_back(fed(number, step));
      logits.push_back(decoder.logits(next));
    }
    return logits;
  }

  /// The largest difference over the largest logit, between sequences at once and each alone.
  double of_batches(int count) {
    std::vector<std::vector<Tensor>> alone;
    alone.reserve(kPrompts);
    for (int number = 0; number < kPrompts; ++number) alone.push_back(logits_of({number}));
    std::vector<int> all(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) all[static_cast<std::size_t>(i)] = i;
    const std::vector<Tensor> together = logits_of(all);
    double worst = 0;
    for (std::size_t step = 0; step <= kSteps; ++step) {
      for (int i = 0; i < count; ++i) {
        const Tensor& expected = alone[static_cast<std::size_t>(i % kPrompts)][step];
        worst =
            std::max(worst, test::relative_to_largest(together[step].rows(i, i + 1).span<float>(),
                                                      expected.span<float>()));
      }
    }
    return worst;
  }

  ops::Context context_;
  std::unique_ptr<Model> model_;
};

TEST_F(OnTheGpu, ManySequencesAreWhatEachIsAlone) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const WeightFormat weights : {WeightFormat::fp16, WeightFormat::nf4_dq}) {
    load({"mistral-tiny", weights, kv::KvFormat::fp16});
    for (const int count : {2, 17, 64, 65, 256}) {
      // Products of many rows round activations otherwise (f16's 2^-11), and leave 4-bit levels as
      // they are, which those of few round to 1/126: over a few layers.
      const double bound = weights == WeightFormat::fp16 ? 0.01 : 0.05;
      EXPECT_LT(of_batches(count), bound) << quant::format_name(weights) << ", " << count;
    }
  }
}

TEST_F(OnTheGpu, InvariantBatchesAreTheSameToTheBit) {
  PLIMSOLL_GPU_OR_SKIP();
  context_.numerics = ops::Numerics::invariant;
  for (const Case& each : {Case{"mistral-tiny", WeightFormat::nf4_dq, kv::KvFormat::fp16},
                           Case{"gpt2-tiny", WeightFormat::int8, kv::KvFormat::int8},
                           Case{"gpt2-tiny", WeightFormat::int8, kv::KvFormat::fp16},
                           Case{"gpt2-tiny", WeightFormat::fp16, kv::KvFormat::int8},
                           Case{"llama-tiny", WeightFormat::int8, kv::KvFormat::fp16},
                           Case{"qwen2-tiny", WeightFormat::bf16, kv::KvFormat::bf16},
                           Case{"llama-tiny", WeightFormat::fp32, kv::KvFormat::f32}}) {
    load(each);
    for (const int count : {2, 17, 70, 256})
      EXPECT_EQ(of_batches(count), 0) << each.model << ", " << count;
  }
}

TEST_F(OnTheGpu, InvariantChunksAreTheSameToTheBit) {
  PLIMSOLL_GPU_OR_SKIP();
  context_.numerics = ops::Numerics::invariant;
  for (const Case& each : {Case{"mistral-tiny", WeightFormat::nf4_dq, kv::KvFormat::fp16},
                           Case{"mistral-tiny", WeightFormat::fp16, kv::KvFormat::int8},
                           Case{"gpt2-tiny", WeightFormat::int8, kv::KvFormat::fp16},
                           Case{"qwen2-tiny", WeightFormat::int4, kv::KvFormat::f32},
                           Case{"llama3-tiny", WeightFormat::fp8, kv::KvFormat::bf16}}) {
    load(each);
    Ids ids;
    for (int i = 0; i < 90; ++i) ids.push_back(3 + i * 37 % 290);
    std::optional<Tensor> first;
    // One by one is a decoding step each, whose attention appends the keys itself.
    for (const std::int64_t chunk : {1, 7, 64, 90}) {
      context_.prefill_chunk = chunk;
      Session session(*model_, context_, 96);
      const Tensor logits = session.read(ids);
      if (!first) first = logits;
      EXPECT_TRUE(std::ranges::equal(logits.span<float>(), first->span<float>()))
          << each.model << " in " << quant::format_name(each.weights) << ", chunks of " << chunk
          << ": " << test::relative_to_largest(logits.span<float>(), first->span<float>());
    }
  }
}

}  // namespace
}  // namespace plimsoll
