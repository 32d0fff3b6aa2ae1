#include "kernels/gemm_int4/gemm_int4.h"
#include "kernels/tile_fma/quantised_bench.h"

namespace plimsoll::kernels {
namespace {

using quant::WeightFormat;

const bool kRegistered = cases::register_benches(gemm_int4_variants(), {WeightFormat::int4});

}  // namespace
}  // namespace plimsoll::kernels
