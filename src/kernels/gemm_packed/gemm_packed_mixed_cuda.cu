// LLM.int8(): chunks without outliers in s8, the others in f16.
#include "kernels/gemm_packed/mixed_kernel_cuda.cuh"

namespace plimsoll::kernels::gemm_packed {

namespace {

template <int kTokens>
void launch_mixed(const Plan& plan, cudaStream_t stream) {
  using R = MixedRing<kTokens>;
  static_assert(R::kStages >= 2);
  launch_tiles<gemm_mixed_kernel<kTokens>, R::kThreads, R::kBytes>(plan, stream);
}

}  // namespace

Launch mixed_launch(int tokens) {
  switch (tokens) {
    case 32:
      return launch_mixed<32>;
    case 64:
      return launch_mixed<64>;
    case 128:
      return launch_mixed<128>;
    default:
      return launch_mixed<256>;
  }
}

}  // namespace plimsoll::kernels::gemm_packed
