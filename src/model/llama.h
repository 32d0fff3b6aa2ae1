// What a Llama consists of, for those who go through its layers themselves (training).
#pragma once

#include <vector>

#include "ops/linear.h"

namespace plimsoll {

struct LlamaLayer {
  Tensor input_norm;
  ops::Linear q_proj, k_proj, v_proj, o_proj;
  Tensor post_attention_norm;
  ops::Linear gate_proj, up_proj, down_proj;
};

/// Handles: they share the model's storage.
struct LlamaWeights {
  quant::Matrix embedding;
  std::vector<LlamaLayer> layers;
  Tensor norm;
  ops::Linear head;
  std::vector<float> frequencies;  // rotary, one a pair of a head's elements
};

class HasLlamaWeights {
 public:
  virtual ~HasLlamaWeights() = default;
  virtual LlamaWeights llama_weights() const = 0;
};

}  // namespace plimsoll
