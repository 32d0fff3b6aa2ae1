#include "kernels/gradient_bench.h"
#include "kernels/rope/rope.h"

namespace plimsoll::kernels {
namespace {

void rope_backward(benchmark::State& state) {
  constexpr std::int64_t kTokens = 2048, kHeads = 32, kHeadDim = 64,
                         kSize = kTokens * kHeads * kHeadDim;
  const auto x = cases::random_floats(kSize, 1), dy = cases::random_floats(kSize, 2),
             angles = cases::random_floats(kTokens * kHeadDim / 2, 3);
  std::vector<float> cosine(angles.size()), sine(angles.size()), dx = dy;
  for (std::size_t i = 0; i < angles.size(); ++i) {
    cosine[i] = std::cos(3 * angles[i]);
    sine[i] = std::sin(3 * angles[i]);
  }
  const auto args = [&](std::vector<float>& values) {
    return RopeArgs{values.data(), kTokens, kHeads, kHeadDim, cosine.data(), sine.data()};
  };
  const auto forward = [&](std::vector<float> moved) {
    rope(args(moved));
    return moved;
  };
  kernels::rope_backward(args(dx));
  const bool verified = cases::gradient_agrees(forward, x, dx, dy);
  cases::time_gradient(
      state, verified, [&] { kernels::rope_backward(args(dx)); }, 8 * kSize, 3 * kSize);
}

BENCHMARK(rope_backward)->UseRealTime();

}  // namespace
}  // namespace plimsoll::kernels
