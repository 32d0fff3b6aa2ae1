#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "kernels/cuda/device_cuda.cuh"
#include "kernels/cuda/launch_cuda.cuh"
#include "kernels/embedding/embedding_cuda.h"

namespace plimsoll::kernels {

namespace {

constexpr int kThreads = 256;

__device__ float2 widen(const float2& pair) {
  return pair;
}
__device__ float2 widen(const __half2& pair) {
  return __half22float2(pair);
}
__device__ float2 widen(const __nv_bfloat162& pair) {
  return __bfloat1622float2(pair);
}

/// Pair: two neighbours of the tables.
template <class Pair>
__global__ void __launch_bounds__(kThreads)
    embedding_kernel(const __grid_constant__ DeviceEmbeddingArgs args) {
  cuda_device::let_next_start();
  const std::int64_t pair = static_cast<std::int64_t>(blockIdx.y) * kThreads + threadIdx.x;
  const std::int64_t pairs = args.width / 2;
  if (pair >= pairs) return;
  cuda_device::wait_for_previous();
  const std::int64_t row = blockIdx.x;
  const std::int64_t id = args.ids[row];
  const std::int64_t position = args.position_table != nullptr ? args.positions[row] : 0;
  const bool known =
      id >= 0 && id < args.vocabulary &&
      (args.position_table == nullptr || (position >= 0 && position < args.position_count));
  const float nan = __int_as_float(0x7fffffff);
  float2 value{nan, nan};
  if (known) {
    value = widen(static_cast<const Pair*>(args.table)[id * pairs + pair]);
    if (args.position_table != nullptr) {
      const float2 more =
          widen(static_cast<const Pair*>(args.position_table)[position * pairs + pair]);
      value.x += more.x;
      value.y += more.y;
    }
  }
  reinterpret_cast<float2*>(args.y)[row * pairs + pair] = value;
}

}  // namespace

void embed(const DeviceEmbeddingArgs& args, cudaStream_t stream) {
  if (args.rows == 0) return;
  const dim3 grid(static_cast<unsigned>(args.rows),
                  static_cast<unsigned>((args.width / 2 + kThreads - 1) / kThreads));
  const LaunchShape shape{grid, dim3(kThreads), 0, args.dependent};
  switch (args.dtype) {
    case DType::f32:
      return launch(embedding_kernel<float2>, shape, stream, args);
    case DType::f16:
      return launch(embedding_kernel<__half2>, shape, stream, args);
    case DType::bf16:
      return launch(embedding_kernel<__nv_bfloat162>, shape, stream, args);
    default:
      PLIMSOLL_CUDA_CHECK(cudaErrorInvalidValue);
  }
}

}  // namespace plimsoll::kernels
