#include "kernels/layer_norm/layer_norm.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/rng.h"
#include "support/support.h"

namespace plimsoll::kernels {
namespace {

// A norm is a sum of n terms in fp32 (relative error at most n * 2^-24) and a few roundings.
double tolerance(std::int64_t width) {
  return (static_cast<double>(width) + 8) * 0x1p-24;
}

void expect_agrees_with_oracle(void (*norm)(const NormArgs&), void (*oracle)(const NormArgs&)) {
  for (const std::int64_t width : {1, 7, 64, 384, 2048}) {
    constexpr std::int64_t kRows = 5;
    Rng rng(static_cast<std::uint64_t>(width));
    const auto random = [&](std::int64_t count, double scale) {
      std::vector<float> values(static_cast<std::size_t>(count));
      for (float& value : values) value = static_cast<float>(rng.normal() * scale);
      return values;
    };
    const std::vector<float> x = random(kRows * width, 3), weight = random(width, 1),
                             bias = random(width, 1);
    std::vector<float> actual(x.size(), NAN), expected(x.size(), NAN);
    NormArgs args{x.data(), kRows, width, weight.data(), bias.data(), 1e-5f, actual.data()};
    norm(args);
    args.y = expected.data();
    oracle(args);
    EXPECT_LE(test::relative_to_largest(actual, expected), tolerance(width)) << width;

    std::vector<float> in_place = x;
    args.x = args.y = in_place.data();
    norm(args);
    EXPECT_EQ(in_place, actual) << width;
  }
}

TEST(LayerNorm, AgreesWithTheOracle) {
  expect_agrees_with_oracle(layer_norm, layer_norm_ref);
}
TEST(RmsNorm, AgreesWithTheOracle) {
  expect_agrees_with_oracle(rms_norm, rms_norm_ref);
}

TEST(LayerNorm, ALargeMeanDoesNotCancel) {
  std::vector<float> x(256), weight(256, 1.0f), bias(256, 0.0f), y(256);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = 4096.0f + static_cast<float>(i % 2);
  layer_norm({x.data(), 1, 256, weight.data(), bias.data(), 1e-5f, y.data()});
  EXPECT_NEAR(y[0], -1.0f, 1e-3);
  EXPECT_NEAR(y[1], 1.0f, 1e-3);
}

}  // namespace
}  // namespace plimsoll::kernels
