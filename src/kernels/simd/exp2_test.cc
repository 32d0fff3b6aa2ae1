#include "kernels/simd/exp2.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "core/cpu.h"
#include "kernels/simd/exp2_isa.h"

namespace plimsoll::kernels {
namespace {

using Exp2 = void (*)(const float*, std::int64_t, float*);

std::vector<Exp2> available() {
  std::vector<Exp2> result;
  if (current_isa() >= Isa::avx2) result.push_back(exp2_avx2);
  if (current_isa() >= Isa::avx512) result.push_back(exp2_avx512);
  if (result.empty()) ADD_FAILURE() << "this CPU has neither AVX2 nor AVX-512";
  return result;
}

TEST(Exp2, StaysWithinItsStatedError) {
  // Every binade of x, dense steps, and the neighbours of whole numbers, where floor jumps.
  std::vector<float> x;
  for (int i = 0; i < 300000; ++i) x.push_back(-126.0f * static_cast<float>(i) / 300000);
  for (float small = 1e-30f; small < 1; small *= 1.7f) x.push_back(-small);
  for (int n = 0; n <= 126; ++n) {
    const float whole = static_cast<float>(-n);
    x.push_back(whole);
    x.push_back(std::nextafter(whole, 0.0f));
    if (n < 126) x.push_back(std::nextafter(whole, -200.0f));
  }
  while (x.size() % 16 != 0) x.push_back(0);
  for (const Exp2 exp2 : available()) {
    std::vector<float> y(x.size(), -1);
    exp2(x.data(), static_cast<std::int64_t>(x.size()), y.data());
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double expected = std::exp2(static_cast<double>(x[i]));
      ASSERT_LE(std::fabs(y[i] - expected), kExp2Error * expected) << x[i];
    }
  }
}

TEST(Exp2, BordersAreExact) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  std::vector<float> x(16, 0);
  x[1] = -kInfinity;
  x[2] = -126.001f;
  x[3] = -1e30f;
  x[4] = std::numeric_limits<float>::quiet_NaN();
  x[5] = -5;
  x[6] = -126;
  for (const Exp2 exp2 : available()) {
    std::vector<float> y(16, -1);
    exp2(x.data(), 16, y.data());
    EXPECT_EQ(y[0], 1);
    EXPECT_EQ(y[1], 0);
    EXPECT_EQ(y[2], 0);
    EXPECT_EQ(y[3], 0);
    EXPECT_TRUE(std::isnan(y[4]));
    EXPECT_EQ(y[5], 0x1p-5f);
    EXPECT_EQ(y[6], 0x1p-126f);
  }
}

}  // namespace
}  // namespace plimsoll::kernels
