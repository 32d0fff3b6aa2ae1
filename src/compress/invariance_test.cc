// The promise of --numerics invariant: the bits of a sequence's logits depend on its own tokens
// alone, not on how they are cut into chunks, which other sequences are in the batch, whether a
// prefix is shared, or how many threads there are.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "compress/calibration.h"
#include "core/rng.h"
#include "core/threads.h"
#include "model/peft_adapter.h"
#include "model/prefill.h"
#include "support/support.h"

namespace plimsoll::compress {
namespace {

using Ids = std::vector<std::int32_t>;
using quant::WeightFormat;

/// A text on its way through the model.
struct Reader {
  const Ids* ids;
  const Tensor* expected;  // logits of all positions
  kv::Sequence sequence;

  std::size_t left() const { return ids->size() - static_cast<std::size_t>(sequence.length()); }
};

struct Case {
  const char* model;
  WeightFormat weights;
  ops::Compute compute = ops::Compute::exact;
  kv::KvFormat kv = kv::KvFormat::f32;
  bool lora = false;  // with the adapter of tests/golden
};

std::vector<Case> cases() {
  using enum WeightFormat;
  std::vector<Case> all;
  for (const char* model : {"mistral-tiny", "gpt2-tiny"}) {
    for (const WeightFormat format : {fp32, fp16, bf16, int8, int8_dynamic, int8_static, fp8, nf4,
                                      nf4_dq, fp4, fp4_dq, log4, int4, gptq}) {
      all.push_back({model, format});
    }
    for (const WeightFormat format : {fp32, bf16, int8, int8_static, nf4_dq, fp4_dq, int4, gptq}) {
      all.push_back({model, format, ops::Compute::fast});
    }
    for (const auto format : {kv::KvFormat::bf16, kv::KvFormat::fp16, kv::KvFormat::int8}) {
      all.push_back({model, bf16, ops::Compute::fast, format});
    }
    for (const WeightFormat format : {fp32, nf4_dq}) {
      all.push_back({model, format, ops::Compute::fast, kv::KvFormat::f32, true});
    }
  }
  return all;
}

class Invariance : public testing::TestWithParam<Case> {
 protected:
  Invariance() {
    LoadOptions options;
    options.weights.format = GetParam().weights;
    options.weights.pack = true;
    const std::string folder = test::golden(GetParam().model).string();
    CalibrationOptions calibration;
    if (needs_calibration(GetParam().weights)) {
      Rng rng(3);
      calibration.text.ids = random_ids(rng, 600, load_config(folder).vocab_size);
      calibration.windows = 2;
      calibration.window_tokens = 64;
    }
    model_ = load_model_in(folder, options, &calibration);
    if (GetParam().lora) attach_adapter(*model_, folder, load_adapter(folder + "-lora"), 1);
    context_.compute = GetParam().compute;
    context_.kv = GetParam().kv;
    context_.numerics = ops::Numerics::invariant;
  }
  ~Invariance() override { set_threads(0); }

  static Ids random_ids(Rng& rng, std::size_t count, std::int64_t vocabulary) {
    Ids ids(count);
    for (std::int32_t& id : ids) {
      id = static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(vocabulary)));
    }
    return ids;
  }

  Tensor at_once(const Ids& ids) {
    set_threads(1);
    kv::BlockPool pool(model_->kv_shape(context_.kv), static_cast<std::int64_t>(ids.size()));
    kv::Sequence sequence(pool);
    Batch batch;
    batch.add(sequence, ids);
    return model_->logits(context_, model_->forward(context_, batch));
  }

  /// One step: some tokens of each reader in one batch. Returns the rows that differ.
  int step(std::vector<Reader>& readers, Rng& rng) {
    set_threads(1 + static_cast<int>(rng.below(2)));
    Batch batch;
    std::vector<const float*> expected;
    for (Reader& reader : readers) {
      const std::size_t most = rng.below(2) == 0 ? 2 : 30;  // decode, or a chunk of a prompt
      const std::size_t count = std::min(rng.below(most), reader.left());
      if (count == 0) continue;
      const auto begin = static_cast<std::size_t>(reader.sequence.length());
      batch.add(reader.sequence, std::span(*reader.ids).subspan(begin, count));
      for (std::size_t i = begin; i < begin + count; ++i) {
        expected.push_back(reader.expected->data<float>() +
                           static_cast<std::int64_t>(i) * reader.expected->dim(1));
      }
    }
    if (batch.rows() == 0) return 0;
    const Tensor logits = model_->logits(context_, model_->forward(context_, batch));
    const std::size_t row_bytes = static_cast<std::size_t>(logits.dim(1)) * sizeof(float);
    int different = 0;
    for (std::size_t row = 0; row < expected.size(); ++row) {
      const float* actual = logits.data<float>() + static_cast<std::int64_t>(row) * logits.dim(1);
      different += std::memcmp(actual, expected[row], row_bytes) != 0 ? 1 : 0;
    }
    rows_ += static_cast<int>(expected.size());
    return different;
  }

  std::unique_ptr<Model> model_;
  ops::Context context_;
  int rows_ = 0;  // compared
};

TEST_P(Invariance, BitsDoNotDependOnChunksNeighboursPrefixesOrThreads) {
  Rng rng(11);
  const std::int64_t vocabulary = model_->config().vocab_size;
  const Ids a = random_ids(rng, 90, vocabulary);
  const Ids b = random_ids(rng, 50, vocabulary);
  Ids c = random_ids(rng, 70, vocabulary);
  std::copy_n(a.begin(), 37, c.begin());  // a prefix to share
  const Tensor logits_a = at_once(a);
  const Tensor logits_b = at_once(b);
  const Tensor logits_c = at_once(c);
  kv::BlockPool pool(model_->kv_shape(context_.kv), 512);
  for (int trial = 0; trial < 2; ++trial) {
    std::vector<Reader> readers;
    readers.push_back({&a, &logits_a, kv::Sequence(pool)});
    readers.push_back({&b, &logits_b, kv::Sequence(pool)});
    bool forked = false;
    while (std::ranges::any_of(readers, [](const Reader& r) { return r.left() > 0; })) {
      ASSERT_EQ(step(readers, rng), 0) << "trial " << trial;
      const std::int64_t read = readers[0].sequence.length();
      if (!forked && read >= 20) {
        kv::Sequence prefix = readers[0].sequence.fork();
        const std::int64_t common = std::min<std::int64_t>(read, 37);
        if (prefix.can_truncate(common)) {
          prefix.truncate(common);
          readers.push_back({&c, &logits_c, std::move(prefix)});
        }
        forked = true;
      }
    }
  }
  EXPECT_GT(rows_, 2 * (90 + 50));
}

INSTANTIATE_TEST_SUITE_P(Models, Invariance, testing::ValuesIn(cases()), [](const auto& tested) {
  const Case& c = tested.param;
  std::string name = std::string(c.model) + "_" + std::string(quant::format_name(c.weights)) + "_" +
                     std::string(ops::compute_name(c.compute)) + "_kv" +
                     std::to_string(static_cast<int>(c.kv)) + (c.lora ? "_lora" : "");
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});

}  // namespace
}  // namespace plimsoll::compress
