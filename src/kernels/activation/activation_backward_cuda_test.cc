#include "kernels/activation/activation_backward_cuda.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support/cuda.h"
#include "support/finite_difference.h"
#include "support/on_device.h"

namespace plimsoll::kernels {
namespace {

// Across a block's border, and odd.
constexpr std::size_t kCount = 1031;

std::vector<float> inputs() {
  std::vector<float> x = test::random_floats(kCount, 1);
  for (float& value : x) value *= 4;
  x[0] = -100;
  x[1] = 100;
  return x;
}

/// Sums, products and one exponential, tanh or erf of some units in the last place.
void expect_near(const cuda::Buffer& actual, const std::vector<float>& expected) {
  const std::vector<float> values = test::downloaded<float>(actual);
  for (std::size_t i = 0; i < expected.size(); ++i)
    ASSERT_NEAR(values[i], expected[i], 4e-6 * (1 + std::fabs(expected[i]))) << "element " << i;
}

TEST(ActivationBackwardCuda, Swiglu) {
  PLIMSOLL_GPU_OR_SKIP();
  const std::vector<float> gate = inputs();
  const std::vector<float> up = test::random_floats(kCount, 2);
  const std::vector<float> dy = test::random_floats(kCount, 3);
  std::vector<float> dgate = test::random_floats(kCount, 4);
  std::vector<float> dup = test::random_floats(kCount, 5);
  const cuda::Buffer gate_buffer = test::uploaded(gate);
  const cuda::Buffer up_buffer = test::uploaded(up);
  const cuda::Buffer dy_buffer = test::uploaded(dy);
  const cuda::Buffer dgate_buffer = test::uploaded(dgate);
  const cuda::Buffer dup_buffer = test::uploaded(dup);
  const cuda::Stream stream;
  swiglu_backward({gate_buffer.data<float>(), up_buffer.data<float>(), dy_buffer.data<float>(),
                   kCount, dgate_buffer.data<float>(), dup_buffer.data<float>()},
                  stream.get());
  stream.synchronize();
  swiglu_backward({gate.data(), up.data(), dy.data(), kCount, dgate.data(), dup.data()});
  expect_near(dgate_buffer, dgate);
  expect_near(dup_buffer, dup);
}

TEST(ActivationBackwardCuda, GeluInBothForms) {
  PLIMSOLL_GPU_OR_SKIP();
  const std::vector<float> x = inputs();
  const std::vector<float> dy = test::random_floats(kCount, 2);
  const cuda::Buffer x_buffer = test::uploaded(x);
  const cuda::Buffer dy_buffer = test::uploaded(dy);
  for (const bool tanh_form : {false, true}) {
    std::vector<float> dx = test::random_floats(kCount, 3);
    const cuda::Buffer dx_buffer = test::uploaded(dx);
    const cuda::Stream stream;
    gelu_backward(x_buffer.data<float>(), dy_buffer.data<float>(), kCount, tanh_form,
                  dx_buffer.data<float>(), stream.get());
    stream.synchronize();
    gelu_backward(x.data(), dy.data(), kCount, tanh_form, dx.data());
    expect_near(dx_buffer, dx);
  }
}

TEST(ActivationBackwardCuda, AddScaled) {
  PLIMSOLL_GPU_OR_SKIP();
  std::vector<float> x = test::random_floats(kCount, 1);
  const std::vector<float> y = test::random_floats(kCount, 2);
  const cuda::Buffer x_buffer = test::uploaded(x);
  const cuda::Buffer y_buffer = test::uploaded(y);
  const cuda::Stream stream;
  add_scaled(x_buffer.data<float>(), y_buffer.data<float>(), kCount, -0.75f, stream.get());
  stream.synchronize();
  add_scaled(x.data(), y.data(), kCount, -0.75f);
  expect_near(x_buffer, x);
}

}  // namespace
}  // namespace plimsoll::kernels
