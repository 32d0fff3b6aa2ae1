#include "core/cuda/cublas_cuda.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/cuda/memory_cuda.h"
#include "core/dtype.h"
#include "core/rng.h"
#include "support/cuda.h"

namespace plimsoll::cuda {
namespace {

std::vector<float> random_values(std::int64_t count, std::uint64_t seed) {
  Rng rng(seed);
  std::vector<float> values(static_cast<std::size_t>(count));
  // Exact in f16 and in bf16.
  for (float& value : values) value = static_cast<float>(rng.below(64)) / 8 - 4;
  return values;
}

Buffer as_element(const std::vector<float>& values, Element element) {
  if (element == Element::f32) return Buffer::of<float>(values, "a test");
  std::vector<std::uint16_t> bits;
  bits.reserve(values.size());
  for (const float value : values)
    bits.push_back(element == Element::f16 ? to_fp16(value).bits : to_bf16(value).bits);
  return Buffer::of<std::uint16_t>(bits, "a test");
}

void expect_product(Element element, std::int64_t m, std::int64_t n, std::int64_t k,
                    std::int64_t stride, bool add) {
  const std::vector<float> x = random_values(m * k, 1);
  const std::vector<float> w = random_values(n * k, 2);
  std::vector<float> y(static_cast<std::size_t>(m * stride), 0.5f);
  const Buffer x_buffer = as_element(x, element);
  const Buffer w_buffer = as_element(w, element);
  const Buffer y_buffer = Buffer::of<float>(y, "a test");
  const Buffer workspace(kMatmulWorkspace, "a test");
  const Stream stream;
  matmul({.element = element,
          .x = x_buffer.data(),
          .w = w_buffer.data(),
          .y = y_buffer.data<float>(),
          .m = m,
          .n = n,
          .k = k,
          .y_stride = stride,
          .add = add,
          .workspace = workspace.data()},
         stream.get());
  stream.synchronize();
  y_buffer.download(y.data(), y_buffer.bytes(), 0);
  for (std::int64_t row = 0; row < m; ++row) {
    for (std::int64_t column = 0; column < stride; ++column) {
      double expected = column >= n || add ? 0.5 : 0;  // beyond n nothing is written
      for (std::int64_t i = 0; column < n && i < k; ++i)
        expected += static_cast<double>(x[row * k + i]) * w[column * k + i];
      // Sums of multiples of 1/64 below 2^17 are exact.
      ASSERT_EQ(y[row * stride + column], expected) << row << ", " << column;
    }
  }
}

TEST(CublasCuda, ProductsOfEveryElement) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const Element element : {Element::f16, Element::bf16, Element::f32}) {
    expect_product(element, 5, 24, 64, 24, false);
    expect_product(element, 65, 64, 384, 64, true);
    expect_product(element, 33, 64, 128, 137, false);
  }
}

TEST(CublasCuda, TheRateIsPositive) {
  PLIMSOLL_GPU_OR_SKIP();
  EXPECT_GT(cublas_rate(512, 3), 0.1);
}

}  // namespace
}  // namespace plimsoll::cuda
