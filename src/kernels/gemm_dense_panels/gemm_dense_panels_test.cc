#include "kernels/gemm_dense_panels/gemm_dense_panels.h"

#include <gtest/gtest.h>

#include "kernels/gemm_dense/gemm_dense.h"
#include "kernels/gemm_fp8/gemm_fp8_ref.h"
#include "kernels/panels/panel_cases.h"

namespace plimsoll::kernels {
namespace {

using quant::WeightFormat;

constexpr WeightFormat kFormats[] = {WeightFormat::fp32, WeightFormat::fp16, WeightFormat::bf16,
                                     WeightFormat::fp8};

quant::Matrix matrix_of(WeightFormat format, std::int64_t outputs, std::int64_t columns) {
  return format == WeightFormat::fp8 ? cases::random_matrix(format, outputs, columns)
                                     : cases::dense_matrix(format, outputs, columns);
}

auto oracle_of(WeightFormat format) {
  return format == WeightFormat::fp8 ? gemm_fp8_scalar : gemm_dense_ref;
}

bool has_fast_variant(WeightFormat format) {
  return format == WeightFormat::bf16 || format == WeightFormat::fp8;
}

// One sum of n fused products is within n 2^-24 sum |x w| of the exact one (Higham, Accuracy and
// Stability, 3.1); fp8's scale rounds twice more. x rounded to bf16 (8 significant bits) adds 2^-8
// of each product, and vdpbf16ps rounds twice a pair.
std::vector<float> bounds(const LinearArgs& args, const KernelVariant<LinearArgs>& variant) {
  const bool rounds_x = variant.name == "gemm_bf16_panels_avx512_bf16";
  const double unit =
      (static_cast<double>(args.weight->columns) + 3) * 0x1p-24 + (rounds_x ? 0x1p-8 : 0);
  return cases::product_bounds(args, unit);
}

// Variants of this CPU that take the format.
int variants_for(WeightFormat format) {
  const auto variants = gemm_dense_panels_variants();
  return cases::variants_of_this_cpu(has_fast_variant(format) ? variants : variants.subspan(1));
}

TEST(GemmDensePanels, EveryVariantMatchesTheOracle) {
  for (const WeightFormat format : kFormats) {
    for (const std::int64_t columns : {1, 5, 128, 171}) {
      for (const std::int64_t outputs : {1, 31, 32, 65}) {
        const quant::Matrix w = matrix_of(format, outputs, columns);
        EXPECT_EQ(cases::expect_panels_oracle(gemm_dense_panels_variants(), oracle_of(format), w,
                                              {Compute::exact, Compute::fast}, bounds),
                  variants_for(format));
      }
    }
  }
}

TEST(GemmDensePanels, ARowNeverDependsOnItsNeighboursOrTheThreads) {
  for (const WeightFormat format : kFormats) {
    cases::expect_rows_independent(gemm_dense_panels_variants(), matrix_of(format, 70, 201));
  }
}

// One column of weights at a time, each of the 256 codes once.
TEST(GemmDensePanels, EveryFp8CodeIsItsValue) {
  quant::Matrix w = matrix_of(WeightFormat::fp8, 256, 3);
  std::fill_n(w.codes.data<fp8_e4m3>(), w.codes.size(), fp8_e4m3{});
  for (int code = 0; code < 256; ++code) {
    w.codes.data<fp8_e4m3>()[3 * code + 1].bits = static_cast<std::uint8_t>(code);
  }
  const quant::Matrix packed = to_panels(w);
  const float x[] = {5, 1, 7};
  int ran = 0;
  for (const auto& variant : gemm_dense_panels_variants()) {
    float y[256];
    const LinearArgs args{x, 1, &packed, y, Compute::fast};
    if (!variant.supports(args)) continue;
    ++ran;
    variant.run(args);
    for (int code = 0; code < 256; ++code) {
      const float value = to_float(w.codes.data<fp8_e4m3>()[3 * code + 1]);
      if (std::isnan(value)) {
        EXPECT_TRUE(std::isnan(y[code])) << variant.name << " " << code;
      } else {
        EXPECT_EQ(y[code], value * w.scales.data<float>()[code]) << variant.name << " " << code;
      }
    }
  }
  EXPECT_EQ(ran, variants_for(WeightFormat::fp8));
}

TEST(GemmDensePanels, FastRoundsBf16AndFp8WeightsOnly) {
  const quant::Matrix w = to_panels(cases::dense_matrix(WeightFormat::fp16, 3, 4));
  const LinearArgs args{nullptr, 1, &w, nullptr, Compute::fast};
  const auto& fast = gemm_dense_panels_variants().front();
  if (!fast.available()) GTEST_SKIP() << fast.available().reason;
  EXPECT_EQ(fast.supports(args).reason, "bf16 and fp8 weights only");
}

}  // namespace
}  // namespace plimsoll::kernels
