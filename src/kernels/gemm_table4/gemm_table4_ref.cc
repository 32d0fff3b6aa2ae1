#include "kernels/gemm_table4/gemm_table4_ref.h"

#include "kernels/tile_fma/tile_product.h"

namespace plimsoll::kernels {

void gemm_table4_scalar(const LinearArgs& args) {
  multiply_decoded_rows(args);
}

}  // namespace plimsoll::kernels
