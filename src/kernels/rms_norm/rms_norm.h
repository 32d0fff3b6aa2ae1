// RMSNorm (arXiv:1910.07467): y = x / sqrt(mean(x^2) + epsilon) * weight, row by row.
#pragma once

#include <cstdint>

namespace plimsoll::kernels {

struct NormArgs {
  const float* x = nullptr;  // [rows, width]
  std::int64_t rows = 0;
  std::int64_t width = 0;
  const float* weight = nullptr;  // [width]
  const float* bias = nullptr;    // [width], layer_norm only
  float epsilon = 0;
  float* y = nullptr;  // [rows, width]; may be x
};

void rms_norm(const NormArgs& args);
void rms_norm_ref(const NormArgs& args);

/// What a norm's backward takes and adds to: nothing is overwritten.
struct NormGradientArgs {
  const float* x = nullptr;  // [rows, width], the forward's input
  std::int64_t rows = 0;
  std::int64_t width = 0;
  const float* weight = nullptr;  // [width]
  float epsilon = 0;
  const float* dy = nullptr;  // [rows, width], the gradient of the forward's output
  float* dx = nullptr;        // [rows, width]
  float* dweight = nullptr;   // [width]; null: not wanted
  float* dbias = nullptr;     // [width], layer_norm only; null: not wanted
};

/// With r = 1 / sqrt(mean(x^2) + epsilon):  dx += r w dy - x r^3 mean(x w dy),  dweight += sum over
/// rows of r x dy.
void rms_norm_backward(const NormGradientArgs& args);

}  // namespace plimsoll::kernels
