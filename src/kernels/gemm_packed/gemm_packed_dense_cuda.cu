// fp16, bf16 and int4 weights.
#include "kernels/gemm_packed/gemm_packed_kernel_cuda.cuh"

namespace plimsoll::kernels::gemm_packed {

Launch dense_launch(gemv::Format format, Operand, int tokens) {
  switch (format) {
    case Format::bf16:
      return launch_of<Format::bf16, Operand::bf16>(tokens);
    case Format::int4:
      return launch_of<Format::int4, Operand::f16>(tokens);
    default:
      return launch_of<Format::f16, Operand::f16>(tokens);
  }
}

}  // namespace plimsoll::kernels::gemm_packed
