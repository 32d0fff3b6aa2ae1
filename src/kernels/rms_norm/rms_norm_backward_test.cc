// Both norms' gradients against differences of the norms in double.
#include <gtest/gtest.h>

#include "kernels/layer_norm/layer_norm.h"
#include "support/finite_difference.h"

namespace plimsoll::kernels {
namespace {

constexpr std::size_t kRows = 3, kWidth = 37;
constexpr float kEpsilon = 1e-5f;
// Sums of 37 products in fp32 with a few more roundings: (37 + 8) 2^-24 of the terms' magnitudes,
// which are some ten times the largest gradient.
constexpr double kTolerance = 3e-5;

struct Case {
  std::vector<float> x = test::random_floats(kRows * kWidth, 1);
  std::vector<float> weight = test::random_floats(kWidth, 2);
  std::vector<float> bias = test::random_floats(kWidth, 3);
  std::vector<float> dy = test::random_floats(kRows * kWidth, 4);
};

/// sum(dy * norm(x)).
double weighted_norm(bool centred, const std::vector<double>& x, const std::vector<double>& weight,
                     const std::vector<double>& bias, const std::vector<float>& dy) {
  double total = 0;
  for (std::size_t row = 0; row < kRows; ++row) {
    const double* values = x.data() + row * kWidth;
    double mean = 0, squares = 0;
    for (std::size_t i = 0; centred && i < kWidth; ++i) mean += values[i] / kWidth;
    for (std::size_t i = 0; i < kWidth; ++i)
      squares += (values[i] - mean) * (values[i] - mean) / kWidth;
    for (std::size_t i = 0; i < kWidth; ++i) {
      total += dy[row * kWidth + i] *
               ((values[i] - mean) / std::sqrt(squares + kEpsilon) * weight[i] + bias[i]);
    }
  }
  return total;
}

void expect_gradients(bool centred) {
  const Case c;
  std::vector<float> dx(c.x.size()), dweight(kWidth), dbias(kWidth);
  NormGradientArgs args{c.x.data(),  kRows,     kWidth,         c.weight.data(), kEpsilon,
                        c.dy.data(), dx.data(), dweight.data(), dbias.data()};
  (centred ? layer_norm_backward : rms_norm_backward)(args);
  const auto x = test::widened(c.x), weight = test::widened(c.weight), bias = test::widened(c.bias);
  test::expect_gradient(
      [&](const auto& v) { return weighted_norm(centred, v, weight, bias, c.dy); }, c.x, dx,
      kTolerance);
  test::expect_gradient([&](const auto& v) { return weighted_norm(centred, x, v, bias, c.dy); },
                        c.weight, dweight, kTolerance);
  if (centred) {
    test::expect_gradient([&](const auto& v) { return weighted_norm(centred, x, weight, v, c.dy); },
                          c.bias, dbias, kTolerance);
  }
  // A second call adds.
  const std::vector<float> once = dx;
  (centred ? layer_norm_backward : rms_norm_backward)(args);
  for (std::size_t i = 0; i < dx.size(); ++i) EXPECT_FLOAT_EQ(dx[i], 2 * once[i]);
}

TEST(NormBackward, RmsNorm) {
  expect_gradients(false);
}

TEST(NormBackward, LayerNorm) {
  expect_gradients(true);
}

}  // namespace
}  // namespace plimsoll::kernels
