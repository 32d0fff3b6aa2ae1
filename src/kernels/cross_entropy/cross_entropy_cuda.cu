// A block a row: one reading for the largest logit and the sum of exponentials, one for the
// gradient.
#include <cfloat>

#include "kernels/cross_entropy/cross_entropy_cuda.h"
#include "kernels/cuda/block_sum_cuda.cuh"
#include "kernels/cuda/launch_cuda.cuh"

namespace plimsoll::kernels {

namespace {

constexpr int kWarps = 16;
constexpr int kThreads = kWarps * 32;
constexpr int kAtOnce = 4;  // logits that a thread has in flight

__global__ void __launch_bounds__(kThreads)
    cross_entropy_kernel(const __grid_constant__ CrossEntropyArgs args) {
  __shared__ float most_parts[kWarps];
  __shared__ double sum_parts[kWarps];
  const std::int64_t row = blockIdx.x;
  float* logits = args.logits + row * args.vocab;
  const std::int64_t target = args.targets[row];
  const bool known = target >= 0 && target < args.vocab;
  const float scored = known ? logits[target] : __int_as_float(0x7fffffff);
  // Of what this thread sees: the largest so far, and the sum of exp(logit - largest). A lowest
  // that is finite leaves no infinity to be subtracted from itself.
  float largest = -FLT_MAX;
  float sum = 0;
  for (std::int64_t first = threadIdx.x; first < args.vocab; first += kAtOnce * kThreads) {
    float some[kAtOnce];
    float above = largest;
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
      const std::int64_t i = first + j * kThreads;
      some[j] = i < args.vocab ? logits[i] : -INFINITY;
      above = fmaxf(above, some[j]);
    }
    sum *= expf(largest - above);
    largest = above;
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) sum += expf(some[j] - largest);
  }
  const float most = cuda_device::block_max(largest, most_parts);
  const double total = cuda_device::block_sum(
      static_cast<double>(sum) * static_cast<double>(expf(largest - most)), sum_parts);
  const double log_sum = static_cast<double>(most) + log(total);
  if (threadIdx.x == 0) args.losses[row] = log_sum - static_cast<double>(scored);
  if (args.weight == 0) return;
  const auto off = static_cast<float>(log_sum);
  for (std::int64_t i = threadIdx.x; i < args.vocab; i += kThreads) {
    const float share = args.weight * expf(logits[i] - off);
    logits[i] = i == target ? share - args.weight : share;
  }
}

}  // namespace

void cross_entropy(const CrossEntropyArgs& args, cudaStream_t stream) {
  if (args.rows == 0) return;
  launch(cross_entropy_kernel, {dim3(static_cast<unsigned>(args.rows)), dim3(kThreads)}, stream,
         args);
}

}  // namespace plimsoll::kernels
