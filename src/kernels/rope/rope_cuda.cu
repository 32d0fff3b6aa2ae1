#include "kernels/cuda/launch_cuda.cuh"
#include "kernels/rope/rope_cuda.h"

namespace plimsoll::kernels {

namespace {

constexpr int kThreads = 256;

/// A thread a pair of elements; `sign` -1 rotates the other way.
__global__ void __launch_bounds__(kThreads)
    rope_kernel(const __grid_constant__ RopeArgs args, float sign) {
  const std::int64_t half = args.head_dim / 2;
  const std::int64_t pair = static_cast<std::int64_t>(blockIdx.y) * kThreads + threadIdx.x;
  if (pair >= args.heads * half) return;
  const std::int64_t token = blockIdx.x;
  const std::int64_t head = pair / half;
  const std::int64_t i = pair % half;
  float* low = args.x + (token * args.heads + head) * args.head_dim + i;
  const float cosine = args.cosine[token * half + i];
  const float sine = sign * args.sine[token * half + i];
  const float a = low[0];
  const float b = low[half];
  low[0] = a * cosine - b * sine;
  low[half] = b * cosine + a * sine;
}

void rotate(const RopeArgs& args, float sign, cudaStream_t stream) {
  if (args.tokens == 0) return;
  const std::int64_t pairs = args.heads * args.head_dim / 2;
  const dim3 grid(static_cast<unsigned>(args.tokens),
                  static_cast<unsigned>((pairs + kThreads - 1) / kThreads));
  launch(rope_kernel, {grid, dim3(kThreads)}, stream, args, sign);
}

}  // namespace

void rope(const RopeArgs& args, cudaStream_t stream) {
  rotate(args, 1, stream);
}

void rope_backward(const RopeArgs& args, cudaStream_t stream) {
  rotate(args, -1, stream);
}

}  // namespace plimsoll::kernels
