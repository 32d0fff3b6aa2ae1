#include "kernels/gemm_fp8/gemm_fp8.h"

#include <gtest/gtest.h>

#include "kernels/tile_fma/quantised_test.h"

namespace plimsoll::kernels {
namespace {

using quant::WeightFormat;

TEST(GemmFp8, EveryVariantMatchesTheOracle) {
  // Whole groups, tails of every kind, one group over the tile's depth; odd numbers of outputs.
  for (const std::int64_t columns : {64, 1, 31, 33, 100, 320, 2048, 2113}) {
    for (const std::int64_t outputs : {1, 7, 53}) {
      const quant::Matrix w = cases::random_matrix(WeightFormat::fp8, outputs, columns);
      EXPECT_EQ(cases::expect_oracle_for_all_rows(gemm_fp8_variants(), w),
                cases::available(gemm_fp8_variants()));
    }
  }
}

TEST(GemmFp8, EveryCodeHasItsValue) {
  // x = 1 in one column, so that y is the decoded weight itself, exactly.
  quant::Matrix w = cases::random_matrix(WeightFormat::fp8, 256, 1);
  for (int code = 0; code < 256; ++code) {
    w.codes.data<fp8_e4m3>()[code].bits = static_cast<std::uint8_t>(code);
    w.scales.data<float>()[code] = 0.5f;
  }
  const float one = 1;
  for (const auto& variant : gemm_fp8_variants()) {
    if (!variant.available()) continue;
    std::vector<float> y(256, -1.0f);
    variant.run({&one, 1, &w, y.data(), Compute::exact});
    for (int code = 0; code < 256; ++code) {
      const float expected = to_float(fp8_e4m3{static_cast<std::uint8_t>(code)}) * 0.5f;
      const float actual = y[static_cast<std::size_t>(code)];
      if (std::isnan(expected)) {
        EXPECT_TRUE(std::isnan(actual)) << variant.name << " code " << code;
      } else {
        EXPECT_EQ(actual, expected) << variant.name << " code " << code;
      }
    }
  }
}

TEST(GemmFp8, NanWeightsReachEveryOutputOfTheirRowOnly) {
  const std::int64_t columns = 2200;
  quant::Matrix w = cases::random_matrix(WeightFormat::fp8, 3, columns);
  w.codes.data<fp8_e4m3>()[columns + 2190].bits = 0xff;
  for (const std::int64_t rows : cases::kTestRows) {
    const std::vector<float> x(static_cast<std::size_t>(rows * columns), 0.0f);
    for (const auto& variant : gemm_fp8_variants()) {
      if (!variant.available()) continue;
      std::vector<float> y(static_cast<std::size_t>(rows * 3), -1.0f);
      variant.run({x.data(), rows, &w, y.data(), Compute::exact});
      for (std::size_t i = 0; i < y.size(); ++i) {
        EXPECT_EQ(std::isnan(y[i]), i % 3 == 1)
            << variant.name << " rows " << rows << " output " << i;
      }
    }
  }
}

}  // namespace
}  // namespace plimsoll::kernels
