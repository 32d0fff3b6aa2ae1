// 4-bit tables.
#include "kernels/gemm_packed/gemm_packed_kernel_cuda.cuh"

namespace plimsoll::kernels::gemm_packed {

Launch table4_launch(gemv::Format format, int tokens) {
  return format == Format::table4 ? launch_of<Format::table4, Operand::f16>(tokens)
                                  : launch_of<Format::table4_dq, Operand::f16>(tokens);
}

}  // namespace plimsoll::kernels::gemm_packed
