// Which weight format each matrix of a model gets.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "model/weight_loader.h"
#include "quant/codec.h"
#include "storage/model_config.h"

namespace plimsoll {

struct WeightPlan {
  /// As stored, when absent. A dense format holds for every matrix, a quantised one for the linear
  /// layers but the head. Not gptq or int8_static, which need calibration (compress/).
  std::optional<quant::WeightFormat> format;
  quant::EncodeOptions encode;
  /// What holds for int8 instead of what a quantised checkpoint says. (Its codes are the same with
  /// any threshold.) For what is encoded, `encode` says it.
  std::optional<float> outlier_threshold;
  std::optional<bool> outliers_by_batch;
  /// Linear layers that keep their dtype, and layers (the head) that are quantised all the same. A
  /// pattern names a module ("lm_head", "model.layers.0.mlp.up_proj") or one of its parts
  /// ("up_proj").
  std::vector<std::string> skip, include;
  /// Linear layers are rearranged for the kernels one by one (ops::pack): the model is to be run,
  /// not saved.
  bool pack = false;

  /// Whether a quantised format holds for this layer.
  bool quantizes(const LinearSpec& spec) const;
};

/// Every linear layer that has weights of its own, in the order of computation.
std::vector<LinearSpec> linear_layers(const ModelConfig& config);

/// InputError when the plan cannot be meant for the dense model of `config`: a pattern of skip or
/// include that no linear layer has (listing them), nothing left to quantise, a layer that the
/// format cannot hold (naming it). Nothing to say about dense formats.
void check_plan(const WeightPlan& plan, const ModelConfig& config);

}  // namespace plimsoll
