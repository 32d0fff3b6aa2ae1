#include "kernels/activation/activation_cuda.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "core/cuda/memory_cuda.h"
#include "kernels/attention/attention_cases.h"
#include "support/cuda.h"

namespace plimsoll::kernels {
namespace {

constexpr std::int64_t kRows = 3;
using Run = void (*)(const DeviceElementwiseArgs&, cudaStream_t);

/// expected(a, b) in double.
template <class F>
void expect_of_width(std::int64_t width, Run run, F&& expected, bool one_row_for_all) {
  const std::int64_t stride = 2 * width;  // of a and b, side by side
  std::vector<float> x = cases::normal_values(kRows * stride, 4);
  for (float& value : x) value *= 4;
  x[0] = -100;
  x[1] = 100;
  const cuda::Buffer in = cuda::Buffer::of<float>(x, "a test");
  cuda::Buffer out(static_cast<std::size_t>(kRows * width) * sizeof(float), "a test");
  out.fill(0xff);
  DeviceElementwiseArgs args;
  args.a = in.data<float>();
  args.a_stride = stride;
  args.b = args.a + width;
  args.b_stride = one_row_for_all ? 0 : stride;
  args.rows = kRows;
  args.width = width;
  args.y = out.data<float>();
  args.y_stride = width;
  const cuda::Stream stream;
  run(args, stream.get());
  stream.synchronize();
  std::vector<float> actual(static_cast<std::size_t>(kRows * width));
  out.download(actual.data(), out.bytes(), 0);
  for (std::int64_t r = 0; r < kRows; ++r) {
    for (std::int64_t i = 0; i < width; ++i) {
      const double a = x[static_cast<std::size_t>(r * stride + i)];
      const double b = x[static_cast<std::size_t>((one_row_for_all ? 0 : r) * stride + width + i)];
      const double value = expected(a, b);
      ASSERT_NEAR(actual[static_cast<std::size_t>(r * width + i)], value,
                  2e-6 + 2e-6 * std::fabs(value))
          << "of " << a << ", " << b;
    }
  }
}

/// Of rows in whole fours and others.
template <class F>
void expect_oracle(Run run, F&& expected, bool one_row_for_all = false) {
  expect_of_width(1100, run, expected, one_row_for_all);
  expect_of_width(1101, run, expected, one_row_for_all);
}

TEST(ActivationCuda, Swiglu) {
  PLIMSOLL_GPU_OR_SKIP();
  expect_oracle(swiglu, [](double a, double b) { return a / (1 + std::exp(-a)) * b; });
}

TEST(ActivationCuda, Gelu) {
  PLIMSOLL_GPU_OR_SKIP();
  expect_oracle(gelu_erf,
                [](double a, double) { return 0.5 * a * (1 + std::erf(a / std::sqrt(2.0))); });
  expect_oracle(gelu_tanh, [](double a, double) {
    return 0.5 * a * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (a + 0.044715 * a * a * a)));
  });
}

TEST(ActivationCuda, Add) {
  PLIMSOLL_GPU_OR_SKIP();
  expect_oracle(add, [](double a, double b) { return a + b; });
  expect_oracle(
      add, [](double a, double b) { return a + b; }, true);
}

}  // namespace
}  // namespace plimsoll::kernels
