#include <gtest/gtest.h>

#include "core/error.h"
#include "study/study.h"
#include "support/support.h"

namespace plimsoll::study {
namespace {

VariantResult result(const char* name, std::int64_t bytes, std::vector<double> decode_seconds,
                     double ppl) {
  VariantResult r;
  r.variant = variant_from_name(name, ops::Attention::sdpa);
  r.weight_bytes = bytes;
  r.latency.decode_tokens = 100;
  r.latency.decode_seconds = std::move(decode_seconds);
  r.quality.emplace();
  r.quality->ppl = ppl;
  return r;
}

TEST(Recommend, TakesTheFastest) {
  EXPECT_EQ(
      recommend({result("fp32", 40, {2, 2.01, 2.02}, 20), result("bf16", 20, {1, 1.01, 1.02}, 20)},
                1.05)
          .best,
      1u);
}

TEST(Recommend, TakesTheLighterWhenTheSpreadHidesTheDifference) {
  const auto close = recommend(
      {result("bf16", 20, {1.0, 1.1, 1.2}, 20), result("int8", 10, {1.05, 1.15, 1.25}, 20)}, 1.05);
  EXPECT_EQ(close.best, 1u);
  EXPECT_NE(close.reason.find("within the spread"), std::string::npos);
  const auto apart = recommend(
      {result("bf16", 20, {1.0, 1.0, 1.0}, 20), result("int8", 10, {1.1, 1.1, 1.1}, 20)}, 1.05);
  EXPECT_EQ(apart.best, 0u);
}

TEST(Recommend, NeverTakesOneThatLosesTooMuch) {
  EXPECT_EQ(
      recommend({result("fp32", 40, {2, 2, 2}, 20), result("nf4", 5, {1, 1, 1}, 21.1)}, 1.05).best,
      0u);
  EXPECT_EQ(
      recommend({result("fp32", 40, {2, 2, 2}, 20), result("nf4", 5, {1, 1, 1}, 21.1)}, 1.06).best,
      1u);
}

TEST(Variants, AreParsedAndRefused) {
  const auto variants = variants_from_list("fp32,nf4-dq+eager", ops::Attention::sdpa);
  ASSERT_EQ(variants.size(), 2u);
  EXPECT_EQ(variants[1].name(), "nf4-dq+eager");
  EXPECT_EQ(test::message_of<InputError>(
                [] { variants_from_list("fp32,fp32+sdpa", ops::Attention::sdpa); }),
            "--variants: list: found fp32+sdpa twice, expected each variant once");
  EXPECT_THROW(variants_from_list("fp33", ops::Attention::sdpa), InputError);
  EXPECT_THROW(variants_from_list("fp32+sparse", ops::Attention::sdpa), InputError);
  EXPECT_THROW(variants_from_list("", ops::Attention::sdpa), InputError);
}

}  // namespace
}  // namespace plimsoll::study
