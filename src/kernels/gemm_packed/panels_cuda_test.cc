#include "kernels/gemm_packed/panels_cuda.h"

#include <gtest/gtest.h>

#include <set>

namespace plimsoll::kernels::gemm_packed {
namespace {

struct Layout {
  gemv::Format format;
  Operand operand;
};
constexpr Layout kLayouts[] = {
    {gemv::Format::f16, Operand::f16},    {gemv::Format::bf16, Operand::bf16},
    {gemv::Format::fp8, Operand::f16},    {gemv::Format::int8, Operand::f16},
    {gemv::Format::table4, Operand::f16}, {gemv::Format::int4, Operand::f16},
    {gemv::Format::fp8, Operand::e4m3},   {gemv::Format::int8, Operand::s8},
};

// Needs no GPU: every column of a block is in one place.
TEST(PanelsCuda, HoldEachColumnOnce) {
  for (const auto& [format, operand] : kLayouts) {
    std::set<int> columns;
    for (int q = 0; q < 8; ++q) {
      for (int t = 0; t < 4; ++t) {
        for (int e = 0; e < 4 / element_bytes(operand); ++e)
          columns.insert(panel_column(format, operand, q, t, e));
      }
    }
    EXPECT_EQ(static_cast<int>(columns.size()), block_columns(operand));
    EXPECT_EQ(*columns.begin(), 0);
    EXPECT_EQ(*columns.rbegin(), block_columns(operand) - 1);
  }
}

}  // namespace
}  // namespace plimsoll::kernels::gemm_packed
