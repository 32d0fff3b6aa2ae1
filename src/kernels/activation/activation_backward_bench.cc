#include "kernels/activation/activation.h"
#include "kernels/gradient_bench.h"

namespace plimsoll::kernels {
namespace {

// 512 rows of TinyLlama's and of GPT-2's MLP.
constexpr std::int64_t kSwiglu = std::int64_t{512} * 5632, kGelu = std::int64_t{512} * 3072;

void swiglu_backward(benchmark::State& state) {
  const auto gate = cases::random_floats(kSwiglu, 1), up = cases::random_floats(kSwiglu, 2),
             dy = cases::random_floats(kSwiglu, 3);
  std::vector<float> dgate(gate.size()), dup(gate.size());
  const SwigluGradientArgs args{gate.data(), up.data(),    dy.data(),
                                kSwiglu,     dgate.data(), dup.data()};
  kernels::swiglu_backward(args);
  const auto forward = [&](const std::vector<float>& g, const std::vector<float>& u) {
    std::vector<float> y(g.size());
    swiglu(g.data(), u.data(), kSwiglu, y.data());
    return y;
  };
  const bool verified =
      cases::gradient_agrees([&](const auto& moved) { return forward(moved, up); }, gate, dgate,
                             dy) &&
      cases::gradient_agrees([&](const auto& moved) { return forward(gate, moved); }, up, dup, dy);
  cases::time_gradient(
      state, verified, [&] { kernels::swiglu_backward(args); }, 28 * kSwiglu, 14 * kSwiglu);
}

void gelu_backward(benchmark::State& state, bool tanh_form) {
  const auto x = cases::random_floats(kGelu, 1), dy = cases::random_floats(kGelu, 2);
  std::vector<float> dx(x.size());
  const auto backward = [&] {
    kernels::gelu_backward(x.data(), dy.data(), kGelu, tanh_form, dx.data());
  };
  backward();
  const auto forward = [&](std::vector<float> moved) {
    (tanh_form ? gelu_tanh : gelu_erf)(moved.data(), kGelu);
    return moved;
  };
  const bool verified = cases::gradient_agrees(forward, x, dx, dy);
  cases::time_gradient(state, verified, backward, 16 * kGelu, 16 * kGelu);
}

BENCHMARK(swiglu_backward)->UseRealTime();
BENCHMARK_CAPTURE(gelu_backward, erf, false)->UseRealTime();
BENCHMARK_CAPTURE(gelu_backward, tanh, true)->UseRealTime();

}  // namespace
}  // namespace plimsoll::kernels
