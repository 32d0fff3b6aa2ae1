#include "storage/model_config.h"

#include <algorithm>
#include <array>
#include <utility>

#include "storage/atomic_file.h"
#include "storage/json.h"
#include "storage/rope_config.h"

namespace plimsoll {

namespace {

constexpr std::int64_t kLargestCount = std::int64_t{1} << 31;
constexpr std::int64_t kMostLayers = 4096;
constexpr std::int64_t kWidestHead = 256;
constexpr std::int64_t kLargestId = kLargestCount - 1;

constexpr std::array<std::string_view, 4> kArchitectureNames{"gpt2", "llama", "mistral", "qwen2"};
constexpr std::array<std::string_view, 4> kClassNames{"GPT2LMHeadModel", "LlamaForCausalLM",
                                                      "MistralForCausalLM", "Qwen2ForCausalLM"};

/// What transformers' config class fills in for a key that the file lacks. (For a key that is null
/// it fills in nothing.)
struct Defaults {
  std::int64_t max_positions;
  std::optional<std::int64_t> kv_heads;  // none: as many as heads
  double norm_epsilon;
  std::optional<std::int64_t> sliding_window;
  bool tie_word_embeddings;
  std::optional<int> bos_id;
  std::optional<int> eos_id;
};

const Defaults& defaults_of(Architecture architecture) {
  static const std::array<Defaults, 4> kDefaults{{
      {1024, {}, 1e-5, {}, true, 50256, 50256},  // GPT2Config
      {2048, {}, 1e-6, {}, false, 1, 2},         // LlamaConfig
      {4096 * 32, 8, 1e-6, 4096, false, 1, 2},   // MistralConfig
      {32768, {}, 1e-6, 4096, false, {}, {}},    // Qwen2Config
  }};
  return kDefaults[static_cast<std::size_t>(architecture)];
}

/// The class must not be another family's, nor one that is no language model (a classifier's head
/// would be missing, or taken for ours).
void refuse_other_class(const std::string& name, Architecture architecture,
                        const std::string& file) {
  const auto known = std::find(kClassNames.begin(), kClassNames.end(), name);
  const bool another = known != kClassNames.end() &&
                       known - kClassNames.begin() != static_cast<std::ptrdiff_t>(architecture);
  const bool language_model =
      name.ends_with("ForCausalLM") || name.ends_with("LMHeadModel") || name.ends_with("Model");
  if (another || !language_model) {
    throw InputError(file, "architectures", quote(name),
                     fmt::format("\"{}\", as model_type says (known: {})",
                                 kClassNames[static_cast<std::size_t>(architecture)],
                                 fmt::join(kClassNames, ", ")));
  }
}

Architecture find_architecture(const Json& json, const std::string& file) {
  const auto position = [](const auto& names, const std::string& name, const std::string& where,
                           std::string_view field) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) {
      throw InputError(where, field, quote(name), fmt::format("one of {}", fmt::join(names, ", ")));
    }
    return static_cast<Architecture>(found - names.begin());
  };
  const Json* classes = find_array(json, "architectures", file);
  if (const auto model_type = find_string(json, "model_type", file)) {
    const Architecture architecture = position(kArchitectureNames, *model_type, file, "model_type");
    if (classes != nullptr && !classes->empty()) {
      refuse_other_class(string_value(classes->front(), "architectures", file), architecture, file);
    }
    return architecture;
  }
  if (classes == nullptr || classes->empty()) {
    throw InputError(file, "model_type", "nothing",
                     fmt::format("one of {}", fmt::join(kArchitectureNames, ", ")));
  }
  return position(kClassNames, string_value(classes->front(), "architectures", file), file,
                  "architectures");
}

