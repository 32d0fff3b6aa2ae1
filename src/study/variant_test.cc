#include "study/variant.h"

#include <gtest/gtest.h>

namespace plimsoll::study {
namespace {

std::vector<std::string> names_of(const std::vector<Variant>& variants) {
  std::vector<std::string> names;
  names.reserve(variants.size());
  for (const Variant& variant : variants) names.push_back(variant.name());
  return names;
}

using Names = std::vector<std::string>;

TEST(StudyVariant, AListTakesTheAttentionThatItDoesNotName) {
  const auto variants =
      variants_from_list("bf16,nf4-dq+sdpa", {}, kv::KvFormat::f32, ops::Attention::flash);
  EXPECT_EQ(names_of(variants), (Names{"bf16+flash", "nf4-dq+sdpa"}));
}

TEST(StudyVariant, OneAttentionLeavesEachFormatOnce) {
  ModelConfig config;
  config.architecture = Architecture::gpt2;
  const auto variants = default_variants(config, kv::KvFormat::f32);
  EXPECT_EQ(names_of(with_attention(variants, ops::Attention::flash)),
            (Names{"fp32+flash", "fp16+flash", "int8+flash", "nf4-dq+flash"}));
}

}  // namespace
}  // namespace plimsoll::study
