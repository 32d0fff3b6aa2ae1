#include "kernels/gemm_fp8/gemm_fp8_ref.h"

#include "kernels/tile_fma/tile_product.h"

namespace plimsoll::kernels {

void gemm_fp8_scalar(const LinearArgs& args) {
  multiply_decoded_rows(args);
}

}  // namespace plimsoll::kernels