Activation find_activation(const Json& json, std::string_view field, const std::string& file,
                           std::string_view fallback) {
  // Names of transformers' ACT2FN.
  static constexpr std::array<std::pair<std::string_view, Activation>, 7> kKnown{{
      {"silu", Activation::silu},
      {"swish", Activation::silu},
      {"gelu", Activation::gelu},
      {"gelu_python", Activation::gelu},
      {"gelu_new", Activation::gelu_tanh},
      {"gelu_fast", Activation::gelu_tanh},
      {"gelu_pytorch_tanh", Activation::gelu_tanh},
  }};
  const std::string name = find_string(json, field, file).value_or(std::string(fallback));
  std::string names;
  for (const auto& [known, activation] : kKnown) {
    if (name == known) return activation;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", known);
  }
  throw InputError(file, field, quote(name), "one of " + names);
}

std::optional<DType> find_dtype(const Json& json, const std::string& file) {
  static constexpr std::array<std::pair<std::string_view, DType>, 4> kKnown{{
      {"float32", DType::f32},
      {"float16", DType::f16},
      {"bfloat16", DType::bf16},
      {"float64", DType::f64},
  }};
  // transformers 5 and 4.
  const std::string_view field = find_field(json, "dtype") != nullptr ? "dtype" : "torch_dtype";
  const std::optional<std::string> name = find_string(json, field, file);
  if (!name) return std::nullopt;
  constexpr std::string_view kPrefix = "torch.";
  const bool prefixed = name->starts_with(kPrefix);
  const std::string_view bare = std::string_view(*name).substr(prefixed ? kPrefix.size() : 0);
  for (const auto& [known, dtype] : kKnown) {
    if (bare == known) return dtype;
  }
  throw InputError(file, field, quote(*name), "float32, float16, bfloat16 or float64");
}

