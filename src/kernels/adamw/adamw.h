// One step of AdamW (arXiv:1711.05101) in the form and order of torch.optim.AdamW.
#pragma once

#include <cstdint>

namespace plimsoll::kernels {

struct AdamWArgs {
  float* values = nullptr;           // [count], updated
  const float* gradients = nullptr;  // [count]
  float* mean = nullptr;             // [count]: running mean of the gradients, zero before step 1
  float* square = nullptr;           // [count]: running mean of their squares, likewise
  std::int64_t count = 0;
  std::int64_t step = 1;  // from 1
  double rate = 1e-3;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;
  double gradient_scale = 1;  // multiplied to the gradients first (clipping)
};

///   values *= 1 - rate * weight_decay
///   mean = beta1 mean + (1 - beta1) g,   square = beta2 square + (1 - beta2) g^2
///   values -= rate * (mean / (1 - beta1^step)) / (sqrt(square / (1 - beta2^step)) + epsilon)
void adamw(const AdamWArgs& args);

}  // namespace plimsoll::kernels
