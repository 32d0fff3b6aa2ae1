#include "kernels/gemm_int8/gemm_int8.h"

#include <gtest/gtest.h>

#include "kernels/tile_fma/quantised_test.h"

namespace plimsoll::kernels {
namespace {

using quant::WeightFormat;

// Group tails of both instruction sets; one width over a panel of outputs.
constexpr std::int64_t kColumns[] = {1, 15, 64, 100, 320, 2049};
constexpr std::int64_t kOutputs[] = {1, 7, 53};

quant::Matrix matrix_of(WeightFormat format, std::int64_t outputs, std::int64_t columns) {
  quant::Matrix w = cases::random_matrix(format, outputs, columns);
  if (format == WeightFormat::int8_static) {
    w.input_scale = 0.02f;
    w.input_zero = -17;
  }
  return w;
}

// Runs all row counts; `bound` is how far an output may be off.
void expect_oracle(const quant::Matrix& w, float amplitude, float bound) {
  for (const std::int64_t rows : cases::kTestRows) {
    std::vector<float> x = cases::random_values(rows * w.columns, static_cast<std::uint64_t>(rows));
    for (float& value : x) value *= amplitude;
    const std::vector<float> bounds(static_cast<std::size_t>(rows * w.rows), bound);
    for (const Compute compute : {Compute::exact, Compute::fast}) {
      const LinearArgs args{x.data(), rows, &w, nullptr, compute};
      EXPECT_EQ(cases::expect_oracle(gemm_int8_variants(), args, bounds),
                cases::available(gemm_int8_variants()));
    }
  }
}

TEST(GemmInt8, WithoutOutliersEveryVariantGivesTheOraclesBits) {
  for (const WeightFormat format :
       {WeightFormat::int8, WeightFormat::int8_dynamic, WeightFormat::int8_static}) {
    for (const std::int64_t columns : kColumns) {
      for (const std::int64_t outputs : kOutputs) {
        expect_oracle(matrix_of(format, outputs, columns), 1, 0);
      }
    }
  }
}

TEST(GemmInt8, OutlierColumnsGoTheSixteenBitWay) {
  // Amplitude 3, threshold 6: about one value in twenty is an outlier. Their part is summed in
  // fp32: (terms) * 2^-24 * (sum of |x w|) <= 0.1 columns * 2^-24 * 0.1 columns * 10 * 1.3, and the
  // addition to the integer part (up to 127 columns' worth of 10 * 1.3 / 4) rounds once more.
  for (const bool by_batch : {false, true}) {
    for (const DType dtype : {DType::f16, DType::bf16, DType::f32}) {
      for (const std::int64_t columns : {1, 100, 320}) {
        quant::Matrix w = matrix_of(WeightFormat::int8, 53, columns);
        w.outlier_threshold = 6;
        w.outliers_by_batch = by_batch;
        w.source_dtype = dtype;
        const auto width = static_cast<float>(columns);
        expect_oracle(w, 3,
                      (by_batch ? 13.0f : 0.13f) * width * width * 0x1p-24f + 0x1p-20f * width);
      }
    }
  }
}

TEST(GemmInt8, AThresholdThatEveryColumnReachesLeavesTheIntegerProductEmpty) {
  quant::Matrix w = matrix_of(WeightFormat::int8, 5, 64);
  w.outlier_threshold = 1e-30f;
  expect_oracle(w, 1, 64 * 64 * 4 * 1.3f * 0x1p-24f);
}

TEST(GemmInt8, TheLargestSumsDoNotSaturate) {
  // All codes at their extremes, -128 in the weights included, over the most columns.
  const std::int64_t columns = 1 << 16;
  for (const WeightFormat format : {WeightFormat::int8_dynamic, WeightFormat::int8_static}) {
    for (const std::int8_t code : {std::int8_t{-128}, std::int8_t{127}}) {
      for (const float sign : {1.0f, -1.0f}) {
        quant::Matrix w = cases::random_matrix(format, 2, columns);
        w.input_scale = 0.001f;
        w.input_zero = sign > 0 ? -128 : 127;
        std::fill_n(w.codes.data<std::int8_t>(), 2 * columns, code);
        const std::vector<float> x(static_cast<std::size_t>(columns), sign);
        const float bounds[] = {0, 0};
        const LinearArgs args{x.data(), 1, &w, nullptr, Compute::exact};
        EXPECT_EQ(cases::expect_oracle(gemm_int8_variants(), args, bounds),
                  cases::available(gemm_int8_variants()));
      }
    }
  }
}

TEST(GemmInt8, WiderMatricesAreLeftToTheScalarVariantWithAReason) {
  const quant::Matrix w = cases::random_matrix(WeightFormat::int8, 1, (1 << 16) + 1);
  const LinearArgs args{nullptr, 1, &w, nullptr, Compute::exact};
  for (const auto& variant : gemm_int8_variants().first(gemm_int8_variants().size() - 1)) {
    if (!variant.available()) continue;
    EXPECT_EQ(variant.supports(args).reason, "65537 columns: more than 65536") << variant.name;
  }
}

}  // namespace
}  // namespace plimsoll::kernels
