#include "model/peft_adapter.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "storage/atomic_file.h"
#include "storage/json.h"
#include "storage/safetensors.h"
#include "storage/safetensors_writer.h"

namespace plimsoll {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::string_view kA = ".lora_A.weight";
constexpr std::string_view kB = ".lora_B.weight";

/// What we do not compute and therefore refuse: a field and the values that mean "not used".
void refuse_other_kinds(const Json& json, const std::string& where) {
  const std::string type = require_string(json, "peft_type", where);
  if (type != "LORA") throw InputError(where, "peft_type", quote(type), "\"LORA\"");
  const std::string bias = find_string(json, "bias", where).value_or("none");
  if (bias != "none") throw InputError(where, "bias", quote(bias), "\"none\"");
  constexpr std::array kFlags{"use_dora", "lora_bias", "use_qalora", "use_bdlora"};
  for (const char* flag : kFlags) {
    if (find_bool(json, flag, where).value_or(false))
      throw InputError(where, flag, "true", "false: plain LoRA");
  }
  constexpr std::array kObjects{"modules_to_save", "layer_replication", "trainable_token_indices",
                                "target_parameters"};
  for (const char* field : kObjects) {
    const Json* value = find_field(json, field);
    if (value != nullptr && !value->empty())
      throw InputError(where, field, describe(*value), "null: LoRA on linear layers alone");
  }
}

/// rank_pattern and alpha_pattern: module names, or their ends. PEFT allows regular expressions;
/// those are refused rather than misread.
double patterned(const Json& json, const char* field, const std::string& module, double otherwise,
                 const std::string& where) {
  const Json* pattern = find_object(json, field, where);
  if (pattern == nullptr) return otherwise;
  for (const auto& [key, value] : pattern->items()) {
    if (key.find_first_of("*+?()[]{}|^$\\") != std::string::npos)
      throw InputError(where, field, quote(key), "module names without regular expressions");
    const std::string end = "." + key;
    if (module == key || module.ends_with(end))
      return number_value(value, key, where + ": " + field, 0);
  }
  return otherwise;
}

AdapterConfig parse_config(const Json& json, const std::string& where) {
  AdapterConfig config;
  config.base = find_string(json, "base_model_name_or_path", where).value_or("an unnamed model");
  config.rank = require_int(json, "r", where, 1, 1 << 16);
  config.alpha = require_number(json, "lora_alpha", where);
  config.dropout = find_number(json, "lora_dropout", where, 0, 1).value_or(0);
  config.fan_in_fan_out = find_bool(json, "fan_in_fan_out", where).value_or(false);
  config.rank_stabilised = find_bool(json, "use_rslora", where).value_or(false);
  if (const Json* targets = find_field(json, "target_modules"); targets != nullptr) {
    if (targets->is_string()) {
      config.targets.push_back(targets->get<std::string>());
    } else {
      for (const Json& target : array_value(*targets, "target_modules", where))
        config.targets.push_back(string_value(target, "target_modules", where));
    }
  }
  return config;
}

Tensor floats(const SafetensorsFile& file, const std::string& name) {
  const TensorInfo& info = file.info(name);
  if (info.shape.size() != 2)
    throw InputError(file.path().string(), name, "shape " + to_string(info.shape), "a matrix");
  if (info.dtype != DType::f32 && info.dtype != DType::f16 && info.dtype != DType::bf16) {
    throw InputError(file.path().string(), name, fmt::format("dtype {}", dtype_name(info.dtype)),
                     "F32, F16 or BF16");
  }
  return converted(file.tensor(name), DType::f32);
}

quant::Matrix as_matrix(const Tensor& values) {
  quant::Matrix matrix;
  matrix.codes = values;
  matrix.rows = values.dim(0);
  matrix.columns = values.dim(1);
  matrix.source_dtype = DType::f32;
  return matrix;
}

double divisor_of(const AdapterConfig& config, std::int64_t rank) {
  const auto divisor = static_cast<double>(rank);
  return config.rank_stabilised ? std::sqrt(divisor) : divisor;
}

}  // namespace

float AdapterConfig::scale(std::int64_t layer_rank, double layer_alpha) const {
  return static_cast<float>(layer_alpha / divisor_of(*this, layer_rank));
}

