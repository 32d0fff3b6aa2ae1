#include <cmath>

#include "core/split_mix.h"
#include "kernels/cuda/launch_cuda.cuh"
#include "kernels/dropout/dropout_cuda.h"

namespace plimsoll::kernels {

namespace {

constexpr int kThreads = 256;

constexpr int kAtOnce = 4;  // elements of a thread: a row's state is mixed once for all

/// `least`: an element stays if the 53 bits that were drawn for it are at least that.
template <bool kAdd>
__global__ void __launch_bounds__(kThreads)
    dropout_kernel(const __grid_constant__ DeviceDropoutArgs args, std::uint64_t least,
                   float keep) {
  const std::uint64_t row = blockIdx.x;
  const std::uint64_t state = split_mix::beginning(args.seed, row);
  const float* const x = args.x + static_cast<std::int64_t>(row) * args.width;
  float* const y = args.y + static_cast<std::int64_t>(row) * args.width;
#pragma unroll
  for (int i = 0; i < kAtOnce; ++i) {
    const std::int64_t column =
        (static_cast<std::int64_t>(blockIdx.y) * kAtOnce + i) * kThreads + threadIdx.x;
    if (column >= args.width) return;
    const auto turn = static_cast<std::uint64_t>(column) + 1;
    const std::uint64_t drawn = split_mix::mix(state + turn * split_mix::kStep) >> 11;
    const float value = drawn < least ? 0.0f : keep * x[column];
    y[column] = kAdd ? y[column] + value : value;
  }
}

template <bool kAdd>
void run(const DeviceDropoutArgs& args, cudaStream_t stream) {
  if (args.rows == 0) return;
  const dim3 grid(
      static_cast<unsigned>(args.rows),
      static_cast<unsigned>((args.width + kAtOnce * kThreads - 1) / (kAtOnce * kThreads)));
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
