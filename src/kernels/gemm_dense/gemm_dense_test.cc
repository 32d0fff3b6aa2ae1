#include "kernels/gemm_dense/gemm_dense.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "core/rng.h"
#include "core/threads.h"

namespace plimsoll::kernels {
namespace {

using quant::WeightFormat;

Tensor random_tensor(Shape shape, std::uint64_t seed) {
  Tensor tensor = Tensor::empty(DType::f32, std::move(shape));
  Rng rng(seed);
  for (float& value : tensor.span<float>()) value = static_cast<float>(rng.normal());
  return tensor;
}

// The sum of n products in fp32, in any order, is within n * 2^-24 * sum |a b| of the exact one
// (Higham, Accuracy and Stability, 3.1). x rounded to bf16 (8 significant bits) adds 2^-8 of each
// product.
double bound(const float* x, const float* w, std::int64_t n, bool rounds_x) {
  double magnitude = 0;
  for (std::int64_t k = 0; k < n; ++k) magnitude += std::abs(static_cast<double>(x[k]) * w[k]);
  return magnitude * (static_cast<double>(n) * 0x1p-24 + (rounds_x ? 0x1p-8 : 0)) + 1e-30;
}

struct Case {
  WeightFormat format;
  std::int64_t rows, in, out;
};

class GemmDense : public testing::TestWithParam<Case> {};

TEST_P(GemmDense, EveryVariantAgreesWithTheOracle) {
  const auto [format, rows, in, out] = GetParam();
  const Tensor x = random_tensor({rows, in}, 1);
  quant::Matrix weight;
  weight.format = format;
  weight.rows = out;
  weight.columns = in;
  weight.codes = converted(random_tensor({out, in}, 2), quant::dense_dtype(format));
  const Tensor widened = converted(weight.codes, DType::f32);

  std::vector<float> expected(static_cast<std::size_t>(rows * out));
  LinearArgs args{x.data<float>(), rows, &weight, expected.data(), Compute::exact};
  gemm_dense_ref(args);

  int tried = 0;
  for (const Compute compute : {Compute::exact, Compute::fast}) {
    for (const auto& variant : gemm_dense_variants()) {
      std::vector<float> actual(expected.size(), std::numeric_limits<float>::quiet_NaN());
      args.y = actual.data();
      args.compute = compute;
      if (!variant.supports(args)) continue;
      ++tried;
      variant.run(args);
      const bool rounds_x = variant.name == "gemm_bf16_onednn";
      EXPECT_FALSE(rounds_x && compute == Compute::exact);
      for (std::int64_t row = 0; row < rows; ++row) {
        for (std::int64_t col = 0; col < out; ++col) {
          const auto i = static_cast<std::size_t>(row * out + col);
          ASSERT_LE(
              std::abs(actual[i] - expected[i]),
              bound(x.data<float>() + row * in, widened.data<float>() + col * in, in, rounds_x))
              << variant.name << " row " << row << " column " << col;
        }
      }
    }
  }
  EXPECT_GE(tried, 2);
}

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const WeightFormat format : {WeightFormat::fp32, WeightFormat::fp16, WeightFormat::bf16}) {
    for (const std::int64_t rows : {1, 2, 3, 4, 7, 9, 33}) {
      all.push_back({format, rows, 172, 65});
      all.push_back({format, rows, 128, 256});
      all.push_back({format, rows, 5, 3});
    }
  }
  return all;
}

INSTANTIATE_TEST_SUITE_P(Shapes, GemmDense, testing::ValuesIn(cases()));

// Decode kernels fix the order of additions: a row's result must not depend on its neighbours.
TEST(GemmDense, FewRowsAreIndependentBitForBit) {
  const Tensor x = random_tensor({7, 200}, 3);
  quant::Matrix weight;
  weight.format = WeightFormat::bf16;
  weight.rows = 70;
  weight.columns = 200;
  weight.codes = converted(random_tensor({70, 200}, 4), DType::bf16);
  for (const auto& variant : gemm_dense_variants()) {
    std::vector<float> together(7 * 70), alone(7 * 70);
    LinearArgs args{x.data<float>(), 7, &weight, together.data(), Compute::exact};
    if (!variant.supports(args)) continue;
    variant.run(args);
    for (std::int64_t row = 0; row < 7; ++row) {
      const LinearArgs one{x.data<float>() + row * 200, 1, &weight, alone.data() + row * 70,
                           Compute::exact};
      variant.run(one);
    }
    EXPECT_EQ(together, alone) << variant.name;
  }
}

}  // namespace
}  // namespace plimsoll::kernels