/// An id, a list of ids, or null. An absent field leaves `ids` alone.
void read_ids(const Json& json, std::string_view field, const std::string& file,
              std::vector<int>& ids) {
  const auto add = [&](const Json& value) {
    const auto id = static_cast<int>(int_value(value, field, file, 0, kLargestId));
    if (std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
  };
  const Json* value = find_field(json, field);
  if (value == nullptr) return;
  if (value->is_array()) {
    for (const Json& id : *value) add(id);
  } else if (value->is_number()) {
    add(*value);
  } else {
    throw InputError(file, field, describe(*value), "an id, a list of ids or null");
  }
}

void read_special_ids(const Json& json, const std::string& file, ModelConfig& config) {
  const Defaults& defaults = defaults_of(config.architecture);
  if (json.contains("bos_token_id")) {
    const auto id = find_int(json, "bos_token_id", file, 0, kLargestId);
    if (id) config.bos_id = static_cast<int>(*id);
  } else {
    config.bos_id = defaults.bos_id;
  }
  if (json.contains("eos_token_id")) {
    read_ids(json, "eos_token_id", file, config.eos_ids);
  } else if (defaults.eos_id) {
    config.eos_ids = {*defaults.eos_id};
  }
}

std::int64_t require_count(const Json& json, std::string_view field, const std::string& file,
                           std::int64_t most = kLargestCount) {
  return require_int(json, field, file, 1, most);
}

void read_epsilon(const Json& json, std::string_view field, const std::string& file,
                  ModelConfig& config) {
  const double fallback = defaults_of(config.architecture).norm_epsilon;
  const double epsilon = find_number(json, field, file, 0, 1).value_or(fallback);
  config.norm_epsilon = static_cast<float>(epsilon);
  if (config.norm_epsilon <= 0) {
    throw InputError(file, field, fmt::format("{}", epsilon), "a number above 0");
  }
}

void read_gpt2(const Json& json, const std::string& file, ModelConfig& config) {
  config.hidden_size = require_count(json, "n_embd", file);
  config.layers = require_count(json, "n_layer", file, kMostLayers);
  config.heads = require_count(json, "n_head", file);
  if (config.hidden_size % config.heads != 0) {
    throw InputError(file, "n_embd", fmt::format("{}", config.hidden_size),
                     fmt::format("a multiple of the {} of n_head", config.heads));
  }
  config.kv_heads = config.heads;
  config.head_dim = config.hidden_size / config.heads;
  config.intermediate_size =
      find_int(json, "n_inner", file, 1, kLargestCount).value_or(4 * config.hidden_size);
  config.max_positions = find_int(json, "n_positions", file, 1, kLargestCount)
                             .value_or(defaults_of(config.architecture).max_positions);
  read_epsilon(json, "layer_norm_epsilon", file, config);
  config.activation = find_activation(json, "activation_function", file, "gelu_new");
  config.qkv_bias = config.output_bias = config.mlp_bias = true;
  config.scale_attn_weights = find_bool(json, "scale_attn_weights", file).value_or(true);
  config.scale_attn_by_inverse_layer_idx =
      find_bool(json, "scale_attn_by_inverse_layer_idx", file).value_or(false);
  if (find_bool(json, "add_cross_attention", file).value_or(false)) {
    throw InputError(file, "add_cross_attention", "true", "false: there is no encoder");
  }
}

void read_heads(const Json& json, const std::string& file, ModelConfig& config) {
  config.heads = require_count(json, "num_attention_heads", file);
  const std::optional<std::int64_t> kv_heads =
      json.contains("num_key_value_heads")
          ? find_int(json, "num_key_value_heads", file, 1, kLargestCount)
          : defaults_of(config.architecture).kv_heads;
  config.kv_heads = kv_heads.value_or(config.heads);
  if (config.heads % config.kv_heads != 0) {
    throw InputError(file, "num_key_value_heads", fmt::format("{}", config.kv_heads),
                     fmt::format("a divisor of the {} of num_attention_heads", config.heads));
  }
  if (const auto head_dim = find_int(json, "head_dim", file, 1, kWidestHead)) {
    config.head_dim = *head_dim;
  } else if (config.hidden_size % config.heads == 0) {
    config.head_dim = config.hidden_size / config.heads;
  } else {
    throw InputError(file, "hidden_size", fmt::format("{}", config.hidden_size),
                     fmt::format("a multiple of the {} of num_attention_heads, as there is no "
                                 "head_dim",
                                 config.heads));
  }
  if (config.head_dim % 2 != 0) {
    throw InputError(file, "head_dim", fmt::format("{}", config.head_dim),
                     "an even number: rotary positions turn pairs");
  }
}

/// Which layers slide (Qwen2): those that layer_types says, or those from max_window_layers on.
std::vector<bool> read_layer_slides(const Json& json, const std::string& file,
                                    const ModelConfig& config) {
  std::vector<bool> slides;
  if (const Json* types = find_array(json, "layer_types", file)) {
    if (static_cast<std::int64_t>(types->size()) != config.layers) {
      throw InputError(file, "layer_types", describe(*types),
                       fmt::format("one for each of {} layers", config.layers));
    }
    for (const Json& type : *types) {
      const std::string& name = string_value(type, "layer_types", file);
      if (name != "full_attention" && name != "sliding_attention") {
        throw InputError(file, "layer_types", quote(name), "full_attention or sliding_attention");
      }
      slides.push_back(name == "sliding_attention");
    }
    return slides;
  }
  constexpr std::int64_t kDefaultFirst = 28;
  const std::int64_t first =
      find_int(json, "max_window_layers", file, 0, kLargestCount).value_or(kDefaultFirst);
  for (std::int64_t layer = 0; layer < config.layers; ++layer) {
    slides.push_back(config.sliding_window.has_value() && layer >= first);
  }
  return slides;
}

void read_window(const Json& json, const std::string& file, ModelConfig& config) {
  const bool is_qwen2 = config.architecture == Architecture::qwen2;
  // LlamaConfig has no such field: transformers ignores it there, and so do the weights' authors.
  if (!is_qwen2 && config.architecture != Architecture::mistral) return;
  config.sliding_window = json.contains("sliding_window")
                              ? find_int(json, "sliding_window", file, 1, kLargestCount)
                              : defaults_of(config.architecture).sliding_window;
  if (!is_qwen2) return;
  if (!find_bool(json, "use_sliding_window", file).value_or(false)) config.sliding_window.reset();
  config.layer_slides = read_layer_slides(json, file, config);
  const bool any = std::find(config.layer_slides.begin(), config.layer_slides.end(), true) !=
                   config.layer_slides.end();
  if (any && !config.sliding_window) {
    throw InputError(file, "layer_types", "sliding_attention without a window",
                     "use_sliding_window true and a sliding_window");
  }
}

void read_llama_family(const Json& json, const std::string& file, ModelConfig& config) {
  config.hidden_size = require_count(json, "hidden_size", file);
  config.layers = require_count(json, "num_hidden_layers", file, kMostLayers);
  config.intermediate_size = require_count(json, "intermediate_size", file);
  read_heads(json, file, config);
  config.max_positions = find_int(json, "max_position_embeddings", file, 1, kLargestCount)
                             .value_or(defaults_of(config.architecture).max_positions);
  read_epsilon(json, "rms_norm_eps", file, config);
  config.activation = find_activation(json, "hidden_act", file, "silu");
  const RopeConfig rope = parse_rope_config(json, file);
  config.rope_theta = rope.theta;
  config.rope_scaling = rope.scaling;
  read_window(json, file, config);
  if (config.architecture == Architecture::llama) {
    config.qkv_bias = config.output_bias = find_bool(json, "attention_bias", file).value_or(false);
    config.mlp_bias = find_bool(json, "mlp_bias", file).value_or(false);
  } else {
    config.qkv_bias = config.architecture == Architecture::qwen2;
  }
}

}  // namespace

