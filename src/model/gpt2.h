// What a GPT-2 consists of, for those who go through its layers themselves (training).
#pragma once

#include <vector>

#include "ops/linear.h"
#include "storage/model_config.h"

namespace plimsoll {

struct Gpt2Layer {
  Tensor ln_1_weight, ln_1_bias;
  ops::Linear c_attn, c_proj;
  Tensor ln_2_weight, ln_2_bias;
  ops::Linear mlp_c_fc, mlp_c_proj;
};

/// Handles: they share the model's storage.
struct Gpt2Weights {
  quant::Matrix wte, wpe;
  std::vector<Gpt2Layer> layers;
  Tensor ln_f_weight, ln_f_bias;
  ops::Linear head;
};

class HasGpt2Weights {
 public:
  virtual ~HasGpt2Weights() = default;
  virtual Gpt2Weights gpt2_weights() const = 0;
};

/// What layer `layer` multiplies its scores by.
float gpt2_score_scale(const ModelConfig& config, std::int64_t layer);

}  // namespace plimsoll
