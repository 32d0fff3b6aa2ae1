// Element-wise functions of the MLP.
#pragma once

#include <cstdint>

namespace plimsoll::kernels {

/// y[i] = silu(gate[i]) * up[i], silu(x) = x / (1 + exp(-x)). y may be gate or up.
/// (arXiv:2002.05202) Element by element, the same bits wherever it stands. Within 4e-7 max(1,
/// |x|).
void swiglu(const float* gate, const float* up, std::int64_t count, float* y);
/// Gradients of swiglu's inputs from dy, that of its output: dgate += , dup += .
struct SwigluGradientArgs {
  const float* gate = nullptr;
  const float* up = nullptr;
  const float* dy = nullptr;
  std::int64_t count = 0;
  float* dgate = nullptr;
  float* dup = nullptr;
};
void swiglu_backward(const SwigluGradientArgs& args);
/// x[i] = x[i] * Phi(x[i]) with the exact error function (Hugging Face "gelu"). arXiv:1606.08415
void gelu_erf(float* x, std::int64_t count);
/// The tanh form (Hugging Face "gelu_new", "gelu_pytorch_tanh").
void gelu_tanh(float* x, std::int64_t count);
/// dx[i] += dy[i] * gelu'(x[i]), in either form.
void gelu_backward(const float* x, const float* dy, std::int64_t count, bool tanh_form, float* dx);
/// x[i] += y[i]
void add(float* x, const float* y, std::int64_t count);
/// x[i] += scale * y[i]
void add_scaled(float* x, const float* y, std::int64_t count, float scale);
/// x[row, i] += bias[i]
void add_bias(float* x, std::int64_t rows, std::int64_t width, const float* bias);

}  // namespace plimsoll::kernels