std::string_view architecture_name(Architecture architecture) {
  return kArchitectureNames[static_cast<std::size_t>(architecture)];
}

std::optional<std::int64_t> ModelConfig::window_of_layer(std::int64_t layer) const {
  PLIMSOLL_CHECK(0 <= layer && layer < layers, "layer {} of {}", layer, layers);
  const bool slides = layer_slides.empty() || layer_slides[static_cast<std::size_t>(layer)];
  return slides ? sliding_window : std::nullopt;
}

ModelConfig parse_model_config(const std::string& json_text, const std::string& file_name) {
  const Json json = parse_json(json_text, file_name);
  if (!json.is_object()) throw InputError(file_name, "JSON", describe(json), "an object");

  ModelConfig config;
  config.architecture = find_architecture(json, file_name);
  config.model_type = architecture_name(config.architecture);
  config.vocab_size = require_count(json, "vocab_size", file_name);
  if (config.architecture == Architecture::gpt2) {
    read_gpt2(json, file_name, config);
  } else {
    read_llama_family(json, file_name, config);
  }
  if (config.head_dim > kWidestHead) {
    throw InputError(file_name, "head_dim", fmt::format("{}", config.head_dim),
                     fmt::format("at most {}", kWidestHead));
  }
  config.tie_word_embeddings = find_bool(json, "tie_word_embeddings", file_name)
                                   .value_or(defaults_of(config.architecture).tie_word_embeddings);
  read_special_ids(json, file_name, config);
  config.dtype = find_dtype(json, file_name);
  if (const Json* quantization = find_object(json, "quantization_config", file_name)) {
    config.quantization = *quantization;
  }
  return config;
}

ModelConfig load_model_config(const std::filesystem::path& directory) {
  const std::filesystem::path file = directory / "config.json";
  ModelConfig config = parse_model_config(read_text_file(file), file.string());
  // AutoGPTQ keeps what is quantization_config elsewhere in a file of its own.
  const std::filesystem::path gptq_file = directory / "quantize_config.json";
  if (config.quantization.is_null() && std::filesystem::exists(gptq_file)) {
    config.quantization = read_json_file(gptq_file);
    if (!config.quantization.is_object()) {
      throw InputError(gptq_file.string(), "JSON", describe(config.quantization), "an object");
    }
    config.quantization["quant_method"] = "gptq";
  }
  const std::filesystem::path generation_file = directory / "generation_config.json";
  if (std::filesystem::exists(generation_file)) {
    const Json generation = read_json_file(generation_file);
    if (!generation.is_object()) {
      throw InputError(generation_file.string(), "JSON", describe(generation), "an object");
    }
    read_ids(generation, "eos_token_id", generation_file.string(), config.eos_ids);
  }
  return config;
}

}  // namespace plimsoll
