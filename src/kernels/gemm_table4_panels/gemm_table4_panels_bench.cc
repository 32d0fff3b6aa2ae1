#include "kernels/gemm_int4/gemm_int4_ref.h"
#include "kernels/gemm_table4/gemm_table4_ref.h"
#include "kernels/gemm_table4_panels/gemm_table4_panels.h"
#include "kernels/tile_fma/quantised_bench.h"

namespace plimsoll::kernels {
namespace {

using quant::WeightFormat;

const bool kTables = cases::register_panel_benches(
    gemm_table4_panels_variants(), gemm_table4_scalar, {WeightFormat::nf4, WeightFormat::nf4_dq});
const bool kGrouped = cases::register_panel_benches(gemm_table4_panels_variants(), gemm_int4_scalar,
                                                    {WeightFormat::int4});

}  // namespace
}  // namespace plimsoll::kernels
