#include "study/variant.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "model/load_model.h"
#include "support/support.h"

namespace plimsoll::study {
namespace {

std::vector<std::string> names(const std::vector<Variant>& variants) {
  std::vector<std::string> names;
  names.reserve(variants.size());
  for (const Variant& variant : variants) names.push_back(variant.name());
  return names;
}

const ModelConfig kLlama = load_config("shape:tinyllama-1.1b");
constexpr auto kKv = kv::KvFormat::f32;

TEST(Variants, DefaultsOfTheLlamaFamily) {
  EXPECT_EQ(names(default_variants(kLlama, kKv)),
            (std::vector<std::string>{"bf16+eager", "int8+eager", "nf4-dq+eager", "bf16+sdpa",
                                      "int8+sdpa", "nf4-dq+sdpa"}));
}

TEST(Variants, DefaultsOfGpt2) {
  EXPECT_EQ(names(default_variants(load_config("shape:gpt2"), kKv)),
            (std::vector<std::string>{"fp32+eager", "fp16+eager", "int8+eager", "fp16+sdpa",
                                      "int8+sdpa", "nf4-dq+sdpa"}));
}

TEST(Variants, OfAQuantisedCheckpointWhatItHolds) {
  ModelConfig config = kLlama;
  config.quantization = {{"quant_method", "bitsandbytes"},
                         {"load_in_4bit", true},
                         {"bnb_4bit_quant_type", "nf4"},
                         {"bnb_4bit_use_double_quant", true}};
  EXPECT_EQ(names(default_variants(config, kKv)),
            (std::vector<std::string>{"nf4-dq+eager", "nf4-dq+sdpa"}));
}

TEST(Variants, AllAddsEveryFormat) {
  const auto all = variants_from_list("all", kLlama, kKv);
  for (const quant::WeightFormat format : quant::all_formats()) {
    EXPECT_TRUE(
        std::any_of(all.begin(), all.end(), [&](const Variant& v) { return v.weights == format; }));
  }
  EXPECT_EQ(all.front().name(), "bf16+eager");
}

TEST(Variants, AreParsedAndRefused) {
  const auto variants = variants_from_list("fp32,nf4-dq+eager,bf16+sdpa+kv-int8", kLlama, kKv);
  EXPECT_EQ(names(variants),
            (std::vector<std::string>{"fp32+sdpa", "nf4-dq+eager", "bf16+sdpa+kv-int8"}));
  EXPECT_EQ(variants_from_list("bf16", kLlama, kv::KvFormat::int8).front().name(),
            "bf16+sdpa+kv-int8");
  const auto refused = [](const char* list) {
    return plimsoll::test::message_of<InputError>([&] { variants_from_list(list, kLlama, kKv); });
  };
  EXPECT_EQ(refused("fp32,fp32+sdpa"),
            "--variants: list: found fp32+sdpa twice, expected each variant once");
  EXPECT_NE(refused("fp33").find("fp33"), std::string::npos);
  EXPECT_NE(refused("fp32+sparse").find("sparse"), std::string::npos);
  EXPECT_NE(refused("fp32+sdpa+int8").find("kv-"), std::string::npos);
  EXPECT_NE(refused("").find("nothing"), std::string::npos);
}

TEST(Variants, TheReferenceIsTheCheckpointsOwnDtypeWhereItIsThere) {
  const auto reference = [](const char* list) {
    return reference_of(variants_from_list(list, kLlama, kKv), kLlama);
  };
  EXPECT_EQ(reference("fp16,int8,bf16"), 2u);
  EXPECT_EQ(reference("int8,fp16,fp32"), 1u);
  EXPECT_EQ(reference("int8,nf4"), 0u);
}

}  // namespace
}  // namespace plimsoll::study
