#include "kernels/gemm_int4/gemm_int4.h"

#include <gtest/gtest.h>

#include "kernels/tile_fma/quantised_test.h"

namespace plimsoll::kernels {
namespace {

using quant::WeightFormat;

// The zero point comes off a sum of eight columns: |code - 8| + |zero - 8| <= 16 steps are summed
// where the oracle has |code - zero|, 5.3 on average of random codes. Over 8 columns and more that
// stays below kCancellation times.
constexpr float kCancellation = 16;

// Runs all row counts and compute modes.
void expect_oracle(const quant::Matrix& w) {
  for (const std::int64_t rows : cases::kTestRows) {
    const std::vector<float> x =
        cases::random_values(rows * w.columns, static_cast<std::uint64_t>(rows));
    LinearArgs args{x.data(), rows, &w, nullptr, Compute::exact};
    std::vector<float> bounds = cases::fp32_bounds(args);
    for (float& bound : bounds) bound *= kCancellation;
    for (const Compute compute : {Compute::exact, Compute::fast}) {
      args.compute = compute;
      EXPECT_EQ(cases::expect_oracle(gemm_int4_variants(), args, bounds),
                cases::available(gemm_int4_variants()));
    }
  }
}

TEST(GemmInt4, EveryVariantMatchesTheOracle) {
  // Half-full registers, several panels, short last groups, widths that are no multiple of 64.
  for (const int block : {32, 64, 128}) {
    for (const std::int64_t columns : {8, 64, 200, 320}) {
      for (const std::int64_t outputs : {8, 40, 264}) {
        expect_oracle(cases::random_matrix(WeightFormat::int4, outputs, columns, {.block = block}));
      }
    }
  }
}

TEST(GemmInt4, SeveralPanelsAThread) {
  expect_oracle(cases::random_matrix(WeightFormat::int4, 2 * 4096 + 2 * 24, 64));
}

TEST(GemmInt4, ColumnsMayBeOfAnyGroup) {
  for (const std::int64_t columns : {64, 320}) {
    for (const std::int64_t outputs : {8, 40, 264}) {
      expect_oracle(cases::random_matrix(WeightFormat::gptq, outputs, columns,
                                         {.block = 32, .shuffled_groups = true}));
    }
  }
}

TEST(GemmInt4, AGroupThatIsNoneStops) {
  for (const std::int32_t group : {-1, 2}) {
    quant::Matrix w = cases::random_matrix(WeightFormat::gptq, 8, 64, {.block = 32});
    w.group_index.data<std::int32_t>()[63] = group;
    const std::vector<float> x = cases::random_values(64, 1);
    std::vector<float> y(8);
    for (const auto& variant : gemm_int4_variants()) {
      if (!variant.available()) continue;
      EXPECT_THROW(variant.run({x.data(), 1, &w, y.data(), Compute::exact}), InternalError)
          << variant.name;
    }
  }
}

}  // namespace
}  // namespace plimsoll::kernels
