#include "kernels/gemm_int4/gemm_int4_ref.h"

#include "kernels/tile_fma/tile_product.h"

namespace plimsoll::kernels {

void gemm_int4_scalar(const LinearArgs& args) {
  multiply_decoded_rows(args);
}

}  // namespace plimsoll::kernels
