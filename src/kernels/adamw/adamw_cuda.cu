#include <algorithm>
#include <cmath>

#include "kernels/adamw/adamw_cuda.h"
#include "kernels/cuda/block_sum_cuda.cuh"
#include "kernels/cuda/launch_cuda.cuh"

namespace plimsoll::kernels {

namespace {

constexpr int kWarps = 8;
constexpr int kThreads = kWarps * 32;

/// What the host has computed of AdamWArgs, in the CPU's order.
struct Step {
  float keep, rate, unbias, beta1, rest1, beta2, rest2, epsilon, scale;
};

Step step_of(const AdamWArgs& args) {
  const auto step = static_cast<double>(args.step);
  const auto narrow = [](double value) { return static_cast<float>(value); };
  return {narrow(1 - args.rate * args.weight_decay),
          narrow(args.rate / (1 - std::pow(args.beta1, step))),
          narrow(1 / std::sqrt(1 - std::pow(args.beta2, step))),
          narrow(args.beta1),
          narrow(1 - args.beta1),
          narrow(args.beta2),
          narrow(1 - args.beta2),
          narrow(args.epsilon),
          narrow(args.gradient_scale)};
}

__global__ void __launch_bounds__(kThreads)
    adamw_kernel(const __grid_constant__ AdamWArgs args, const __grid_constant__ Step step) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (i >= args.count) return;
  const float g = step.scale * args.gradients[i];
  const float mean = step.beta1 * args.mean[i] + step.rest1 * g;
  const float square = step.beta2 * args.square[i] + step.rest2 * g * g;
  args.mean[i] = mean;
  args.square[i] = square;
  args.values[i] =
      step.keep * args.values[i] - step.rate * mean / (sqrtf(square) * step.unbias + step.epsilon);
}

/// Block b sums its part into parts[b].
__global__ void __launch_bounds__(kThreads)
    squares_kernel(const float* values, std::int64_t count, double* parts) {
  __shared__ double sums[kWarps];
  double sum = 0;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * kThreads;
  const std::int64_t first = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
#pragma unroll 4
  for (std::int64_t i = first; i < count; i += step) {
    const double value = values[i];
    sum += value * value;
  }
  sum = cuda_device::block_sum(sum, sums);
  if (threadIdx.x == 0) parts[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kThreads)
    sum_kernel(const double* values, std::int64_t count, double* total) {
  __shared__ double sums[kWarps];
  double sum = 0;
  for (std::int64_t i = threadIdx.x; i < count; i += kThreads) sum += values[i];
  sum = cuda_device::block_sum(sum, sums);
  if (threadIdx.x == 0) *total += sum;
}

}  // namespace

void adamw(const AdamWArgs& args, cudaStream_t stream) {
  if (args.count == 0) return;
  const auto blocks = static_cast<unsigned>((args.count + kThreads - 1) / kThreads);
  launch(adamw_kernel, {dim3(blocks), dim3(kThreads)}, stream, args, step_of(args));
}

void add_squares(const float* values, std::int64_t count, double* scratch, double* total,
                 cudaStream_t stream) {
  if (count == 0) return;
  const std::int64_t blocks = std::min((count + kThreads - 1) / kThreads, kSumScratch);
  launch(squares_kernel, {dim3(static_cast<unsigned>(blocks)), dim3(kThreads)}, stream, values,
         count, scratch);
  add_sum(scratch, blocks, total, stream);
}

void add_sum(const double* values, std::int64_t count, double* total, cudaStream_t stream) {
  if (count == 0) return;
  launch(sum_kernel, {dim3(1), dim3(kThreads)}, stream, values, count, total);
}

}  // namespace plimsoll::kernels
