#include <gtest/gtest.h>

#include "kernels/rope/rope.h"
#include "support/finite_difference.h"

namespace plimsoll::kernels {
namespace {

TEST(RopeBackward, TurnsBack) {
  constexpr std::size_t kTokens = 5, kHeads = 2, kDim = 6, kHalf = kDim / 2;
  const auto x = test::random_floats(kTokens * kHeads * kDim, 1);
  const auto dy = test::random_floats(x.size(), 2);
  const std::vector<std::int64_t> positions{0, 1, 2, 30, 1000};
  const std::vector<float> frequencies{1, 0.1f, 0.01f};
  std::vector<float> cosine(kTokens * kHalf), sine(cosine.size());
  rope_angles(positions.data(), kTokens, frequencies.data(), kHalf, cosine.data(), sine.data());
  std::vector<float> dx = dy;
  rope_backward({dx.data(), kTokens, kHeads, kDim, cosine.data(), sine.data()});
  test::expect_gradient(
      [&](const auto& v) {
        double total = 0;
        for (std::size_t token = 0; token < kTokens; ++token) {
          for (std::size_t head = 0; head < kHeads; ++head) {
            for (std::size_t i = 0; i < kHalf; ++i) {
              const double angle =
                  static_cast<double>(positions[token]) * static_cast<double>(frequencies[i]);
              const std::size_t at = (token * kHeads + head) * kDim + i;
              total += dy[at] * (v[at] * std::cos(angle) - v[at + kHalf] * std::sin(angle));
              total += dy[at + kHalf] * (v[at + kHalf] * std::cos(angle) + v[at] * std::sin(angle));
            }
          }
        }
        return total;
      },
      x, dx, 1e-6);
}

}  // namespace
}  // namespace plimsoll::kernels
