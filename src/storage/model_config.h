// What config.json says about a model, with the defaults of Hugging Face transformers, checked:
// whoever holds a ModelConfig need not doubt a field.
#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.h"

namespace plimsoll {

enum class Architecture { gpt2, llama, mistral, qwen2 };
/// "gpt2", "llama", "mistral", "qwen2": config.json's model_type.
std::string_view architecture_name(Architecture architecture);

/// gelu is the exact one (erf), gelu_tanh its approximation (gelu_new, gelu_pytorch_tanh).
enum class Activation { silu, gelu, gelu_tanh };

/// How rotary frequencies theta^(-2i/d) are stretched for longer contexts. All other types that
/// transformers knows are refused.
struct RopeScaling {
  enum class Type {
    none,
    linear,  // divided by `factor`
    llama3,  // divided by `factor` where the wavelength exceeds original_max_positions /
             // low_freq_factor, kept where it is below original_max_positions / high_freq_factor,
             // and interpolated between (transformers' _compute_llama3_parameters)
  };
  Type type = Type::none;
  double factor = 1;           // >= 1
  double low_freq_factor = 1;  // 0 < low < high
  double high_freq_factor = 4;
  std::int64_t original_max_positions = 0;
};

struct ModelConfig {
  Architecture architecture = Architecture::llama;
  std::string model_type;  // as in the file

  std::int64_t vocab_size = 0;
  std::int64_t hidden_size = 0;
  std::int64_t layers = 0;
  std::int64_t heads = 0;
  std::int64_t kv_heads = 0;  // divides heads
  std::int64_t head_dim = 0;  // at most 256; even where there is RoPE. heads * head_dim may differ
                              // from hidden_size
  std::int64_t intermediate_size = 0;
  std::int64_t max_positions = 0;

  float norm_epsilon = 0;
  Activation activation = Activation::silu;
  double rope_theta = 10000;  // not used by GPT-2
  RopeScaling rope_scaling;

  /// Keys that a query sees at most, itself included (transformers: key > query - window); none:
  /// all. It may hold for some layers only: ask window_of_layer().
  std::optional<std::int64_t> sliding_window;
  std::optional<std::int64_t> window_of_layer(std::int64_t layer) const;
  /// Per layer, whether sliding_window holds for it; empty: for all (all but Qwen2).
  std::vector<bool> layer_slides;

  bool tie_word_embeddings = false;
  bool qkv_bias = false;
  bool output_bias = false;  // of the attention's output projection
  bool mlp_bias = false;

  // GPT-2 only. Scores are divided by sqrt(head_dim), and by (layer + 1) besides.
  bool scale_attn_weights = true;
  bool scale_attn_by_inverse_layer_idx = false;

  std::optional<int> bos_id;
  std::vector<int> eos_ids;     // without repeats; may be empty
  std::optional<DType> dtype;   // that of the weights before any quantisation: f64, f32, f16, bf16
  nlohmann::json quantization;  // quantization_config, an object; null when absent
};

/// InputError naming `file_name`, the field, what was found and what was expected.
ModelConfig parse_model_config(const std::string& json_text, const std::string& file_name);

/// DIRECTORY/config.json, with the end-of-sequence ids of generation_config.json, where there is
/// one, added to it; AutoGPTQ's quantize_config.json stands in for a missing quantization_config.
ModelConfig load_model_config(const std::filesystem::path& directory);

}  // namespace plimsoll
