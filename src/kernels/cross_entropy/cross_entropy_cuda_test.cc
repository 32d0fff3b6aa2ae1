#include "kernels/cross_entropy/cross_entropy_cuda.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/cuda.h"
#include "support/finite_difference.h"
#include "support/on_device.h"

namespace plimsoll::kernels {
namespace {

/// Losses on the GPU; `logits` becomes what it leaves there.
std::vector<double> losses_of(std::vector<float>& logits, const std::vector<std::int32_t>& targets,
                              float weight) {
  const cuda::Buffer logits_buffer = test::uploaded(logits);
  const cuda::Buffer targets_buffer = test::uploaded(targets);
  const cuda::Buffer losses = test::poisoned<double>(targets.size());
  const auto rows = static_cast<std::int64_t>(targets.size());
  const cuda::Stream stream;
  cross_entropy({logits_buffer.data<float>(), rows, static_cast<std::int64_t>(logits.size()) / rows,
                 targets_buffer.data<std::int32_t>(), losses.data<double>(), weight},
                stream.get());
  stream.synchronize();
  logits = test::downloaded<float>(logits_buffer);
  return test::downloaded<double>(losses);
}

TEST(CrossEntropyCuda, LossAndGradientAsOnTheCpu) {
  PLIMSOLL_GPU_OR_SKIP();
  constexpr std::int64_t kRows = 3;
  for (const std::int64_t vocab : {1, 5, 511, 50257}) {
    for (const float weight : {0.0f, 0.25f}) {
      std::vector<float> logits = test::random_floats(static_cast<std::size_t>(kRows * vocab), 1);
      for (float& value : logits) value = value * 5 + 80;  // exp() of them is no float
      std::vector<float> on_gpu = logits;
      const std::vector<std::int32_t> targets{0, static_cast<std::int32_t>(vocab / 2),
                                              static_cast<std::int32_t>(vocab - 1)};
      const std::vector<double> actual = losses_of(on_gpu, targets, weight);
      std::vector<double> expected(kRows);
      cross_entropy({logits.data(), kRows, vocab, targets.data(), expected.data(), weight});
      // An exponential is off by 2^-22, and by as much again for each unit in the last place of a
      // difference of numbers around 100.
      for (std::size_t row = 0; row < expected.size(); ++row)
        EXPECT_NEAR(actual[row], expected[row], 2e-5) << vocab << " wide";
      for (std::size_t i = 0; i < logits.size(); ++i)
        ASSERT_NEAR(on_gpu[i], logits[i], 2e-5 * (weight + std::fabs(logits[i])))
            << vocab << " wide, element " << i;
    }
  }
}

TEST(CrossEntropyCuda, InfinitiesAndTargetsThatAreNone) {
  PLIMSOLL_GPU_OR_SKIP();
  std::vector<float> logits{1, -INFINITY, 1, -INFINITY, 1, 2, 3, 4, NAN, 1, 1, 1};
  const std::vector<double> losses = losses_of(logits, {2, 4, 0}, 1);
  EXPECT_NEAR(losses[0], std::log(2.0), 1e-6);
  EXPECT_NEAR(logits[0], 0.5, 1e-6);
  EXPECT_EQ(logits[1], 0);
  EXPECT_NEAR(logits[2], -0.5, 1e-6);
  EXPECT_TRUE(std::isnan(losses[1]));  // no such token
  EXPECT_TRUE(std::isnan(losses[2]));  // what is not a number does not pass unseen
}

}  // namespace
}  // namespace plimsoll::kernels
