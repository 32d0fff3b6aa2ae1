#include "kernels/gemm_int8/gemm_int8.h"
#include "kernels/tile_fma/quantised_bench.h"

namespace plimsoll::kernels {
namespace {

using quant::WeightFormat;

const bool kRegistered = cases::register_benches(
    gemm_int8_variants(), {WeightFormat::int8_dynamic, WeightFormat::int8_static});

}  // namespace
}  // namespace plimsoll::kernels
