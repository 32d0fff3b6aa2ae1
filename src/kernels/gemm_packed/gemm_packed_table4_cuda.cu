// 4-bit tables.
#include "kernels/gemm_packed/table_kernel_cuda.cuh"

namespace plimsoll::kernels::gemm_packed {

namespace {

template <Format kFormat, int kTokens>
constexpr Launch kLaunch = launch_table<kFormat, kTokens, table_block_tiles(kTokens)>;

template <Format kFormat>
Launch launch_of_table(int tokens) {
  switch (tokens) {
    case 16:
      return kLaunch<kFormat, 16>;
    case 32:
      return kLaunch<kFormat, 32>;
    case 64:
      return kLaunch<kFormat, 64>;
    case 128:
      return kLaunch<kFormat, 128>;
    default:
      return kLaunch<kFormat, 256>;
  }
}

}  // namespace

Launch table4_launch(gemv::Format format, int tokens) {
  return format == Format::table4 ? launch_of_table<Format::table4>(tokens)
                                  : launch_of_table<Format::table4_dq>(tokens);
}

}  // namespace plimsoll::kernels::gemm_packed
