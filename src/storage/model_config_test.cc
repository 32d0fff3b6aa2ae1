#include "storage/model_config.h"

#include "core/error.h"
#include "storage/json.h"
#include "support/support.h"

namespace plimsoll {
namespace {

namespace fs = std::filesystem;

/// A golden config.json, to be changed.
Json golden_json(const std::string& folder) {
  return read_json_file(test::golden(folder) / "config.json");
}
Json with(Json json, const std::string& field, Json value) {
  json[field] = std::move(value);
  return json;
}
Json without(Json json, const std::string& field) {
  EXPECT_EQ(json.erase(field), 1u) << field;
  return json;
}
ModelConfig parse(const Json& json) {
  return parse_model_config(json.dump(), "config.json");
}
std::string message(const Json& json) {
  return test::message_of<InputError>([&] { parse(json); });
}

TEST(ModelConfig, ReadsGpt2) {
  const ModelConfig config = load_model_config(test::golden("gpt2-tiny"));
  EXPECT_EQ(config.architecture, Architecture::gpt2);
  EXPECT_EQ(architecture_name(config.architecture), "gpt2");
  EXPECT_EQ(config.model_type, "gpt2");
  EXPECT_EQ(config.vocab_size, 317);
  EXPECT_EQ(config.hidden_size, 64);
  EXPECT_EQ(config.layers, 2);
  EXPECT_EQ(config.heads, 2);
  EXPECT_EQ(config.kv_heads, 2);
  EXPECT_EQ(config.head_dim, 32);
  EXPECT_EQ(config.intermediate_size, 256);  // n_inner is null
  EXPECT_EQ(config.max_positions, 96);
  EXPECT_EQ(config.norm_epsilon, 1e-5f);
  EXPECT_EQ(config.activation, Activation::gelu_tanh);
  EXPECT_TRUE(config.tie_word_embeddings);
  EXPECT_TRUE(config.qkv_bias && config.output_bias && config.mlp_bias);
  EXPECT_TRUE(config.scale_attn_weights);
  EXPECT_FALSE(config.scale_attn_by_inverse_layer_idx);
  EXPECT_EQ(config.window_of_layer(0), std::nullopt);
  EXPECT_EQ(config.bos_id, 0);
  EXPECT_EQ(config.eos_ids, std::vector<int>{1});
  EXPECT_EQ(config.dtype, DType::f32);
  EXPECT_TRUE(config.quantization.is_null());
}

TEST(ModelConfig, ReadsLlama) {
  const ModelConfig config = load_model_config(test::golden("llama-tiny"));
  EXPECT_EQ(config.architecture, Architecture::llama);
  EXPECT_EQ(config.vocab_size, 320);
  EXPECT_EQ(config.hidden_size, 64);
  EXPECT_EQ(config.heads, 4);
  EXPECT_EQ(config.kv_heads, 4);
  EXPECT_EQ(config.head_dim, 16);
  EXPECT_EQ(config.intermediate_size, 192);
  EXPECT_EQ(config.max_positions, 256);
  EXPECT_EQ(config.norm_epsilon, 1e-6f);
  EXPECT_EQ(config.activation, Activation::silu);
  EXPECT_EQ(config.rope_theta, 10000);
  EXPECT_EQ(config.rope_scaling.type, RopeScaling::Type::none);
  EXPECT_FALSE(config.tie_word_embeddings);
  EXPECT_FALSE(config.qkv_bias || config.output_bias || config.mlp_bias);
  EXPECT_EQ(config.bos_id, 1);
  EXPECT_EQ(config.eos_ids, std::vector<int>{2});
}

TEST(ModelConfig, ReadsLlama3) {
  const ModelConfig config = load_model_config(test::golden("llama3-tiny"));
  EXPECT_EQ(config.heads, 6);
  EXPECT_EQ(config.kv_heads, 2);
  EXPECT_EQ(config.head_dim, 32);  // 6 * 32 is not the hidden size of 96
  EXPECT_EQ(config.norm_epsilon, 1e-5f);
  EXPECT_TRUE(config.tie_word_embeddings);
  EXPECT_EQ(config.rope_theta, 500000);
  EXPECT_EQ(config.rope_scaling.type, RopeScaling::Type::llama3);
  EXPECT_EQ(config.rope_scaling.factor, 8);
  EXPECT_EQ(config.rope_scaling.low_freq_factor, 1);
  EXPECT_EQ(config.rope_scaling.high_freq_factor, 4);
  EXPECT_EQ(config.rope_scaling.original_max_positions, 64);
}

TEST(ModelConfig, ReadsMistral) {
  const ModelConfig config = load_model_config(test::golden("mistral-tiny"));
  EXPECT_EQ(architecture_name(config.architecture), "mistral");
  EXPECT_EQ(config.kv_heads, 2);
  EXPECT_EQ(config.sliding_window, 16);
  EXPECT_EQ(config.window_of_layer(0), 16);
  EXPECT_EQ(config.window_of_layer(1), 16);
  EXPECT_FALSE(config.qkv_bias || config.output_bias || config.mlp_bias);

  const ModelConfig sharded = load_model_config(test::golden("mistral-tiny-bf16-sharded"));
  EXPECT_EQ(sharded.kv_heads, 1);
  EXPECT_EQ(sharded.head_dim, 64);
  EXPECT_EQ(sharded.window_of_layer(0), std::nullopt);  // null
  EXPECT_EQ(sharded.dtype, DType::bf16);
}

TEST(ModelConfig, ReadsQwen2) {
  const ModelConfig config = load_model_config(test::golden("qwen2-tiny"));
  EXPECT_EQ(architecture_name(config.architecture), "qwen2");
  EXPECT_EQ(config.head_dim, 16);  // absent
  EXPECT_TRUE(config.qkv_bias);
  EXPECT_FALSE(config.output_bias || config.mlp_bias);
  EXPECT_TRUE(config.tie_word_embeddings);
  EXPECT_EQ(config.window_of_layer(1), std::nullopt);
  EXPECT_EQ(config.bos_id, std::nullopt);
  EXPECT_TRUE(config.eos_ids.empty());
}

TEST(ModelConfig, KeepsQuantisationSettingsAsTheyAre) {
  const ModelConfig config = load_model_config(test::golden("mistral-tiny-bnb-nf4-dq"));
  EXPECT_EQ(config.dtype, DType::f16);
  EXPECT_EQ(config.quantization, golden_json("mistral-tiny-bnb-nf4-dq").at("quantization_config"));
  EXPECT_EQ(config.quantization.at("bnb_4bit_quant_type"), "nf4");
  EXPECT_EQ(load_model_config(test::golden("mistral-tiny-bnb-fp4"))
                .quantization.at("bnb_4bit_quant_type"),
            "fp4");
  EXPECT_EQ(load_model_config(test::golden("mistral-tiny-bnb-int8")).quantization["load_in_8bit"],
            true);
  EXPECT_EQ(load_model_config(test::golden("gpt2-tiny-bnb-nf4-dq")).quantization["load_in_4bit"],
            true);
}

TEST(ModelConfig, ReadsTheDemoModels) {
  const ModelConfig demo = load_model_config(test::source_path("models/demo"));
  EXPECT_EQ(demo.layers, 6);
  EXPECT_EQ(demo.sliding_window, 256);
  EXPECT_EQ(load_model_config(test::source_path("models/draft")).head_dim, 32);
  const ModelConfig gpt2 = load_model_config(test::source_path("models/gpt2-demo"));
  EXPECT_EQ(gpt2.max_positions, 1024);
  EXPECT_EQ(gpt2.bos_id, 0);
  EXPECT_EQ(gpt2.eos_ids, std::vector<int>{0});
}

// The key is missing, not null: transformers' classes then have values of their own.
TEST(ModelConfig, FillsInTransformersDefaults) {
  Json llama{{"model_type", "llama"},  {"vocab_size", 320},        {"hidden_size", 512},
             {"num_hidden_layers", 2}, {"num_attention_heads", 8}, {"intermediate_size", 96}};
  const ModelConfig a = parse(llama);
  EXPECT_EQ(a.kv_heads, 8);
  EXPECT_EQ(a.head_dim, 64);
  EXPECT_EQ(a.max_positions, 2048);
  EXPECT_EQ(a.norm_epsilon, 1e-6f);
  EXPECT_EQ(a.activation, Activation::silu);
  EXPECT_EQ(a.rope_theta, 10000);
  EXPECT_FALSE(a.tie_word_embeddings);
  EXPECT_EQ(a.bos_id, 1);
  EXPECT_EQ(a.eos_ids, std::vector<int>{2});
  EXPECT_EQ(a.dtype, std::nullopt);

  const ModelConfig b =
      parse(with(with(llama, "model_type", "mistral"), "num_attention_heads", 16));
  EXPECT_EQ(b.kv_heads, 8);
  EXPECT_EQ(b.sliding_window, 4096);
  EXPECT_EQ(b.max_positions, 131072);

  const ModelConfig c = parse(with(llama, "model_type", "qwen2"));
  EXPECT_EQ(c.kv_heads, 8);
  EXPECT_EQ(c.sliding_window, std::nullopt);
  EXPECT_EQ(c.max_positions, 32768);
  EXPECT_EQ(c.bos_id, std::nullopt);
  EXPECT_TRUE(c.eos_ids.empty());

  const ModelConfig d = parse(Json{{"model_type", "gpt2"},
                                   {"vocab_size", 50257},
                                   {"n_embd", 48},
                                   {"n_layer", 1},
                                   {"n_head", 4}});
  EXPECT_EQ(d.intermediate_size, 192);
  EXPECT_EQ(d.max_positions, 1024);
  EXPECT_EQ(d.norm_epsilon, 1e-5f);
  EXPECT_EQ(d.activation, Activation::gelu_tanh);
  EXPECT_TRUE(d.tie_word_embeddings);
  EXPECT_EQ(d.bos_id, 50256);
  EXPECT_EQ(d.eos_ids, std::vector<int>{50256});

  // null is a value: none.
  const Json mistral = golden_json("mistral-tiny");
  EXPECT_EQ(parse(with(mistral, "num_key_value_heads", nullptr)).kv_heads, 4);
  EXPECT_EQ(parse(with(mistral, "bos_token_id", nullptr)).bos_id, std::nullopt);
  EXPECT_TRUE(parse(with(mistral, "eos_token_id", nullptr)).eos_ids.empty());
  EXPECT_EQ(parse(with(mistral, "head_dim", nullptr)).head_dim, 32);
}

TEST(ModelConfig, TakesTheArchitectureFromTheClassWhenThereIsNoModelType) {
  const Json json = without(golden_json("qwen2-tiny"), "model_type");
  EXPECT_EQ(parse(json).architecture, Architecture::qwen2);
  EXPECT_EQ(parse(json).model_type, "qwen2");
  EXPECT_EQ(message(with(json, "architectures", {"BertForMaskedLM"})),
            R"(config.json: architectures: found "BertForMaskedLM", expected one of )"
            "GPT2LMHeadModel, LlamaForCausalLM, MistralForCausalLM, Qwen2ForCausalLM");
  EXPECT_EQ(message(without(json, "architectures")),
            "config.json: model_type: found nothing, expected one of gpt2, llama, mistral, qwen2");
  EXPECT_EQ(message(with(json, "model_type", "gemma\x1b")),
            R"(config.json: model_type: found "gemma\u001b", expected one of gpt2, llama, )"
            "mistral, qwen2");
}

TEST(ModelConfig, ReadsEndOfSequenceAsAnIdOrAList) {
  const Json json = golden_json("llama-tiny");
  EXPECT_EQ(parse(with(json, "eos_token_id", {5, 7, 5})).eos_ids, (std::vector<int>{5, 7}));
  EXPECT_EQ(message(with(json, "eos_token_id", "two")),
            R"(config.json: eos_token_id: found "two", expected an id, a list of ids or null)");
  EXPECT_EQ(message(with(json, "eos_token_id", {1, -1})),
            "config.json: eos_token_id: found -1, expected an integer from 0 to 2147483647");
  EXPECT_EQ(message(with(json, "bos_token_id", {1})),
            "config.json: bos_token_id: found an array of 1, expected an integer from 0 to "
            "2147483647");
}

TEST(ModelConfig, AddsTheEndOfSequenceIdsOfTheGenerationConfig) {
  const test::TemporaryFolder folder;
  const fs::path generation = folder.path() / "generation_config.json";
  test::write_file(folder.path() / "config.json", golden_json("llama-tiny").dump());
  EXPECT_EQ(load_model_config(folder.path()).eos_ids, std::vector<int>{2});
  test::write_file(generation, R"({"eos_token_id": [9, 2, 11]})");
  EXPECT_EQ(load_model_config(folder.path()).eos_ids, (std::vector<int>{2, 9, 11}));
  test::write_file(generation, R"({"eos_token_id": 2.5})");
  EXPECT_EQ(
      test::message_of<InputError>([&] { load_model_config(folder.path()); }),
      generation.string() + ": eos_token_id: found 2.5, expected an integer from 0 to 2147483647");
  test::write_file(generation, "[]");
  EXPECT_EQ(test::message_of<InputError>([&] { load_model_config(folder.path()); }),
            generation.string() + ": JSON: found an array of 0, expected an object");
}

TEST(ModelConfig, ReadsBiases) {
  const ModelConfig llama =
      parse(with(with(golden_json("llama-tiny"), "attention_bias", true), "mlp_bias", true));
  EXPECT_TRUE(llama.qkv_bias && llama.output_bias && llama.mlp_bias);
  // transformers' Mistral and Qwen2 have no such setting.
  const ModelConfig qwen2 = parse(with(golden_json("qwen2-tiny"), "attention_bias", false));
  EXPECT_TRUE(qwen2.qkv_bias);
  EXPECT_FALSE(qwen2.output_bias);
}

TEST(ModelConfig, ReadsActivationsByAllTheirNames) {
  const Json llama = golden_json("llama-tiny");
  const auto of = [&](const char* name) {
    return parse(with(llama, "hidden_act", name)).activation;
  };
  EXPECT_EQ(of("swish"), Activation::silu);
  EXPECT_EQ(of("gelu"), Activation::gelu);
  EXPECT_EQ(of("gelu_new"), Activation::gelu_tanh);
  EXPECT_EQ(of("gelu_pytorch_tanh"), Activation::gelu_tanh);
  EXPECT_EQ(message(with(golden_json("gpt2-tiny"), "activation_function", "mish")),
            R"(config.json: activation_function: found "mish", expected one of silu, swish, gelu, )"
            "gelu_python, gelu_new, gelu_fast, gelu_pytorch_tanh");
}

TEST(ModelConfig, ReadsDtypesInBothSpellings) {
  const Json json = without(golden_json("llama-tiny"), "dtype");
  EXPECT_EQ(parse(with(json, "torch_dtype", "float16")).dtype, DType::f16);
  EXPECT_EQ(parse(with(json, "torch_dtype", "torch.bfloat16")).dtype, DType::bf16);
  EXPECT_EQ(parse(with(json, "dtype", nullptr)).dtype, std::nullopt);
  EXPECT_EQ(message(with(json, "torch_dtype", "int4")),
            R"(config.json: torch_dtype: found "int4", expected float32, float16, bfloat16 or )"
            "float64");
}

TEST(ModelConfig, ReadsGpt2Switches) {
  Json json = golden_json("gpt2-tiny");
  json["n_inner"] = 100;
  json["scale_attn_weights"] = false;
  json["scale_attn_by_inverse_layer_idx"] = true;
  json["tie_word_embeddings"] = false;
  const ModelConfig config = parse(json);
  EXPECT_EQ(config.intermediate_size, 100);
  EXPECT_FALSE(config.scale_attn_weights);
  EXPECT_TRUE(config.scale_attn_by_inverse_layer_idx);
  EXPECT_FALSE(config.tie_word_embeddings);
  EXPECT_EQ(message(with(json, "add_cross_attention", true)),
            "config.json: add_cross_attention: found true, expected false: there is no encoder");
}

TEST(ModelConfig, GivesQwen2sWindowToTheLayersThatSlide) {
  Json json = golden_json("qwen2-tiny");
  json["sliding_window"] = 32;
  EXPECT_EQ(parse(json).window_of_layer(1), std::nullopt);  // use_sliding_window is false

  json["use_sliding_window"] = true;
  json["layer_types"] = {"sliding_attention", "full_attention"};
  EXPECT_EQ(parse(json).window_of_layer(0), 32);
  EXPECT_EQ(parse(json).window_of_layer(1), std::nullopt);

  json["layer_types"] = nullptr;
  EXPECT_EQ(parse(json).window_of_layer(1), std::nullopt);  // max_window_layers is 28
  json["max_window_layers"] = 1;
  EXPECT_EQ(parse(json).window_of_layer(0), std::nullopt);
  EXPECT_EQ(parse(json).window_of_layer(1), 32);
  EXPECT_THROW(parse(json).window_of_layer(2), InternalError);
  EXPECT_EQ(parse(without(json, "sliding_window")).window_of_layer(1), 4096);
}

TEST(ModelConfig, RefusesLayerTypesThatDoNotFit) {
  const Json json = golden_json("qwen2-tiny");
  EXPECT_EQ(message(with(json, "layer_types", {"full_attention"})),
            "config.json: layer_types: found an array of 1, expected one for each of 2 layers");
  EXPECT_EQ(message(with(json, "layer_types", {"full_attention", "chunked"})),
            R"(config.json: layer_types: found "chunked", expected full_attention or )"
            "sliding_attention");
  EXPECT_EQ(message(with(json, "layer_types", {"full_attention", "sliding_attention"})),
            "config.json: layer_types: found sliding_attention without a window, expected "
            "use_sliding_window true and a sliding_window");
}

TEST(ModelConfig, LlamaHasNoWindow) {
  EXPECT_EQ(parse(with(golden_json("llama-tiny"), "sliding_window", 8)).window_of_layer(0),
            std::nullopt);
}

}  // namespace
}  // namespace plimsoll
