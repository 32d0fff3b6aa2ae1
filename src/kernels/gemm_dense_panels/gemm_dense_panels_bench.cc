#include "kernels/gemm_dense/gemm_dense.h"
#include "kernels/gemm_dense_panels/gemm_dense_panels.h"
#include "kernels/gemm_fp8/gemm_fp8_ref.h"
#include "kernels/tile_fma/quantised_bench.h"

namespace plimsoll::kernels {
namespace {

using quant::WeightFormat;

const bool kDense =
    cases::register_panel_benches(gemm_dense_panels_variants(), gemm_dense_ref,
                                  {WeightFormat::fp32, WeightFormat::fp16, WeightFormat::bf16});
const bool kFp8 = cases::register_panel_benches(gemm_dense_panels_variants(), gemm_fp8_scalar,
                                                {WeightFormat::fp8});

}  // namespace
}  // namespace plimsoll::kernels
