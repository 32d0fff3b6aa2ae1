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

/// op(a) op(b) of matrices that lie in wider ones, from an element on that is aligned to 4 bytes.
void expect_gemm(bool a_transposed, bool b_transposed, bool tf32, std::int64_t spare) {
  constexpr std::int64_t kM = 37;
  constexpr std::int64_t kN = 53;
  constexpr std::int64_t kK = 41;
  const std::int64_t lda = (a_transposed ? kM : kK) + spare;
  const std::int64_t ldb = (b_transposed ? kK : kN) + spare;
  const std::int64_t ldc = kN + spare;
  const std::vector<float> a = random_values(spare + (a_transposed ? kK : kM) * lda, 3);
  const std::vector<float> b = random_values(spare + (b_transposed ? kN : kK) * ldb, 4);
  const std::vector<float> before = random_values(kM * ldc, 5);
  const Buffer a_buffer = Buffer::of<float>(a, "a test");
  const Buffer b_buffer = Buffer::of<float>(b, "a test");
  const Buffer c_buffer = Buffer::of<float>(before, "a test");
  const Buffer workspace(kMatmulWorkspace, "a test");
  const Stream stream;
  gemm({.element = Element::f32,
        .tf32 = tf32,
        .a_transposed = a_transposed,
        .b_transposed = b_transposed,
        .m = kM,
        .n = kN,
        .k = kK,
        .alpha = 0.5f,
        .a = a_buffer.data<float>() + spare,
        .lda = lda,
        .b = b_buffer.data<float>() + spare,
        .ldb = ldb,
        .beta = 2,
        .c = c_buffer.data<float>(),
        .ldc = ldc,
        .workspace = workspace.data()},
       stream.get());
  stream.synchronize();
  std::vector<float> c(before.size());
  c_buffer.download(c.data(), c_buffer.bytes(), 0);
  for (std::int64_t row = 0; row < kM; ++row) {
    for (std::int64_t column = 0; column < ldc; ++column) {
      double expected = before[row * ldc + column];
      if (column < kN) {
        expected *= 2;
        for (std::int64_t i = 0; i < kK; ++i) {
          const float left = a[spare + (a_transposed ? i * lda + row : row * lda + i)];
          const float right = b[spare + (b_transposed ? column * ldb + i : i * ldb + column)];
          expected += 0.5 * left * right;
        }
      }
      // Sums of multiples of 1/128 below 2^16 are exact, and so are the values in TF32.
      ASSERT_EQ(c[row * ldc + column], expected) << row << ", " << column;
    }
  }
}

TEST(CublasCuda, TransposedAndScaledProductsOfAnyAlignment) {
  PLIMSOLL_GPU_OR_SKIP();
  for (const bool a_transposed : {false, true}) {
    for (const bool b_transposed : {false, true}) {
      for (const bool tf32 : {false, true}) {
        for (const std::int64_t spare : {0, 3}) {
          expect_gemm(a_transposed, b_transposed, tf32, spare);
        }
      }
    }
  }
}

TEST(CublasCuda, TheRateIsPositive) {
  PLIMSOLL_GPU_OR_SKIP();
  EXPECT_GT(cublas_rate(512, 3), 0.1);
}

}  // namespace
}  // namespace plimsoll::cuda
