// The activations' side of the int8 formats; codes and products against bitsandbytes are in
// bitsandbytes_test.cc.
#include "quant/int8.h"

#include <cmath>
#include <cstring>

#include "core/rng.h"
#include "support/support.h"

namespace plimsoll::quant {
namespace {

Tensor normal(std::int64_t rows, std::int64_t columns, std::uint64_t seed) {
  Rng rng(seed);
  Tensor tensor = Tensor::empty(DType::f32, {rows, columns});
  for (float& value : tensor.span<float>()) value = static_cast<float>(rng.normal());
  return tensor;
}

// x W^T in f64 with the decoded weights: what all three formats approximate.
std::vector<double> product(const Matrix& matrix, const Tensor& x) {
  const Tensor weights = decode(matrix);
  std::vector<double> y;
  for (std::int64_t row = 0; row < x.dim(0); ++row) {
    for (std::int64_t out = 0; out < matrix.rows; ++out) {
      double sum = 0;
      for (std::int64_t c = 0; c < matrix.columns; ++c) {
        sum += static_cast<double>(x.data<float>()[row * matrix.columns + c]) *
               weights.data<float>()[out * matrix.columns + c];
      }
      y.push_back(sum);
    }
  }
  return y;
}

std::vector<float> reference(const Matrix& matrix, const Tensor& x) {
  std::vector<float> y(static_cast<std::size_t>(x.dim(0) * matrix.rows));
  int8_linear_reference(matrix, x.data<float>(), x.dim(0), y.data());
  return y;
}

// Half a step of each activation, times the magnitude of the weight, summed.
double rounding_bound(const Matrix& matrix, double step) {
  const Tensor weights = decode(matrix);
  double widest = 0;
  for (std::int64_t out = 0; out < matrix.rows; ++out) {
    double sum = 0;
    for (std::int64_t c = 0; c < matrix.columns; ++c) {
      sum += std::fabs(weights.data<float>()[out * matrix.columns + c]);
    }
    widest = std::max(widest, sum);
  }
  return widest * step / 2;
}

TEST(QuantizeToken, LeavesOutliersOutOfScaleAndCodes) {
  const float x[5] = {1.0f, -2.0f, 6.0f, -7.5f, 5.9375f};
  std::int8_t codes[5];
  EXPECT_EQ(quantize_token(x, 6, codes), 5.9375f);  // 6 itself is an outlier
  const std::int8_t expected[5] = {21, -43, 0, 0, 127};
  EXPECT_EQ(std::memcmp(codes, expected, 5), 0);
  EXPECT_EQ(outlier_columns(x, 1, 5, 6), (std::vector<std::int32_t>{2, 3}));

  EXPECT_EQ(quantize_token(x, 0, codes), 7.5f);
  EXPECT_EQ(codes[3], -127);
  EXPECT_TRUE(outlier_columns(x, 1, 5, 0).empty());

  EXPECT_EQ(quantize_token(x, 0.5f, codes), 0);  // all are outliers
  for (const std::int8_t code : codes) EXPECT_EQ(code, 0);
}

TEST(QuantizeToken, ZerosAndSubnormalsGiveZeroCodes) {
  const float x[3] = {0.0f, 1e-40f, -0.0f};
  std::int8_t codes[3] = {1, 1, 1};
  EXPECT_EQ(quantize_token(x, 6, codes), 0);
  for (const std::int8_t code : codes) EXPECT_EQ(code, 0);
}

TEST(Int8Reference, ApproximatesTheProduct) {
  Tensor x = normal(6, 96, 1);
  for (std::int64_t row = 0; row < 5; ++row) x.data<float>()[row * 96 + 11 * row] = 40.0f;
  for (const bool by_batch : {false, true}) {
    const Matrix matrix =
        encode(WeightFormat::int8, normal(16, 96, 2), {.outliers_by_batch = by_batch}, "w");
    const std::vector<double> expected = product(matrix, x);
    const std::vector<float> actual = reference(matrix, x);
    // Steps of at most 6 / 127; the outlier 40 in f16 times a weight in f16: 2^-11 of it, some 3.
    const double bound = rounding_bound(matrix, 6.0 / 127) + 40 * 4 * 0x1p-11;
    for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(actual[i], expected[i], bound);
  }
}

TEST(Int8Reference, ATokenDoesNotDependOnItsNeighboursUnlessAsked) {
  Tensor x = normal(4, 64, 3);
  x.data<float>()[2 * 64 + 5] = 50.0f;
  for (const bool by_batch : {false, true}) {
    const Matrix matrix =
        encode(WeightFormat::int8, normal(8, 64, 4), {.outliers_by_batch = by_batch}, "w");
    const std::vector<float> together = reference(matrix, x);
    const std::vector<float> alone = reference(matrix, x.rows(0, 1));
    const bool same = std::equal(alone.begin(), alone.end(), together.begin());
    EXPECT_EQ(same, !by_batch);  // in a batch, the third token's outlier takes column 5 out of all
  }
}

TEST(Int8Reference, WithoutThresholdIsInt8Dynamic) {
  const Tensor x = normal(3, 64, 5);
  const Tensor weights = normal(8, 64, 6);
  EXPECT_EQ(
      reference(encode(WeightFormat::int8, weights, {.outlier_threshold = 0}, "w"), x),
      reference(encode(WeightFormat::int8_dynamic, weights, {.outlier_threshold = 6}, "w"), x));
}

TEST(Int8Reference, StaticUsesTheGivenGrid) {
  const Tensor x = normal(5, 64, 7);
  Matrix matrix = encode(WeightFormat::int8_static, normal(8, 64, 8), {}, "w");
  matrix.input_scale = 8.0f / 255;
  matrix.input_zero = -30;
  const std::vector<double> expected = product(matrix, x);
  const std::vector<float> actual = reference(matrix, x);
  const double bound = rounding_bound(matrix, matrix.input_scale);
  for (std::size_t i = 0; i < expected.size(); ++i) EXPECT_NEAR(actual[i], expected[i], bound);
}

TEST(OutlierFactor, RoundsToTheSixteenBitTypeWithoutOverflow) {
  EXPECT_EQ(outlier_factor(1.0f + 0x1p-12f, DType::f16), 1.0f);
  EXPECT_EQ(outlier_factor(1e6f, DType::f16), 65504.0f);
  EXPECT_EQ(outlier_factor(-1e6f, DType::f16), -65504.0f);
  EXPECT_EQ(outlier_factor(1.0f + 0x1p-9f, DType::bf16), 1.0f);
  EXPECT_EQ(outlier_factor(0.1f, DType::f32), 0.1f);
}

}  // namespace
}  // namespace plimsoll::quant
