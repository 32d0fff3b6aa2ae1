#include "kernels/activation/activation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include "core/cpu.h"

namespace plimsoll::kernels {
namespace {

std::vector<float> grid() {
  std::vector<float> x;
  for (int i = -3000; i <= 3000; ++i) x.push_back(static_cast<float>(i) * 0.01f);
  x.push_back(1e4f);
  x.push_back(-1e4f);
  return x;
}

template <class F>
void expect_close(const std::vector<float>& x, const std::vector<float>& y, F&& exact) {
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double expected = exact(static_cast<double>(x[i]));
    // 1 + erf and 1 + tanh cancel on the left: absolute error of a few units of x's rounding there.
    EXPECT_NEAR(y[i], expected, 4e-7 * std::max(1.0, std::abs(static_cast<double>(x[i])))) << x[i];
  }
}

TEST(Activation, GeluErfIsXTimesTheNormalDistribution) {
  const std::vector<float> x = grid();
  std::vector<float> y = x;
  gelu_erf(y.data(), static_cast<std::int64_t>(y.size()));
  expect_close(x, y, [](double v) { return 0.5 * v * std::erfc(-v / std::numbers::sqrt2); });
}

TEST(Activation, GeluTanhFollowsItsFormula) {
  const std::vector<float> x = grid();
  std::vector<float> y = x;
  gelu_tanh(y.data(), static_cast<std::int64_t>(y.size()));
  expect_close(x, y, [](double v) {
    return 0.5 * v * (1 + std::tanh(std::sqrt(2 / std::numbers::pi) * (v + 0.044715 * v * v * v)));
  });
}

TEST(Activation, SwigluGatesTheOtherHalf) {
  const std::vector<float> x = grid();
  const std::vector<float> up(x.size(), 2.0f);
  const Isa best = detected_isa();
  for (const Isa isa : {Isa::scalar, Isa::avx2, Isa::avx512}) {
    if (isa > best) continue;
    SCOPED_TRACE(isa_name(isa));
    limit_isa(isa);
    std::vector<float> y(x.size());
    swiglu(x.data(), up.data(), static_cast<std::int64_t>(x.size()), y.data());
    expect_close(x, y, [](double v) { return 2 * v / (1 + std::exp(-v)); });
    // An element has the same bits in a register and among the last ones, and NaN stays NaN.
    std::vector<float> alone(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) swiglu(&x[i], &up[i], 1, &alone[i]);
    EXPECT_EQ(y, alone);
    std::vector<float> odd(19, std::numeric_limits<float>::quiet_NaN());
    swiglu(odd.data(), up.data(), 19, odd.data());
    for (const float value : odd) EXPECT_TRUE(std::isnan(value));
  }
  limit_isa(best);
}

TEST(Activation, BiasGoesToEveryRow) {
  std::vector<float> x{1, 2, 3, 4, 5, 6};
  const std::vector<float> bias{10, 20, 30};
  add_bias(x.data(), 2, 3, bias.data());
  EXPECT_EQ(x, (std::vector<float>{11, 22, 33, 14, 25, 36}));
  add(x.data(), std::vector<float>(6, 1.0f).data(), 6);
  EXPECT_EQ(x, (std::vector<float>{12, 23, 34, 15, 26, 37}));
}

}  // namespace
}  // namespace plimsoll::kernels