Adapter load_adapter(const fs::path& folder) {
  const fs::path config_file = folder / "adapter_config.json";
  if (!fs::exists(config_file)) {
    throw InputError(folder.string(), "adapter", "no adapter_config.json",
                     "a folder with a PEFT adapter");
  }
  const std::string where = config_file.string();
  const Json json = read_json_file(config_file);
  object_value(json, "the file", where);
  refuse_other_kinds(json, where);
  Adapter adapter{folder, parse_config(json, where), {}};

  const SafetensorsFile file = SafetensorsFile::open(folder / "adapter_model.safetensors");
  for (const auto& [name, info] : file.tensors()) {
    const bool is_a = name.ends_with(kA);
    if (!name.starts_with(kPrefix) || !(is_a || name.ends_with(kB))) {
      throw InputError(file.path().string(), name, "a tensor of another kind",
                       "base_model.model.MODULE.lora_A.weight and .lora_B.weight");
    }
    const std::string module =
        name.substr(kPrefix.size(), name.size() - kPrefix.size() - (is_a ? kA : kB).size());
    const std::string stem = std::string(kPrefix) + module;
    if (!is_a) {
      file.info(stem + std::string(kA));  // there must be one
      continue;
    }
    AdapterLayer layer{module, floats(file, name), floats(file, stem + std::string(kB)), 1};
    const auto rank = static_cast<std::int64_t>(
        patterned(json, "rank_pattern", module, static_cast<double>(adapter.config.rank), where));
    if (layer.a.dim(0) != rank || layer.b.dim(1) != rank) {
      throw InputError(
          file.path().string(), stem,
          fmt::format("A {}, B {}", to_string(layer.a.shape()), to_string(layer.b.shape())),
          fmt::format("rank {}", rank));
    }
    const double alpha = patterned(json, "alpha_pattern", module, adapter.config.alpha, where);
    layer.scale = adapter.config.scale(rank, alpha);
    adapter.layers.push_back(std::move(layer));
  }
  if (adapter.layers.empty())
    throw InputError(file.path().string(), "tensors", "none", "lora_A and lora_B matrices");
  return adapter;
}

void attach_adapter(Model& model, const std::string& model_name, const Adapter& adapter,
                    float weight) {
  LinearsByName linears;
  model.visit_linears([&](ops::Linear& layer) { linears.emplace(layer.name, &layer); });
  attach_adapter(linears, model_name, adapter, weight);
  for (const AdapterLayer& layer : adapter.layers)
    model.replace_weight_bytes(0, static_cast<std::int64_t>(layer.a.bytes() + layer.b.bytes()));
}

void attach_adapter(const LinearsByName& linears, const std::string& model_name,
                    const Adapter& adapter, float weight) {
  const auto misfit = [&](const AdapterLayer& layer, const std::string& found) {
    throw InputError(adapter.folder.string(), "adapter of " + quote(adapter.config.base),
                     layer.module + " " + found, "layers of " + model_name);
  };
  for (const AdapterLayer& layer : adapter.layers) {
    const auto at = linears.find(layer.module);
    if (at == linears.end()) misfit(layer, "which the model has not");
    const quant::Matrix& w = at->second->weight;
    if (layer.a.dim(1) != w.columns || layer.b.dim(0) != w.rows) {
      misfit(layer, fmt::format("[{}, {}] where the model has [{}, {}]", layer.b.dim(0),
                                layer.a.dim(1), w.rows, w.columns));
    }
  }
  for (const AdapterLayer& layer : adapter.layers) {
    linears.at(layer.module)
        ->adapters.push_back(
            {as_matrix(layer.a.clone()), as_matrix(layer.b.clone()), layer.scale * weight});
  }
}

void save_adapter(const fs::path& folder, const AdapterConfig& config,
                  const std::vector<AdapterLayer>& layers) {
  std::map<std::string, Tensor> tensors;
  auto ranks = nlohmann::ordered_json::object(), alphas = nlohmann::ordered_json::object();
  for (const AdapterLayer& layer : layers) {
    const std::int64_t rank = layer.a.dim(0);
    PLIMSOLL_CHECK(layer.b.dim(1) == rank);
    if (rank != config.rank) ranks[layer.module] = rank;
    if (layer.scale != config.scale(rank, config.alpha))
      alphas[layer.module] = layer.scale * divisor_of(config, rank);
    const std::string stem = std::string(kPrefix) + layer.module;
    tensors.emplace(stem + std::string(kA), layer.a);
    tensors.emplace(stem + std::string(kB), layer.b);
  }
  TensorSpecs specs;
  for (const auto& [name, tensor] : tensors) specs.push_back({name, {DType::f32, tensor.shape()}});
  SafetensorsWriter writer(folder / "adapter_model.safetensors", specs, {{"format", "pt"}});
  for (const auto& [name, tensor] : tensors) writer.write(name, tensor);
  writer.finish();
  const nlohmann::ordered_json json{{"alpha_pattern", alphas},
                                    {"base_model_name_or_path", config.base},
                                    {"bias", "none"},
                                    {"fan_in_fan_out", config.fan_in_fan_out},
                                    {"inference_mode", true},
                                    {"init_lora_weights", true},
                                    {"layers_pattern", nullptr},
                                    {"layers_to_transform", nullptr},
                                    {"lora_alpha", config.alpha},
                                    {"lora_dropout", config.dropout},
                                    {"modules_to_save", nullptr},
                                    {"peft_type", "LORA"},
                                    {"r", config.rank},
                                    {"rank_pattern", ranks},
                                    {"revision", nullptr},
                                    {"target_modules", config.targets},
                                    {"task_type", "CAUSAL_LM"},
                                    {"use_dora", false},
                                    {"use_rslora", config.rank_stabilised}};
  write_file_atomically(folder / "adapter_config.json", json.dump(2) + "\n");
}

}  // namespace plimsoll
