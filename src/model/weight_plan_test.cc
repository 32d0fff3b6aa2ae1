#include "model/weight_plan.h"

#include <gtest/gtest.h>

#include "model/load_model.h"
#include "model/stored_parts.h"
#include "support/support.h"

namespace plimsoll {
namespace {

using quant::WeightFormat;

std::string refusal(const WeightPlan& plan, const char* model) {
  return test::message_of<InputError>(
      [&] { check_plan(plan, load_config(test::golden(model).string())); });
}

TEST(WeightPlan, PatternsThatNameNothingAreRefusedWithTheLayers) {
  WeightPlan plan;
  plan.format = WeightFormat::nf4;
  plan.skip = {"down_proj", "down"};
  EXPECT_EQ(refusal(plan, "mistral-tiny"),
            "--skip: module: found \"down\", expected a linear layer of the model or a part of its "
            "name: model.layers.N.self_attn.q_proj, model.layers.N.self_attn.k_proj, "
            "model.layers.N.self_attn.v_proj, model.layers.N.self_attn.o_proj, "
            "model.layers.N.mlp.gate_proj, model.layers.N.mlp.up_proj, "
            "model.layers.N.mlp.down_proj, lm_head");
  plan.skip = {"model"};
  EXPECT_EQ(refusal(plan, "mistral-tiny"),
            "--skip: modules: found every linear layer, expected one left to quantise");
  plan.include = {"lm_head"};
  EXPECT_NO_THROW(check_plan(plan, load_config(test::golden("mistral-tiny").string())));
  plan.skip.clear();
  EXPECT_NE(refusal(plan, "gpt2-tiny").find("this model's head is its embedding table"),
            std::string::npos);
}

TEST(WeightPlan, ALayerThatTheFormatCannotHoldIsNamed) {
  ModelConfig config = load_config(test::golden("llama-tiny").string());
  config.intermediate_size += 4;
  WeightPlan plan;
  plan.format = WeightFormat::int4;
  const std::string message = test::message_of<InputError>([&] { check_plan(plan, config); });
  EXPECT_EQ(message.find("model.layers.0.mlp.gate_proj.weight: int4: eight codes share a word"), 0u)
      << message;
  plan.skip = {"mlp"};
  EXPECT_NO_THROW(check_plan(plan, config));
}

// Bytes as the file has them: nothing is lost, and statistics count where they belong.
TEST(StoredParts, AddUpToTheFileAndNameTheFormats) {
  for (const char* name :
       {"mistral-tiny-bnb-nf4-dq", "mistral-tiny-bnb-int8", "gpt2-tiny-bnb-nf4-dq"}) {
    const std::string folder = test::golden(name).string();
    const ModelConfig config = load_config(folder);
    const Checkpoint checkpoint = Checkpoint::open(folder);
    const StoredQuantization stored = stored_quantization(config.quantization, "config.json");
    const auto parts = stored_parts(config, checkpoint, stored);
    std::int64_t total = 0;
    for (const auto& [part, found] : parts) total += found.bytes;
    EXPECT_EQ(total, static_cast<std::int64_t>(checkpoint.bytes()));
    EXPECT_FALSE(parts.contains("other")) << name;
    const std::set<std::string> format{std::string(quant::format_name(stored.format))};
    EXPECT_EQ(parts.at("attention").formats, format) << name;
    EXPECT_EQ(parts.at("mlp").formats, format) << name;
    EXPECT_EQ(parts.at("embedding").formats, std::set<std::string>{"fp16"}) << name;
    EXPECT_TRUE(parts.at("norm").formats.empty()) << name;
  }
}

}  // namespace
}  // namespace plimsoll
