// A block a row. Sums are taken over the values themselves, mean first: no difference of large
// squares.
#include "kernels/cuda/block_sum_cuda.cuh"
#include "kernels/cuda/device_cuda.cuh"
#include "kernels/cuda/launch_cuda.cuh"
#include "kernels/rms_norm/norm_cuda.h"

namespace plimsoll::kernels {

namespace {

constexpr int kWarps = 8;
constexpr int kThreads = kWarps * 32;

template <bool kCentred>
__global__ void __launch_bounds__(kThreads)
    norm_kernel(const __grid_constant__ DeviceNormArgs args) {
  __shared__ float parts[2][kWarps];
  cuda_device::let_next_start();
  cuda_device::wait_for_previous();
  const std::int64_t row = blockIdx.x;
  const auto quads = static_cast<int>(args.width / 4);
  const auto* x = reinterpret_cast<const float4*>(args.x + row * args.width);
  auto* y = reinterpret_cast<float4*>(args.y + row * args.width);
  const auto width = static_cast<float>(args.width);
  float mean = 0;
  if constexpr (kCentred) {
    float sum = 0;
    for (int i = static_cast<int>(threadIdx.x); i < quads; i += kThreads) {
      const float4 v = x[i];
      sum += v.x + v.y + v.z + v.w;
    }
    mean = cuda_device::block_sum(sum, parts[0]) / width;
  }
  float sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < quads; i += kThreads) {
    float4 v = x[i];
    v = {v.x - mean, v.y - mean, v.z - mean, v.w - mean};
    sum += v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
  }
  const float factor = 1 / sqrtf(cuda_device::block_sum(sum, parts[1]) / width + args.epsilon);
  for (int i = static_cast<int>(threadIdx.x); i < quads; i += kThreads) {
    const float4 v = x[i];
    const float4 w = reinterpret_cast<const float4*>(args.weight)[i];
    float4 out{(v.x - mean) * factor * w.x, (v.y - mean) * factor * w.y,
               (v.z - mean) * factor * w.z, (v.w - mean) * factor * w.w};
    if (kCentred && args.bias != nullptr) {
      const float4 b = reinterpret_cast<const float4*>(args.bias)[i];
      out = {out.x + b.x, out.y + b.y, out.z + b.z, out.w + b.w};
    }
    y[i] = out;
  }
}

template <bool kCentred>
void run(const DeviceNormArgs& args, cudaStream_t stream) {
  if (args.rows == 0) return;
  launch(norm_kernel<kCentred>,
         {dim3(static_cast<unsigned>(args.rows)), dim3(kThreads), 0, args.dependent}, stream, args);
}

}  // namespace

void rms_norm(const DeviceNormArgs& args, cudaStream_t stream) {
  run<false>(args, stream);
}

void layer_norm(const DeviceNormArgs& args, cudaStream_t stream) {
  run<true>(args, stream);
}

}  // namespace plimsoll::kernels
