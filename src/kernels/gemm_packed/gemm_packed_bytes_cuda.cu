// int8 and fp8 weights, in 16 bits and as they are.
#include "kernels/gemm_packed/gemm_packed_kernel_cuda.cuh"

namespace plimsoll::kernels::gemm_packed {

Launch byte_launch(gemv::Format format, Operand operand, int tokens) {
  if (operand == Operand::e4m3) return launch_of<Format::fp8, Operand::e4m3>(tokens);
  if (operand == Operand::s8) return launch_of<Format::int8, Operand::s8>(tokens);
  return format == Format::fp8 ? launch_of<Format::fp8, Operand::f16>(tokens)
                               : launch_of<Format::int8, Operand::f16>(tokens);
}

}  // namespace plimsoll::kernels::gemm_packed
