#include "kernels/gemm_int8/gemm_int8_ref.h"
#include "kernels/gemm_int8_panels/gemm_int8_panels.h"
#include "kernels/tile_fma/quantised_bench.h"

namespace plimsoll::kernels {
namespace {

using quant::WeightFormat;

const bool kRegistered = cases::register_panel_benches(
    gemm_int8_panels_variants(), gemm_int8_scalar, {WeightFormat::int8_dynamic});

}  // namespace
}  // namespace plimsoll::kernels
