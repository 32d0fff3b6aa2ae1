#include "kernels/gemm_table4/gemm_table4.h"

#include <gtest/gtest.h>

#include "kernels/tile_fma/quantised_test.h"

namespace plimsoll::kernels {
namespace {

using quant::WeightFormat;

constexpr WeightFormat kFormats[] = {WeightFormat::nf4, WeightFormat::nf4_dq, WeightFormat::fp4,
                                     WeightFormat::fp4_dq, WeightFormat::log4};

TEST(GemmTable4, EveryVariantMatchesTheOracle) {
  // Odd and even numbers of 64-blocks, one over the tile's depth; odd numbers of outputs.
  for (const WeightFormat format : kFormats) {
    for (const std::int64_t columns : {64, 128, 320, 2112}) {
      for (const std::int64_t outputs : {1, 7, 53}) {
        const quant::Matrix w = cases::random_matrix(format, outputs, columns);
        EXPECT_EQ(cases::expect_oracle_for_all_rows(gemm_table4_variants(), w),
                  cases::available(gemm_table4_variants()));
      }
    }
  }
}

TEST(GemmTable4, LongerBlocksRunThroughRowEnds) {
  for (const WeightFormat format : {WeightFormat::nf4, WeightFormat::nf4_dq}) {
    for (const int block : {128, 256}) {
      const quant::Matrix w = cases::random_matrix(format, 37, 192, {.block = block});
      EXPECT_EQ(cases::expect_oracle_for_all_rows(gemm_table4_variants(), w),
                cases::available(gemm_table4_variants()));
    }
  }
}

TEST(GemmTable4, RowsOfPartBlocksAreLeftToTheScalarVariantWithAReason) {
  const quant::Matrix w = cases::random_matrix(WeightFormat::nf4, 6, 66);
  const std::vector<float> x = cases::random_values(66, 3);
  std::vector<float> y(6);
  const LinearArgs args{x.data(), 1, &w, y.data(), Compute::exact};
  for (const auto& variant : gemm_table4_variants().first(gemm_table4_variants().size() - 1)) {
    if (!variant.available()) continue;
    EXPECT_EQ(variant.supports(args).reason, "66 columns: % 64 != 0") << variant.name;
  }
  EXPECT_EQ(choose_variant(gemm_table4_variants(), args).name, "gemm_table4_scalar");
}

TEST(GemmTable4, OracleByHand) {
  // Two rows of three columns and blocks of four: row 0 = levels 0 1 2, row 1 = level 3 | 4 5.
  quant::Matrix w = cases::random_matrix(WeightFormat::nf4, 2, 3, {.block = 4});
  for (int i = 0; i < 16; ++i) w.table.data<float>()[i] = static_cast<float>(i);
  const std::uint8_t codes[] = {0x01, 0x23, 0x45};
  std::copy(codes, codes + 3, w.codes.data<std::uint8_t>());
  w.scales.data<float>()[0] = 1;
  w.scales.data<float>()[1] = 10;
  const float x[] = {1, 2, 3};
  float y[2];
  gemm_table4_variants().back().run({x, 1, &w, y, Compute::exact});
  EXPECT_EQ(y[0], 0 + 2 * 1 + 3 * 2);
  EXPECT_EQ(y[1], 3 + 2 * 40 + 3 * 50);
}

}  // namespace
}  // namespace plimsoll::kernels
