#include "kernels/rope/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <vector>

#include "core/rng.h"

namespace plimsoll::kernels {
namespace {

// Rotation is multiplication by exp(i * angle) of the complex number whose parts are i and i + d/2.
TEST(Rope, MultipliesByAComplexPhase) {
  constexpr std::int64_t kTokens = 9, kHeads = 3, kDim = 16, kHalf = kDim / 2;
  Rng rng(7);
  std::vector<float> x(kTokens * kHeads * kDim), frequencies(kHalf);
  for (float& value : x) value = static_cast<float>(rng.normal());
  for (std::size_t i = 0; i < kHalf; ++i)
    frequencies[i] = std::pow(10000.0f, -static_cast<float>(i) / kHalf);
  std::vector<std::int64_t> positions;
  for (std::int64_t token = 0; token < kTokens; ++token) positions.push_back(token * 12345);
  std::vector<float> cosine(kTokens * kHalf), sine(kTokens * kHalf), y = x;
  rope_angles(positions.data(), kTokens, frequencies.data(), kHalf, cosine.data(), sine.data());
  rope({y.data(), kTokens, kHeads, kDim, cosine.data(), sine.data()});
  for (std::size_t token = 0; token < kTokens; ++token) {
    for (std::size_t head = 0; head < kHeads; ++head) {
      for (std::size_t i = 0; i < kHalf; ++i) {
        const std::size_t at = (token * kHeads + head) * kDim + i;
        const std::complex<double> expected =
            std::complex<double>(x[at], x[at + kHalf]) *
            std::polar(1.0,
                       static_cast<double>(positions[token]) * static_cast<double>(frequencies[i]));
        EXPECT_NEAR(y[at], expected.real(), 1e-6);
        EXPECT_NEAR(y[at + kHalf], expected.imag(), 1e-6);
      }
    }
  }
}

}  // namespace
}  // namespace plimsoll::kernels
