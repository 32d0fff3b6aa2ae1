#include "kernels/activation/activation.h"

#include <cmath>
#include <numbers>

#include "core/cpu.h"
#include "core/threads.h"
#include "kernels/activation/activation_isa.h"

namespace plimsoll::kernels {

namespace {

constexpr std::int64_t kGrain = 1 << 13;

void swiglu_scalar(const float* gate, const float* up, std::int64_t count, float* y) {
  for (std::int64_t i = 0; i < count; ++i) y[i] = gate[i] / (1.0f + std::exp(-gate[i])) * up[i];
}

Swiglu swiglu_of_this_cpu() {
  const Isa isa = current_isa();
  return isa >= Isa::avx512 ? swiglu_avx512 : isa >= Isa::avx2 ? swiglu_avx2 : swiglu_scalar;
}

}  // namespace

void swiglu(const float* gate, const float* up, std::int64_t count, float* y) {
  const Swiglu run = swiglu_of_this_cpu();
  parallel_for(count, kGrain, [&](std::int64_t begin, std::int64_t end) {
    run(gate + begin, up + begin, end - begin, y + begin);
  });
}

void gelu_erf(float* x, std::int64_t count) {
  constexpr auto kHalfRoot = static_cast<float>(1.0 / std::numbers::sqrt2);
  parallel_for(count, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i)
      x[i] = 0.5f * x[i] * (1.0f + std::erf(x[i] * kHalfRoot));
  });
}

void gelu_tanh(float* x, std::int64_t count) {
  constexpr auto kScale = static_cast<float>(std::numbers::inv_sqrtpi * std::numbers::sqrt2);
  parallel_for(count, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const float inner = kScale * (x[i] + 0.044715f * x[i] * x[i] * x[i]);
      x[i] = 0.5f * x[i] * (1.0f + std::tanh(inner));
    }
  });
}

void add(float* x, const float* y, std::int64_t count) {
  parallel_for(count, kGrain, [&](std::int64_t begin, std::int64_t end) {
#pragma omp simd
    for (std::int64_t i = begin; i < end; ++i) x[i] += y[i];
  });
}

void add_scaled(float* x, const float* y, std::int64_t count, float scale) {
  parallel_for(count, kGrain, [&](std::int64_t begin, std::int64_t end) {
#pragma omp simd
    for (std::int64_t i = begin; i < end; ++i) x[i] += scale * y[i];
  });
}

void add_bias(float* x, std::int64_t rows, std::int64_t width, const float* bias) {
  parallel_for(rows, 8, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      float* y = x + row * width;
#pragma omp simd
      for (std::int64_t i = 0; i < width; ++i) y[i] += bias[i];
    }
  });
}

}  // namespace plimsoll::kernels
