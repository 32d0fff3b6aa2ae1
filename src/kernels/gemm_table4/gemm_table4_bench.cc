#include "kernels/gemm_table4/gemm_table4.h"
#include "kernels/tile_fma/quantised_bench.h"

namespace plimsoll::kernels {
namespace {

using quant::WeightFormat;

const bool kRegistered =
    cases::register_benches(gemm_table4_variants(), {WeightFormat::nf4, WeightFormat::nf4_dq});

}  // namespace
}  // namespace plimsoll::kernels
