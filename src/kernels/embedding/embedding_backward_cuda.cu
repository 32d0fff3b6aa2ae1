// The block of a token's first row adds up all rows of that token, in their order: no atomics.
#include "kernels/cuda/launch_cuda.cuh"
#include "kernels/embedding/embedding_backward_cuda.h"

namespace plimsoll::kernels {

namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads)
    embedding_backward_kernel(const __grid_constant__ DeviceEmbeddingGradientArgs args) {
  __shared__ std::int32_t ids[kThreads];
  const std::int64_t row = blockIdx.x;
  const std::int32_t id = args.ids[row];
  if (id < 0 || id >= args.vocabulary) return;
  bool seen = false;
  for (std::int64_t i = threadIdx.x; i < row; i += kThreads) seen |= args.ids[i] == id;
  if (__syncthreads_or(seen)) return;
  const std::int64_t quads = args.width / 4;
  const std::int64_t quad = static_cast<std::int64_t>(blockIdx.y) * kThreads + threadIdx.x;
  const auto* dy = reinterpret_cast<const float4*>(args.dy) + quad;
  auto* line = reinterpret_cast<float4*>(args.dtable) + id * quads + quad;
  float4 sum{};
  if (quad < quads) sum = *line;
  for (std::int64_t first = row; first < args.rows; first += kThreads) {
    const std::int64_t mine = first + threadIdx.x;
    ids[threadIdx.x] = mine < args.rows ? args.ids[mine] : -1;
    if (!__syncthreads_or(ids[threadIdx.x] == id)) continue;
    for (int i = 0; i < kThreads; ++i) {
      if (ids[i] != id || quad >= quads) continue;
      const float4 more = dy[(first + i) * quads];
      sum = {sum.x + more.x, sum.y + more.y, sum.z + more.z, sum.w + more.w};
    }
    __syncthreads();
  }
  if (quad < quads) *line = sum;
}

}  // namespace

void embedding_backward(const DeviceEmbeddingGradientArgs& args, cudaStream_t stream) {
  if (args.rows == 0) return;
  const dim3 grid(static_cast<unsigned>(args.rows),
                  static_cast<unsigned>((args.width / 4 + kThreads - 1) / kThreads));
  launch(embedding_backward_kernel, {grid, dim3(kThreads)}, stream, args);
}

}  // namespace plimsoll::kernels
