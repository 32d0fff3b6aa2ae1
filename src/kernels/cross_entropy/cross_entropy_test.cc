#include "kernels/cross_entropy/cross_entropy.h"

#include <gtest/gtest.h>

#include "support/finite_difference.h"

namespace plimsoll::kernels {
namespace {

constexpr std::size_t kRows = 3, kVocab = 300;  // more than one chunk of the sum
const std::vector<std::int32_t> kTargets{0, 299, 17};

double total_loss(const std::vector<double>& logits) {
  double total = 0;
  for (std::size_t row = 0; row < kRows; ++row) {
    double sum = 0;
    for (std::size_t i = 0; i < kVocab; ++i) sum += std::exp(logits[row * kVocab + i]);
    total += std::log(sum) - logits[row * kVocab + static_cast<std::size_t>(kTargets[row])];
  }
  return total;
}

TEST(CrossEntropy, LossAndGradient) {
  const auto logits = test::random_floats(kRows * kVocab, 1);
  constexpr float kWeight = 0.25f;
  std::vector<float> gradient = logits;
  std::vector<double> losses(kRows);
  cross_entropy({gradient.data(), kRows, kVocab, kTargets.data(), losses.data(), kWeight});
  // exp in fp32 is off by 2^-23 or so, relatively; the sum is less.
  EXPECT_NEAR(losses[0] + losses[1] + losses[2], total_loss(test::widened(logits)), 1e-6);
  test::expect_gradient([](const auto& v) { return kWeight * total_loss(v); }, logits, gradient,
                        2e-6);
}

TEST(CrossEntropy, WithoutAWeightTheLogitsStay) {
  const auto logits = test::random_floats(kRows * kVocab, 2);
  std::vector<float> same = logits;
  std::vector<double> losses(kRows);
  cross_entropy({same.data(), kRows, kVocab, kTargets.data(), losses.data(), 0});
  EXPECT_EQ(same, logits);
  EXPECT_NEAR(losses[0] + losses[1] + losses[2], total_loss(test::widened(logits)), 1e-6);
}

TEST(CrossEntropy, LargeLogitsDoNotOverflow) {
  std::vector<float> logits{1000, 0, -1000};
  const std::vector<std::int32_t> target{1};
  double loss = 0;
  cross_entropy({logits.data(), 1, 3, target.data(), &loss, 1});
  EXPECT_NEAR(loss, 1000, 1e-3);
  EXPECT_EQ(logits, (std::vector<float>{1, -1, 0}));
}

}  // namespace
}  // namespace plimsoll::kernels
