// Both norms' gradients, of the input alone as LoRA wants them and with the weight's.
#include "kernels/gradient_bench.h"
#include "kernels/layer_norm/layer_norm.h"

namespace plimsoll::kernels {
namespace {

struct Norm {
  void (*forward)(const NormArgs&);
  void (*backward)(const NormGradientArgs&);
  bool centred, weights;
  std::int64_t width;  // of TinyLlama and of GPT-2
};

constexpr std::int64_t kRows = 2048;

void norm_backward(benchmark::State& state, const Norm& norm) {
  const std::int64_t size = kRows * norm.width;
  const auto x = cases::random_floats(size, 1), weight = cases::random_floats(norm.width, 2),
             bias = cases::random_floats(norm.width, 3), dy = cases::random_floats(size, 4);
  std::vector<float> dx(x.size()), dweight(weight.size()), dbias(weight.size());
  NormGradientArgs args{x.data(),
                        kRows,
                        norm.width,
                        weight.data(),
                        1e-5f,
                        dy.data(),
                        dx.data(),
                        norm.weights ? dweight.data() : nullptr,
                        norm.weights && norm.centred ? dbias.data() : nullptr};
  const auto forward = [&](const std::vector<float>& moved) {
    std::vector<float> y(moved.size());
    norm.forward({moved.data(), kRows, norm.width, weight.data(), bias.data(), 1e-5f, y.data()});
    return y;
  };
  norm.backward(args);
  const bool verified = cases::gradient_agrees(forward, x, dx, dy);
  cases::time_gradient(
      state, verified, [&] { norm.backward(args); }, 16 * size, (norm.centred ? 14 : 10) * size);
}

BENCHMARK_CAPTURE(norm_backward, rms_norm, Norm{rms_norm, rms_norm_backward, false, false, 2048})
    ->UseRealTime();
BENCHMARK_CAPTURE(norm_backward, rms_norm_weight,
                  Norm{rms_norm, rms_norm_backward, false, true, 2048})
    ->UseRealTime();
BENCHMARK_CAPTURE(norm_backward, layer_norm,
                  Norm{layer_norm, layer_norm_backward, true, false, 768})
    ->UseRealTime();
BENCHMARK_CAPTURE(norm_backward, layer_norm_weight,
                  Norm{layer_norm, layer_norm_backward, true, true, 768})
    ->UseRealTime();

}  // namespace
}  // namespace plimsoll::kernels
