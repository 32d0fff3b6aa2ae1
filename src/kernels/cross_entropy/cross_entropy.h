// The loss of language models with its gradient: -log softmax(logits)[target], row by row.
#pragma once

#include <cstdint>

namespace plimsoll::kernels {

struct CrossEntropyArgs {
  float* logits = nullptr;  // [rows, vocab]; with `weight`, replaced by the gradient
  std::int64_t rows = 0;
  std::int64_t vocab = 0;
  const std::int32_t* targets = nullptr;  // [rows], each in [0, vocab)
  double* losses = nullptr;               // [rows], nats; written
  /// The gradient that each row's loss has; 0: losses only, the logits are left alone.
  float weight = 0;
};

/// losses = log(sum(exp(logits))) - logits[target];  logits = weight * (softmax(logits) - one_hot).
void cross_entropy(const CrossEntropyArgs& args);

}  // namespace plimsoll::kernels
