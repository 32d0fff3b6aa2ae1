#include <cmath>
#include <numbers>

#include "core/threads.h"
#include "kernels/activation/activation.h"

namespace plimsoll::kernels {

namespace {

constexpr std::int64_t kGrain = 1 << 13;

/// d/dx of x Phi(x) = Phi(x) + x phi(x).
float gelu_erf_slope(float x) {
  constexpr auto kHalfRoot = static_cast<float>(1.0 / std::numbers::sqrt2);
  constexpr auto kDensity =
      static_cast<float>(std::numbers::inv_sqrtpi / std::numbers::sqrt2);  // 1 / sqrt(2 pi)
  return 0.5f * (1.0f + std::erf(x * kHalfRoot)) + x * kDensity * std::exp(-0.5f * x * x);
}

/// d/dx of x/2 (1 + tanh(u)), u = sqrt(2 / pi) (x + 0.044715 x^3).
float gelu_tanh_slope(float x) {
  constexpr auto kScale = static_cast<float>(std::numbers::inv_sqrtpi * std::numbers::sqrt2);
  const float t = std::tanh(kScale * (x + 0.044715f * x * x * x));
  return 0.5f * (1.0f + t) + 0.5f * x * (1.0f - t * t) * kScale * (1.0f + 3 * 0.044715f * x * x);
}

}  // namespace

void swiglu_backward(const SwigluGradientArgs& args) {
  parallel_for(args.count, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float gate = args.gate[i];
      const float sigmoid = 1.0f / (1.0f + std::exp(-gate));
      const float silu = gate * sigmoid;
      args.dup[i] += args.dy[i] * silu;
      args.dgate[i] += args.dy[i] * args.up[i] * (sigmoid + silu * (1.0f - sigmoid));
    }
  });
}

void gelu_backward(const float* x, const float* dy, std::int64_t count, bool tanh_form, float* dx) {
  parallel_for(count, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      dx[i] += dy[i] * (tanh_form ? gelu_tanh_slope(x[i]) : gelu_erf_slope(x[i]));
  });
}

}  // namespace plimsoll::kernels
