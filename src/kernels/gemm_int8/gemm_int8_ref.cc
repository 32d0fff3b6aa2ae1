#include "kernels/gemm_int8/gemm_int8_ref.h"

#include "quant/int8.h"

namespace plimsoll::kernels {

void gemm_int8_scalar(const LinearArgs& args) {
  quant::int8_linear_reference(*args.weight, args.x, args.rows, args.y);
}

}  // namespace plimsoll::kernels
