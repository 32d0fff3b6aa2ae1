#include "kernels/cuda/launch_cuda.cuh"
#include "kernels/cuda/rows_cuda.cuh"
#include "kernels/gemv/gemv_epilogue_cuda.cuh"
#include "kernels/product/product_epilogue_cuda.h"

namespace plimsoll::kernels::product {

namespace {

constexpr unsigned kThreads = 256;

// Grid [columns, rows].
__global__ void __launch_bounds__(kThreads)
    epilogue_kernel(const __grid_constant__ EpilogueArgs args) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.y) * kThreads + threadIdx.x;
  const std::int64_t row = blockIdx.x;
  if (i >= args.width) return;
  const bool paired = args.epilogue == gemv::Epilogue::swiglu;
  const float* sums = args.sums + row * args.width * (paired ? 2 : 1);
  float value = sums[i] + (args.bias != nullptr ? args.bias[i] : 0);
  if (paired) {
    const std::int64_t up = i + args.width;
    value = gemv::silu(value) * (sums[up] + (args.bias != nullptr ? args.bias[up] : 0));
  } else {
    value = gemv::activated(args.epilogue, value);
  }
  if (args.y16 != nullptr) {
    static_cast<std::uint16_t*>(args.y16)[row * args.width + i] =
        static_cast<std::uint16_t>(cuda_device::pair_bits(args.bf16, value, 0));
  } else {
    args.y[row * args.width + i] = value;
  }
}

}  // namespace

void run_epilogue(const EpilogueArgs& args, cudaStream_t stream) {
  LaunchShape shape;
  shape.grid = dim3(static_cast<unsigned>(args.rows),
                    static_cast<unsigned>((args.width + kThreads - 1) / kThreads));
  shape.block = dim3(kThreads);
  kernels::launch(epilogue_kernel, shape, stream, args);
}

}  // namespace plimsoll::kernels::product
