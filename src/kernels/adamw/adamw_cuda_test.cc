#include "kernels/adamw/adamw_cuda.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/cuda.h"
#include "support/finite_difference.h"
#include "support/on_device.h"

namespace plimsoll::kernels {
namespace {

TEST(AdamWCuda, StepsAsTheCpu) {
  PLIMSOLL_GPU_OR_SKIP();
  constexpr std::size_t kCount = 1031;
  std::vector<float> values = test::random_floats(kCount, 1);
  std::vector<float> mean(kCount);
  std::vector<float> square(kCount);
  const cuda::Buffer values_buffer = test::uploaded(values);
  const cuda::Buffer mean_buffer = test::uploaded(mean);
  const cuda::Buffer square_buffer = test::uploaded(square);
  AdamWArgs args;
  args.count = kCount;
  args.rate = 0.01;
  args.weight_decay = 0.1;
  args.gradient_scale = 0.5;
  AdamWArgs on_gpu = args;
  args.values = values.data();
  args.mean = mean.data();
  args.square = square.data();
  on_gpu.values = values_buffer.data<float>();
  on_gpu.mean = mean_buffer.data<float>();
  on_gpu.square = square_buffer.data<float>();
  const cuda::Stream stream;
  for (std::int64_t step = 1; step <= 3; ++step) {
    const std::vector<float> gradients =
        test::random_floats(kCount, static_cast<std::uint64_t>(step) + 1);
    const cuda::Buffer gradients_buffer = test::uploaded(gradients);
    args.step = on_gpu.step = step;
    args.gradients = gradients.data();
    on_gpu.gradients = gradients_buffer.data<float>();
    adamw(args);
    adamw(on_gpu, stream.get());
    stream.synchronize();
  }
  const auto expect_near = [](const cuda::Buffer& buffer, const std::vector<float>& expected) {
    const std::vector<float> actual = test::downloaded<float>(buffer);
    // A few roundings a step, where the GPU has fused products and sums.
    for (std::size_t i = 0; i < expected.size(); ++i)
      ASSERT_NEAR(actual[i], expected[i], 2e-6 * (0.1 + std::fabs(expected[i]))) << i;
  };
  expect_near(values_buffer, values);
  expect_near(mean_buffer, mean);
  expect_near(square_buffer, square);
}

TEST(AdamWCuda, SumsOfSquaresAndOfNumbers) {
  PLIMSOLL_GPU_OR_SKIP();
  // More than all blocks' threads, and odd.
  for (const std::size_t count : {1, 257, 300001}) {
    const std::vector<float> values = test::random_floats(count, 3);
    const std::vector<double> wide = test::widened(values);
    const cuda::Buffer values_buffer = test::uploaded(values);
    const cuda::Buffer wide_buffer = test::uploaded(wide);
    const cuda::Buffer scratch = test::poisoned<double>(kSumScratch);
    const cuda::Buffer totals = test::uploaded(std::vector<double>{2, 3});
    const cuda::Stream stream;
    const auto i64 = static_cast<std::int64_t>(count);
    add_squares(values_buffer.data<float>(), i64, scratch.data<double>(), totals.data<double>(),
                stream.get());
    add_sum(wide_buffer.data<double>(), i64, totals.data<double>() + 1, stream.get());
    stream.synchronize();
    double squares = 2;
    double sum = 3;
    for (const double value : wide) {
      squares += value * value;
      sum += value;
    }
    const std::vector<double> actual = test::downloaded<double>(totals);
    EXPECT_NEAR(actual[0], squares, 1e-12 * squares);
    EXPECT_NEAR(actual[1], sum, 1e-12 * squares);
  }
}

}  // namespace
}  // namespace plimsoll::kernels
