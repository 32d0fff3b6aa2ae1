#include "eval/slow_paths.h"

#include <gtest/gtest.h>

#include "core/cpu.h"
#include "model/load_model.h"
#include "support/support.h"

namespace plimsoll {
namespace {

using quant::WeightFormat;

std::unique_ptr<Model> demo(WeightFormat format) {
  LoadOptions options;
  options.weights.format = format;
  options.weights.pack = true;
  return load_model(test::source_path("models/draft").string(), options);
}

ops::Context context(ops::Compute compute) {
  ops::Context context;
  context.compute = compute;
  return context;
}

class SlowPaths : public testing::Test {
 protected:
  void SetUp() override {
    if (detected_isa() < Isa::avx512_bf16) GTEST_SKIP() << "a CPU without bf16 units";
  }
  void TearDown() override { limit_isa(detected_isa()); }
};

TEST_F(SlowPaths, TunedFormatsHaveNone) {
  for (const auto format : {WeightFormat::bf16, WeightFormat::int8, WeightFormat::nf4_dq,
                            WeightFormat::fp8, WeightFormat::int4}) {
    const auto model = demo(format);
    EXPECT_EQ(slow_paths(*model, context(ops::Compute::fast)), std::vector<std::string>{})
        << quant::format_name(format);
  }
}

TEST_F(SlowPaths, ExactArithmeticLeavesTheUnitsUnused) {
  const auto model = demo(WeightFormat::bf16);
  const auto lines = slow_paths(*model, context(ops::Compute::exact));
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find("gemm_dense_panels_avx512 multiplies in fp32 and not in bf16"),
            std::string::npos)
      << lines[0];
  EXPECT_NE(lines[0].find("--compute fast only"), std::string::npos) << lines[0];
}

TEST_F(SlowPaths, AFormatWithoutAKernelForTheUnit) {
  const auto model = demo(WeightFormat::fp16);
  const auto lines = slow_paths(*model, context(ops::Compute::fast));
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_NE(lines[0].find("bf16 and fp8 weights only"), std::string::npos) << lines[0];
  EXPECT_NE(lines[0].find("linear layers (model.layers.0."), std::string::npos) << lines[0];
}

TEST_F(SlowPaths, AnInstructionSetHeldBack) {
  const auto model = demo(WeightFormat::bf16);
  limit_isa(Isa::avx2);
  const auto lines = slow_paths(*model, context(ops::Compute::fast));
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0], "--isa avx2 holds back a CPU that has avx512-bf16");
}

// 96 columns: not whole blocks of 64, so that the matrix stays as stored and the oracle runs.
TEST_F(SlowPaths, AShapeThatTheKernelsRefuse) {
  LoadOptions options;
  options.weights.format = WeightFormat::nf4;
  options.weights.pack = true;
  const auto model = load_model(test::golden("llama3-tiny").string(), options);
  const auto lines = slow_paths(*model, context(ops::Compute::fast));
  ASSERT_EQ(lines.size(), 1u);  // nothing of the head, which is fp32 and runs as such
  EXPECT_NE(lines[0].find("multiplies in fp32 and not in int8 (96 columns: % 64 != 0; "
                          "gemm_table4_avx512: 96 columns: % 64 != 0"),
            std::string::npos)
      << lines[0];
}

TEST(BoundByLaunches, WhereKernelsAreShortAndFarBelowTheirCeiling) {
  KernelProfile profile;
  KernelTime kernel;
  kernel.seconds = 1e-3;
  kernel.share_of_ceiling = 0.2;
  profile.kernels = {kernel};
  EXPECT_FALSE(bound_by_launches(profile)) << "nothing is known of the launches";
  profile.timeline = DeviceTimeline{2e-3, 1.2e-3, 400};
  EXPECT_EQ(bound_by_launches(profile),
            "launches bound it: 400 kernels and copies of 3.0 us on average, little more than one "
            "takes to begin and end, keep the GPU busy for 60 % of the time; at the ceilings their "
            "work takes 10 %. More sequences at once, or a larger model, would fill the GPU");
  profile.timeline->launches = 40;  // of 30 us
  EXPECT_FALSE(bound_by_launches(profile));
  profile.timeline->launches = 400;
  profile.kernels.front().share_of_ceiling = 1.1;
  EXPECT_FALSE(bound_by_launches(profile));
}

}  // namespace
}  // namespace plimsoll
