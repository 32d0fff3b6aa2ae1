#include "ops/linear.h"

#include <gtest/gtest.h>

#include "core/cpu.h"

namespace plimsoll::ops {
namespace {

using quant::WeightFormat;

TEST(UnitOf, FollowsTheArithmetic) {
  EXPECT_EQ(unit_of(Compute::exact, WeightFormat::nf4), "fp32");
  EXPECT_EQ(unit_of(Compute::fast, WeightFormat::fp32), "fp32");
  EXPECT_EQ(unit_of(Compute::fast, WeightFormat::nf4_dq), "int8");
  limit_isa(Isa::scalar);
  EXPECT_EQ(unit_of(Compute::fast, WeightFormat::bf16), "fp32");
  limit_isa(detected_isa());
  EXPECT_EQ(unit_of(Compute::fast, WeightFormat::bf16),
            detected_isa() == Isa::avx512_bf16 ? "bf16" : "fp32");
  EXPECT_EQ(unit_of(Compute::fast, WeightFormat::fp8), unit_of(Compute::fast, WeightFormat::bf16));
}

}  // namespace
}  // namespace plimsoll::ops
