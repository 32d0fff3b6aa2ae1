#include <cmath>

#include "core/split_mix.h"
#include "kernels/cuda/launch_cuda.cuh"
#include "kernels/dropout/dropout_cuda.h"

namespace plimsoll::kernels {

namespace {

constexpr int kThreads = 256;

/// `least`: an element stays if the 53 bits that were drawn for it are at least that.
template <bool kAdd>
__global__ void __launch_bounds__(kThreads)
    dropout_kernel(const __grid_constant__ DeviceDropoutArgs args, std::uint64_t least,
                   float keep) {
  const std::int64_t column = static_cast<std::int64_t>(blockIdx.y) * kThreads + threadIdx.x;
  if (column >= args.width) return;
  const std::uint64_t row = blockIdx.x;
  const std::uint64_t drawn =
      split_mix::mix(split_mix::beginning(args.seed, row) +
                     (static_cast<std::uint64_t>(column) + 1) * split_mix::kStep) >>
      11;
  const std::int64_t at = static_cast<std::int64_t>(row) * args.width + column;
  const float value = drawn < least ? 0.0f : keep * args.x[at];
  args.y[at] = kAdd ? args.y[at] + value : value;
}

template <bool kAdd>
void run(const DeviceDropoutArgs& args, cudaStream_t stream) {
  if (args.rows == 0) return;
  const dim3 grid(static_cast<unsigned>(args.rows),
                  static_cast<unsigned>((args.width + kThreads - 1) / kThreads));
  // drawn * 2^-53 < share, in integers.
  const auto least = static_cast<std::uint64_t>(std::ceil(std::ldexp(args.share, 53)));
  launch(dropout_kernel<kAdd>, {grid, dim3(kThreads)}, stream, args, least,
         static_cast<float>(1 / (1 - args.share)));
}

}  // namespace

void dropout(const DeviceDropoutArgs& args, cudaStream_t stream) {
  run<false>(args, stream);
}

void add_dropout(const DeviceDropoutArgs& args, cudaStream_t stream) {
  run<true>(args, stream);
}

}  // namespace plimsoll::kernels
