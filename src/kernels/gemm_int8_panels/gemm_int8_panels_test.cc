#include "kernels/gemm_int8_panels/gemm_int8_panels.h"

#include <gtest/gtest.h>

#include "kernels/gemm_int8/gemm_int8_ref.h"
#include "kernels/panels/panel_cases.h"

namespace plimsoll::kernels {
namespace {

using quant::WeightFormat;

quant::Matrix matrix_of(WeightFormat format, std::int64_t outputs, std::int64_t columns) {
  quant::Matrix w = cases::random_matrix(format, outputs, columns);
  if (format == WeightFormat::int8_static) {
    w.input_scale = 0.02f;
    w.input_zero = -17;
  }
  return w;
}

// Every output of every variant within `bound` of the oracle's.
void expect_oracle(const quant::Matrix& w, float amplitude, float bound) {
  const auto bounds = [&](const LinearArgs& args, const KernelVariant<LinearArgs>&) {
    return std::vector<float>(static_cast<std::size_t>(args.rows * args.weight->rows), bound);
  };
  EXPECT_EQ(cases::expect_panels_oracle(gemm_int8_panels_variants(), gemm_int8_scalar, w,
                                        {Compute::fast}, bounds, amplitude),
            cases::variants_of_this_cpu(gemm_int8_panels_variants()));
}

TEST(GemmInt8Panels, WithoutOutliersEveryVariantGivesTheOraclesBits) {
  for (const WeightFormat format :
       {WeightFormat::int8, WeightFormat::int8_dynamic, WeightFormat::int8_static}) {
    for (const std::int64_t columns : {1, 15, 64, 321}) {
      for (const std::int64_t outputs : {1, 33, 64}) {
        expect_oracle(matrix_of(format, outputs, columns), 1, 0);
      }
    }
  }
}

TEST(GemmInt8Panels, OutlierColumnsGoTheSixteenBitWay) {
  // Amplitude 3, threshold 6: about one value in twenty is an outlier. The bound is that of
  // gemm_int8_test.cc: the outliers' part is summed in fp32.
  for (const bool by_batch : {false, true}) {
    for (const DType dtype : {DType::f16, DType::bf16, DType::f32}) {
      for (const std::int64_t columns : {1, 101, 320}) {
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

TEST(GemmInt8Panels, TheLargestSumsDoNotSaturate) {
  const std::int64_t columns = 1 << 16;
  for (const WeightFormat format : {WeightFormat::int8_dynamic, WeightFormat::int8_static}) {
    for (const std::int8_t code : {std::int8_t{-128}, std::int8_t{127}}) {
      quant::Matrix w = cases::random_matrix(format, 2, columns);
      w.input_scale = 0.001f;
      w.input_zero = 127;
      std::fill_n(w.codes.data<std::int8_t>(), 2 * columns, code);
      const quant::Matrix packed = to_panels(w);
      const std::vector<float> x(static_cast<std::size_t>(columns), -1.0f);
      float expected[2];
      gemm_int8_scalar({x.data(), 1, &w, expected, Compute::exact});
      for (const auto& variant : gemm_int8_panels_variants()) {
        if (!variant.available()) continue;
        float actual[2] = {};
        variant.run({x.data(), 1, &packed, actual, Compute::exact});
        EXPECT_EQ(actual[0], expected[0]) << variant.name;
        EXPECT_EQ(actual[1], expected[1]) << variant.name;
      }
    }
  }
}

TEST(GemmInt8Panels, ARowNeverDependsOnItsNeighboursOrTheThreads) {
  quant::Matrix w = matrix_of(WeightFormat::int8, 70, 201);
  w.outlier_threshold = 2;
  cases::expect_rows_independent(gemm_int8_panels_variants(), w);
}

TEST(GemmInt8Panels, WiderMatricesAreNotPacked) {
  const quant::Matrix w = cases::random_matrix(WeightFormat::int8, 1, (1 << 16) + 1);
  EXPECT_EQ(can_pack(w).reason, "65537 columns: more than 65536");
}

}  // namespace
}  // namespace plimsoll::kernels
