#include "kernels/gemm_dense_panels/gemm_dense_panels.h"

#include <gtest/gtest.h>

#include "kernels/gemm_dense/gemm_dense.h"
#include "kernels/panels/panel_cases.h"

namespace plimsoll::kernels {
namespace {

using quant::WeightFormat;

constexpr WeightFormat kFormats[] = {WeightFormat::fp32, WeightFormat::fp16, WeightFormat::bf16};

// One sum of n fused products is within n 2^-24 sum |x w| of the exact one (Higham, Accuracy and
// Stability, 3.1). x rounded to bf16 (8 significant bits) adds 2^-8 of each product, and vdpbf16ps
// rounds twice a pair.
std::vector<float> bounds(const LinearArgs& args, const KernelVariant<LinearArgs>& variant) {
  const bool rounds_x = variant.name == "gemm_bf16_panels_avx512_bf16";
  const double unit =
      (static_cast<double>(args.weight->columns) + 1) * 0x1p-24 + (rounds_x ? 0x1p-8 : 0);
  return cases::product_bounds(args, unit);
}

// Variants of this CPU that take the format: bf16 has one more than the others.
int variants_for(WeightFormat format) {
  const auto variants = gemm_dense_panels_variants();
  return cases::variants_of_this_cpu(format == WeightFormat::bf16 ? variants : variants.subspan(1));
}

TEST(GemmDensePanels, EveryVariantMatchesTheOracle) {
  for (const WeightFormat format : kFormats) {
    for (const std::int64_t columns : {1, 5, 128, 171}) {
      for (const std::int64_t outputs : {1, 31, 32, 65}) {
        const quant::Matrix w = cases::dense_matrix(format, outputs, columns);
        EXPECT_EQ(cases::expect_panels_oracle(gemm_dense_panels_variants(), gemm_dense_ref, w,
                                              {Compute::exact, Compute::fast}, bounds),
                  variants_for(format));
      }
    }
  }
}

TEST(GemmDensePanels, ARowNeverDependsOnItsNeighboursOrTheThreads) {
  for (const WeightFormat format : kFormats) {
    cases::expect_rows_independent(gemm_dense_panels_variants(),
                                   cases::dense_matrix(format, 70, 201));
  }
}

TEST(GemmDensePanels, FastRoundsBf16WeightsOnly) {
  const quant::Matrix w = to_panels(cases::dense_matrix(WeightFormat::fp16, 3, 4));
  const LinearArgs args{nullptr, 1, &w, nullptr, Compute::fast};
  const auto& fast = gemm_dense_panels_variants().front();
  if (!fast.available()) GTEST_SKIP() << fast.available().reason;
  EXPECT_EQ(fast.supports(args).reason, "bf16 weights only");
}

}  // namespace
}  // namespace plimsoll::kernels
