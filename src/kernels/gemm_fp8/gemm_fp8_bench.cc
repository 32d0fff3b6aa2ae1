#include "kernels/gemm_fp8/gemm_fp8.h"
#include "kernels/tile_fma/quantised_bench.h"

namespace plimsoll::kernels {
namespace {

using quant::WeightFormat;

const bool kRegistered = cases::register_benches(gemm_fp8_variants(), {WeightFormat::fp8});

}  // namespace
}  // namespace plimsoll::kernels
