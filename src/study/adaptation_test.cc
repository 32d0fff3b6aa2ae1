#include "study/adaptation.h"

#include <gtest/gtest.h>

#include "support/support.h"
#include "text/sample_text.h"

namespace plimsoll::study {
namespace {

Adaptation adapted(quant::WeightFormat weights) {
  AdaptationOptions options;
  options.model = test::source_path("models/draft").string();
  options.weights = weights;
  options.text = std::string(evaluation_sample()).substr(0, 20000);
  options.sample_prompt = "The captain";
  options.steps = 4;
  options.batch = 2;
  options.sequence = 64;
  return adapt(options);
}

// A format that looks at activations is what the adapter is trained beside, as every other.
TEST(Adaptation, LearnsBesideTheWeightsThatWereAskedFor) {
#ifdef PLIMSOLL_SLOW_BUILD
  GTEST_SKIP() << "calibrating takes a minute when sanitised";
#endif
  const Adaptation dense = adapted(quant::WeightFormat::bf16);
  EXPECT_EQ(dense.weights, quant::WeightFormat::bf16);
  const Adaptation gptq = adapted(quant::WeightFormat::gptq);
  EXPECT_EQ(gptq.weights, quant::WeightFormat::gptq);
  // Quantisation costs: more than fp32's noise, less than what makes a model useless.
  EXPECT_GT(std::abs(gptq.before.nll - dense.before.nll), 1e-4);
  EXPECT_LT(gptq.before.nll, dense.before.nll + 0.5);
  EXPECT_LT(gptq.after.nll, gptq.before.nll);
}

}  // namespace
}  // namespace plimsoll::study
