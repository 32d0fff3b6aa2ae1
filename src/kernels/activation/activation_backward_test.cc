#include <gtest/gtest.h>

#include <numbers>

#include "kernels/activation/activation.h"
#include "support/finite_difference.h"

namespace plimsoll::kernels {
namespace {

constexpr std::size_t kCount = 200;
// A dozen roundings of numbers up to a few times the result.
constexpr double kTolerance = 4e-6;

TEST(ActivationBackward, Swiglu) {
  const auto gate = test::random_floats(kCount, 1), up = test::random_floats(kCount, 2),
             dy = test::random_floats(kCount, 3);
  std::vector<float> dgate(kCount), dup(kCount);
  swiglu_backward({gate.data(), up.data(), dy.data(), kCount, dgate.data(), dup.data()});
  const auto f = [&](const std::vector<double>& g, const std::vector<double>& u) {
    double total = 0;
    for (std::size_t i = 0; i < kCount; ++i) total += dy[i] * g[i] / (1 + std::exp(-g[i])) * u[i];
    return total;
  };
  test::expect_gradient([&](const auto& g) { return f(g, test::widened(up)); }, gate, dgate,
                        kTolerance);
  test::expect_gradient([&](const auto& u) { return f(test::widened(gate), u); }, up, dup,
                        kTolerance);
}

TEST(ActivationBackward, BothGelus) {
  auto x = test::random_floats(kCount, 4);
  x[0] = 30, x[1] = -30, x[2] = 0;
  const auto dy = test::random_floats(kCount, 5);
  for (const bool tanh_form : {false, true}) {
    std::vector<float> dx(kCount);
    gelu_backward(x.data(), dy.data(), kCount, tanh_form, dx.data());
    test::expect_gradient(
        [&](const auto& v) {
          double total = 0;
          for (std::size_t i = 0; i < kCount; ++i) {
            const double u =
                std::sqrt(2 / std::numbers::pi) * (v[i] + 0.044715 * std::pow(v[i], 3));
            total += dy[i] * 0.5 * v[i] *
                     (tanh_form ? 1 + std::tanh(u) : std::erfc(-v[i] / std::numbers::sqrt2));
          }
          return total;
        },
        x, dx, kTolerance);
  }
}

}  // namespace
}  // namespace plimsoll::kernels
