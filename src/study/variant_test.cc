#include "study/variant.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/support.h"

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

TEST(StudyVariant, AListMayHaveSpaces) {
  const auto variants = variants_from_list(" bf16+eager, int8 ,\tnf4-dq", {}, kv::KvFormat::f32);
  EXPECT_EQ(names_of(variants), (Names{"bf16+eager", "int8+sdpa", "nf4-dq+sdpa"}));
  const auto refused = [](const char* list) {
    return test::message_of<InputError>([&] { variants_from_list(list, {}, kv::KvFormat::f32); });
  };
  EXPECT_EQ(refused("bf16,int8 + sdpa"),
            "--variants: variant: found \"int8 + sdpa\", expected "
            "WEIGHTS[+ATTENTION[+kv-FORMAT]], no spaces");
  for (const char* list : {"all,int8", "int8, all"}) {
    EXPECT_EQ(refused(list),
              "--variants: list: found all among others, expected all alone, or names without it");
  }
  for (const char* nothing : {"", "  "}) {
    EXPECT_EQ(
        test::message_of<InputError>([&] { variants_from_list(nothing, {}, kv::KvFormat::f32); }),
        "--variants: list: found nothing, expected WEIGHTS+ATTENTION,... or all");
  }
}

std::optional<std::string> reference(const char* list, const ModelConfig& config,
                                     std::size_t preferred = 0) {
  const auto variants = variants_from_list(list, config, kv::KvFormat::f32);
  const auto found =
      reference_among(variants, config, [&](std::size_t i) { return i == preferred; });
  if (!found) return std::nullopt;
  return variants[*found].name();
}

TEST(StudyVariant, OnlyADenseOneIsAReference) {
  ModelConfig config;
  config.dtype = DType::bf16;
  EXPECT_EQ(reference("int8,bf16+eager,bf16,fp32", config), "bf16+eager");
  EXPECT_EQ(reference("int8,bf16+eager,bf16,fp32", config, 2), "bf16+sdpa");
  EXPECT_EQ(reference("int8,fp32,fp16", config), "fp32+sdpa");
  EXPECT_FALSE(reference("log4,int8", config));
  // What quantised keys and values lose would not be seen.
  EXPECT_FALSE(reference("bf16+sdpa+kv-int8,int8", config));
  ops::Context context;
  EXPECT_EQ(own_reference(config, context).name(), "bf16+sdpa");
  context.kv = kv::KvFormat::bf16;
  EXPECT_EQ(own_reference(config, context).name(), "bf16+sdpa+kv-bf16");
  context.kv = kv::KvFormat::int8;
  EXPECT_EQ(own_reference(config, context).name(), "bf16+sdpa");
}

}  // namespace
}  // namespace plimsoll::study
