#include "kernels/adamw/adamw.h"

#include <gtest/gtest.h>

#include "support/finite_difference.h"

namespace plimsoll::kernels {
namespace {

// The formula in double, as torch.optim.AdamW computes it, over several steps.
TEST(AdamW, FollowsItsFormula) {
  constexpr std::size_t kCount = 9;
  constexpr int kSteps = 5;
  auto values = test::random_floats(kCount, 1);
  std::vector<double> exact(values.begin(), values.end()), m(kCount), v(kCount);
  std::vector<float> mean(kCount), square(kCount);
  for (int step = 1; step <= kSteps; ++step) {
    const auto gradient = test::random_floats(kCount, static_cast<std::uint64_t>(10 + step));
    AdamWArgs args{values.data(), gradient.data(), mean.data(), square.data(), kCount, step};
    args.rate = 0.01;
    args.weight_decay = 0.1;
    args.gradient_scale = 0.5;
    adamw(args);
    for (std::size_t i = 0; i < kCount; ++i) {
      const double g = 0.5 * gradient[i];
      exact[i] *= 1 - 0.01 * 0.1;
      m[i] = 0.9 * m[i] + 0.1 * g;
      v[i] = 0.999 * v[i] + 0.001 * g * g;
      exact[i] -= 0.01 * (m[i] / (1 - std::pow(0.9, step))) /
                  (std::sqrt(v[i] / (1 - std::pow(0.999, step))) + 1e-8);
    }
  }
  // A few roundings a step, of values about 1.
  for (std::size_t i = 0; i < kCount; ++i) EXPECT_NEAR(values[i], exact[i], 1e-6);
}

}  // namespace
}  // namespace plimsoll::kernels
