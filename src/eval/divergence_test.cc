#include "eval/divergence.h"

#include <gtest/gtest.h>

#include <cmath>

#include "model/load_model.h"
#include "support/support.h"

namespace plimsoll {
namespace {

class DivergenceOfTiny : public testing::Test {
 protected:
  DivergenceOfTiny() {
    for (int i = 0; i < 300; ++i)
      ids_.push_back(static_cast<std::int32_t>((i * 37 + i * i * 11) % 320));
    options_.protocol = completed({Protocol::blocks, 60, 0}, 512);
  }
  static std::unique_ptr<Model> load(quant::WeightFormat format) {
    LoadOptions options;
    options.weights.format = format;
    return load_model(test::golden("mistral-tiny").string(), options);
  }
  std::vector<std::int32_t> ids_;
  ScoreOptions options_;
};

TEST_F(DivergenceOfTiny, AModelDoesNotDivergeFromItself) {
  const auto model = load(quant::WeightFormat::fp32);
  const Scored scored{model.get(), {}};
  const Divergence result = divergence(scored, scored, ids_, options_);
  EXPECT_EQ(result.kl_mean.value, 0);
  EXPECT_EQ(result.same_top.value, 1);
  EXPECT_EQ(result.ppl_ratio.value, 1);
  EXPECT_EQ(result.rms_probability_change, 0);
  EXPECT_NEAR(result.candidate.nll, perplexity(*model, {}, ids_, options_).nll, 1e-12);
  EXPECT_NEAR(result.candidate.ppl_stderr, perplexity(*model, {}, ids_, options_).ppl_stderr, 1e-9);
}

TEST_F(DivergenceOfTiny, AgreesWithTheFormulaTakenFromTheLogits) {
  const auto reference = load(quant::WeightFormat::fp32),
             candidate = load(quant::WeightFormat::nf4);
  const Divergence result =
      divergence({candidate.get(), {}}, {reference.get(), {}}, ids_, options_);
  // The same mean, plainly: every window's logits at once, softmax by definition, in long double.
  long double kl = 0, same = 0;
  int count = 0;
  for (std::size_t begin = 0; begin + 60 <= ids_.size(); begin += 60) {
    std::vector<Tensor> logits;
    for (const Model* model : {reference.get(), candidate.get()}) {
      kv::BlockPool pool(model->kv_shape(), 64);
      kv::Sequence sequence(pool);
      Batch batch;
      batch.add(sequence, std::span(ids_).subspan(begin, 60));
      logits.push_back(model->logits({}, model->forward({}, batch)));
    }
    for (std::int64_t row = 0; row < 59; ++row) {
      long double p_total = 0, q_total = 0;
      const float* p = logits[0].data<float>() + row * 320;
      const float* q = logits[1].data<float>() + row * 320;
      for (int i = 0; i < 320; ++i) {
        p_total += std::exp(static_cast<long double>(p[i]));
        q_total += std::exp(static_cast<long double>(q[i]));
      }
      for (int i = 0; i < 320; ++i) {
        const long double share = std::exp(static_cast<long double>(p[i])) / p_total;
        kl += share * std::log(share / (std::exp(static_cast<long double>(q[i])) / q_total));
      }
      same += std::max_element(p, p + 320) - p == std::max_element(q, q + 320) - q ? 1 : 0;
      ++count;
    }
  }
  EXPECT_EQ(result.candidate.tokens_scored, count);
  EXPECT_NEAR(result.kl_mean.value, static_cast<double>(kl / count), 1e-9);
  EXPECT_NEAR(result.same_top.value, static_cast<double>(same / count), 1e-12);
  EXPECT_GT(result.kl_mean.value, 0);
  ASSERT_TRUE(result.kl_mean.interval.has_value());
  EXPECT_LT(result.kl_mean.interval->low, result.kl_mean.value);
  EXPECT_GT(result.kl_mean.interval->high, result.kl_mean.value);
  const Estimate& median = result.kl_percentiles.at("50");
  EXPECT_LE(median.value, result.kl_percentiles.at("99.9").value);
  ASSERT_TRUE(median.interval.has_value());
  EXPECT_LT(median.interval->low, median.value);
  EXPECT_GT(median.interval->high, median.value);
  EXPECT_NEAR(result.ppl_ratio.value, result.candidate.ppl / result.reference.ppl, 1e-9);
}

TEST_F(DivergenceOfTiny, SeveralCandidatesAreJudgedAsEachAlone) {
  const auto reference = load(quant::WeightFormat::fp32), nf4 = load(quant::WeightFormat::nf4),
             int8 = load(quant::WeightFormat::int8);
  const std::vector<Scored> candidates{{nf4.get(), {}}, {int8.get(), {}}};
  const auto together = divergences(candidates, {reference.get(), {}}, ids_, options_);
  ASSERT_EQ(together.size(), 2u);
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const Divergence alone = divergence(candidates[i], {reference.get(), {}}, ids_, options_);
    EXPECT_EQ(together[i].kl_mean.value, alone.kl_mean.value);
    EXPECT_EQ(together[i].candidate.nll, alone.candidate.nll);
    EXPECT_EQ(together[i].candidate.ppl_stderr, alone.candidate.ppl_stderr);
    EXPECT_EQ(together[i].reference.nll, alone.reference.nll);
    EXPECT_EQ(together[i].kl_percentiles.at("99").value, alone.kl_percentiles.at("99").value);
  }
  EXPECT_NE(together[0].kl_mean.value, together[1].kl_mean.value);
}

}  // namespace
}  // namespace plimsoll
