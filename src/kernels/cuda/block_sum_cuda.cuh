// Sums over a block, in one order: the same bits every time.
#pragma once

#include "kernels/cuda/device_cuda.cuh"

namespace plimsoll::cuda_device {

__device__ inline double warp_sum(double value) {
  for (int lane = 16; lane > 0; lane /= 2) value += __shfl_xor_sync(0xffffffffu, value, lane);
  return value;
}

/// The sum over the block's kWarps whole warps, for every thread; `parts` is for this call alone.
template <int kWarps, class T>
__device__ T block_sum(T value, T (&parts)[kWarps]) {
  value = warp_sum(value);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = value;
  __syncthreads();
  T sum = 0;
  for (int w = 0; w < kWarps; ++w) sum += parts[w];
  return sum;
}

/// The largest of the block's; likewise.
template <int kWarps>
__device__ float block_max(float value, float (&parts)[kWarps]) {
  value = warp_max(value);
  if (threadIdx.x % 32 == 0) parts[threadIdx.x / 32] = value;
  __syncthreads();
  float most = parts[0];
  for (int w = 1; w < kWarps; ++w) most = fmaxf(most, parts[w]);
  return most;
}

}  // namespace plimsoll::cuda_device
