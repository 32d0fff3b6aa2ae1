#include "kernels/gemm_table4_panels/gemm_table4_panels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "kernels/gemm_int4/gemm_int4_ref.h"
#include "kernels/gemm_table4/gemm_table4_ref.h"
#include "kernels/panels/panel_cases.h"
#include "quant/block4.h"

namespace plimsoll::kernels {
namespace {

using quant::WeightFormat;

constexpr WeightFormat kFormats[] = {WeightFormat::nf4,    WeightFormat::nf4_dq, WeightFormat::fp4,
                                     WeightFormat::fp4_dq, WeightFormat::log4,   WeightFormat::int4,
                                     WeightFormat::gptq};

bool is_grouped(const quant::Matrix& w) {
  return w.format == WeightFormat::int4 || w.format == WeightFormat::gptq;
}

// In sizes that int4's layout has: outputs by eight.
quant::Matrix matrix_of(WeightFormat format, std::int64_t outputs, std::int64_t columns,
                        int block = 64) {
  const bool grouped = format == WeightFormat::int4 || format == WeightFormat::gptq;
  return cases::random_matrix(format, grouped ? (outputs + 7) / 8 * 8 : outputs, columns,
                              {.block = block});
}

void oracle(const LinearArgs& args) {
  is_grouped(*args.weight) ? gemm_int4_scalar(args) : gemm_table4_scalar(args);
}

// Half a step of the eight-bit levels, in weights, of block b of output n. int4's are exact.
double level_step(const quant::Matrix& w, const std::vector<float>& scales, std::int64_t n,
                  std::int64_t b) {
  if (is_grouped(w)) return 0;
  float largest = 0;
  for (const float level : w.table.span<float>()) largest = std::max(largest, std::fabs(level));
  return std::fabs(scales[static_cast<std::size_t>(n * (w.columns / 64) + b)]) * largest / 254.0;
}

// exact: one sum of n fused fp32 products, each weight rounded once more: (n + 2) 2^-24 sum |x w|
// (Higham, Accuracy and Stability, 3.1). fast adds half a step of the eight-bit levels (largest
// level / 127 / 2, times the block's scale) and half a step of the eight-bit x (its block's absmax
// / 127 / 2) to each factor; both steps together once more.
std::vector<float> bounds(const LinearArgs& args, const KernelVariant<LinearArgs>& variant) {
  const quant::Matrix& w = *args.weight;
  std::vector<float> result =
      cases::product_bounds(args, (static_cast<double>(w.columns) + 2) * 0x1p-24);
  if (!variant.name.starts_with("gemm_table4_int8")) return result;
  const Tensor decoded = quant::decode(w);
  const std::vector<float> scales = is_grouped(w) ? std::vector<float>() : quant::block4_scales(w);
  for (std::int64_t r = 0; r < args.rows; ++r) {
    for (std::int64_t n = 0; n < w.rows; ++n) {
      double sum = 0;
      for (std::int64_t b = 0; b < w.columns / 64; ++b) {
        const float* x = args.x + r * w.columns + b * 64;
        const float* weights = decoded.data<float>() + n * w.columns + b * 64;
        const float absmax = std::fabs(*std::max_element(
            x, x + 64, [](float p, float q) { return std::fabs(p) < std::fabs(q); }));
        const double x_step = absmax / 254.0;
        const double w_step = level_step(w, scales, n, b);
        for (int k = 0; k < 64; ++k) {
          sum += w_step * std::fabs(x[k]) + x_step * std::fabs(weights[k]) + x_step * w_step;
        }
      }
      result[static_cast<std::size_t>(r * w.rows + n)] += static_cast<float>(sum * 1.001);
    }
  }
  return result;
}

TEST(GemmTable4Panels, EveryVariantMatchesTheOracle) {
  for (const WeightFormat format : kFormats) {
    for (const std::int64_t columns : {64, 128, 320}) {
      for (const std::int64_t outputs : {1, 33, 64}) {
        const quant::Matrix w = matrix_of(format, outputs, columns);
        EXPECT_EQ(cases::expect_panels_oracle(gemm_table4_panels_variants(), oracle, w,
                                              {Compute::exact, Compute::fast}, bounds),
                  cases::variants_of_this_cpu(gemm_table4_panels_variants()));
      }
    }
  }
}

TEST(GemmTable4Panels, GroupsOfSeveralBlocksAndAShortLastOne) {
  for (const int group : {64, 128, 192, 320}) {
    const quant::Matrix w = matrix_of(WeightFormat::int4, 40, 320, group);
    EXPECT_EQ(cases::expect_panels_oracle(gemm_table4_panels_variants(), oracle, w,
                                          {Compute::exact, Compute::fast}, bounds),
              cases::variants_of_this_cpu(gemm_table4_panels_variants()));
  }
}

TEST(GemmTable4Panels, NestedScalesChangeAnywhereInARow) {
  // 33 and 300 blocks a row against 256 scales a nested one: changes at odd and even blocks, within
  // rows and at their ends.
  for (const std::int64_t columns : {33 * 64, 300 * 64}) {
    const quant::Matrix w = cases::random_matrix(WeightFormat::nf4_dq, 35, columns);
    const quant::Matrix packed = to_panels(w);
    const std::vector<float> x = cases::random_values(columns, 5);
    std::vector<float> expected(35), actual(35);
    const LinearArgs args{x.data(), 1, &w, expected.data(), Compute::exact};
    gemm_table4_scalar(args);
    for (const auto& variant : gemm_table4_panels_variants()) {
      for (const Compute compute : {Compute::exact, Compute::fast}) {
        const LinearArgs packed_args{x.data(), 1, &packed, actual.data(), compute};
        if (!variant.supports(packed_args)) continue;
        variant.run(packed_args);
        cases::expect_near(actual, expected, bounds(args, variant), std::string(variant.name));
      }
    }
  }
}

TEST(GemmTable4Panels, ARowNeverDependsOnItsNeighboursOrTheThreads) {
  for (const WeightFormat format : kFormats) {
    cases::expect_rows_independent(gemm_table4_panels_variants(), matrix_of(format, 70, 192));
  }
}

TEST(GemmTable4Panels, PartAndLongBlocksAreNotPacked) {
  EXPECT_EQ(can_pack(cases::random_matrix(WeightFormat::nf4, 6, 66)).reason,
            "66 columns: % 64 != 0");
  EXPECT_EQ(can_pack(cases::random_matrix(WeightFormat::nf4, 2, 128, {.block = 128})).reason,
            "block 128: not 64");
  EXPECT_EQ(can_pack(matrix_of(WeightFormat::int4, 8, 128, 32)).reason, "group 32: % 64 != 0");
  EXPECT_EQ(can_pack(cases::random_matrix(WeightFormat::gptq, 8, 128,
                                          {.block = 64, .shuffled_groups = true}))
                .reason,
            "columns of a group that are not neighbours");
}

}  // namespace
}  // namespace plimsoll::kernels
