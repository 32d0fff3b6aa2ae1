#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include "kernels/cuda/device_cuda.cuh"
#include "kernels/cuda/launch_cuda.cuh"
#include "kernels/embedding/embedding_cuda.h"
#include "kernels/gemv/gemv_layout.h"

namespace plimsoll::kernels {

namespace {

constexpr int kThreads = 256;

__device__ float widen(float value) {
  return value;
}
__device__ float widen(__half value) {
  return __half2float(value);
}
__device__ float widen(__nv_bfloat16 value) {
  return __bfloat162float(value);
}

/// Where row `id` of packed weights has column c, in elements: see gemv_layout.h.
template <class T>
__device__ std::int64_t packed_place(std::int64_t id, int c, int width) {
  constexpr int kShare = 8 / static_cast<int>(sizeof(T));  // columns of a lane
  constexpr int kColumns = 4 * kShare;                     // of a chunk
  constexpr int kChunk = gemv::kCodeBytes / static_cast<int>(sizeof(T));
  const auto j = static_cast<int>(id % gemv::kTileRows);
  const int lane = j % 8 * 4 + c % kColumns / kShare;
  const std::int64_t chunks = (width + kColumns - 1) / kColumns;
  return (id / gemv::kTileRows * chunks + c / kColumns) * kChunk + (lane * 2 + j / 8) * kShare +
         c % kShare;
}

/// A thread has two neighbours of a row. T: of the tables.
template <class T>
__global__ void __launch_bounds__(kThreads)
    embedding_kernel(const __grid_constant__ DeviceEmbeddingArgs args) {
  cuda_device::let_next_start();
  const auto width = static_cast<int>(args.width);
  const int first = static_cast<int>(blockIdx.y * kThreads + threadIdx.x) * 2;
  if (first >= width) return;
  cuda_device::wait_for_previous();
  const std::int64_t row = blockIdx.x;
  const std::int64_t id = args.ids[row];
  const std::int64_t position = args.position_table != nullptr ? args.positions[row] : 0;
  const bool known =
      id >= 0 && id < args.vocabulary &&
      (args.position_table == nullptr || (position >= 0 && position < args.position_count));
#pragma unroll
  for (int c = first; c < first + 2; ++c) {
    if (c >= width) break;
    float value = __int_as_float(0x7fffffff);
    if (known) {
      const std::int64_t place = args.packed ? packed_place<T>(id, c, width) : id * width + c;
      value = widen(static_cast<const T*>(args.table)[place]);
      if (args.position_table != nullptr)
        value += widen(static_cast<const T*>(args.position_table)[position * width + c]);
    }
    args.y[row * width + c] = value;
  }
}

}  // namespace

void embed(const DeviceEmbeddingArgs& args, cudaStream_t stream) {
  if (args.rows == 0) return;
  const dim3 grid(static_cast<unsigned>(args.rows),
                  static_cast<unsigned>((args.width + 2 * kThreads - 1) / (2 * kThreads)));
  const LaunchShape shape{grid, dim3(kThreads), 0, args.dependent};
  switch (args.dtype) {
    case DType::f32:
      return launch(embedding_kernel<float>, shape, stream, args);
    case DType::f16:
      return launch(embedding_kernel<__half>, shape, stream, args);
    case DType::bf16:
      return launch(embedding_kernel<__nv_bfloat16>, shape, stream, args);
    default:
      PLIMSOLL_CUDA_CHECK(cudaErrorInvalidValue);
  }
}

}  // namespace plimsoll::kernels
