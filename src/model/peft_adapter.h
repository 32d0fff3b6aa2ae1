// LoRA adapters (arXiv:2106.09685) as PEFT stores them, both ways:
//
//   adapter_config.json           r, lora_alpha, target_modules, base_model_name_or_path, ...
//   adapter_model.safetensors     base_model.model.MODULE.lora_A.weight  [r, in]
//                                 base_model.model.MODULE.lora_B.weight  [out, r]
//
// The layer then computes W x + (lora_alpha / r) B A x; GPT-2's Conv1D layers have the same A and B
// and say fan_in_fan_out.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "model/model.h"

namespace plimsoll {

struct AdapterConfig {
  std::string base;  // the model it was made for, as its maker called it
  std::int64_t rank = 16;
  double alpha = 32;
  double dropout = 0;
  std::vector<std::string> targets;  // names of modules: "q_proj"
  bool fan_in_fan_out = false;
  bool rank_stabilised =
      false;  // scaled by alpha / sqrt(rank) (arXiv:2312.03732), not alpha / rank

  /// Of B A x, for a layer of that rank and alpha.
  float scale(std::int64_t layer_rank, double layer_alpha) const;
};

struct AdapterLayer {
  std::string module;  // "model.layers.0.mlp.up_proj"
  Tensor a;            // f32 [rank, in]
  Tensor b;            // f32 [out, rank]
  float scale = 1;     // of B A x
};

struct Adapter {
  std::filesystem::path folder;
  AdapterConfig config;
  std::vector<AdapterLayer> layers;  // by module
};

/// InputError naming file and field when there is no adapter, when it is of another kind than LoRA
/// on linear layers (DoRA, biases, whole modules), or when a tensor is missing or wrongly shaped.
Adapter load_adapter(const std::filesystem::path& folder);

/// A model's linear layers by name.
using LinearsByName = std::map<std::string, ops::Linear*>;

/// Every layer of the adapter is added to its linear layer, `weight` times as strong. InputError
/// naming both the adapter's base and `model_name` when a layer is not there or has another shape.
void attach_adapter(Model& model, const std::string& model_name, const Adapter& adapter,
                    float weight);
void attach_adapter(const LinearsByName& linears, const std::string& model_name,
                    const Adapter& adapter, float weight);

/// Writes both files into `folder`, which must exist, so that PEFT loads it as it is. Each file
/// appears whole or not at all. Layers of another rank or scale than the config's become entries of
/// rank_pattern and alpha_pattern.
void save_adapter(const std::filesystem::path& folder, const AdapterConfig& config,
                  const std::vector<AdapterLayer>& layers);

}  // namespace plimsoll
