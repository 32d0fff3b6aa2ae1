// A block a row. The row is read again for each pass: it lies in L2 by then, or in L1.
#include "kernels/cuda/launch_cuda.cuh"
#include "kernels/cuda/rows_cuda.cuh"
#include "kernels/gemv/gemv_stage_cuda.cuh"
#include "kernels/round_rows/round_rows_cuda.h"

namespace plimsoll::kernels::round_rows {

namespace {

using cuda::Element;
using gemv::across_block;
using gemv::kThreads;
using gemv::kWarps;
using gemv::load4;

__global__ void __launch_bounds__(kThreads) round_rows_kernel(const __grid_constant__ Args args) {
  __shared__ float parts[2][kWarps];
  const int thread = static_cast<int>(threadIdx.x);
  const int warp = thread / 32;
  const int lane = thread % 32;
  const std::int64_t start = static_cast<std::int64_t>(blockIdx.x) * args.columns;
  const auto load = [&](int c) {
    return cuda_device::load_four(args.x, args.x16, args.bf16, start + c);
  };
  const auto columns = static_cast<float>(args.columns);
  cuda_device::let_next_start();
  cuda_device::wait_for_previous();
  float mean = 0;
  float factor = 1;
  if (args.norm_bias != nullptr) {
    float sum = 0;
    for (int c = thread * 4; c < args.columns; c += kThreads * 4) {
      const float4 v = load(c);
      sum += v.x + v.y + v.z + v.w;
    }
    mean = across_block<false>(sum, parts[0], warp, lane) / columns;
  }
  if (args.norm != nullptr) {
    float sum = 0;
    for (int c = thread * 4; c < args.columns; c += kThreads * 4) {
      const float4 v = load(c);
      for (const float value : {v.x - mean, v.y - mean, v.z - mean, v.w - mean})
        sum += value * value;
    }
    factor = 1 / sqrtf(across_block<false>(sum, parts[1], warp, lane) / columns + args.epsilon);
  }
  for (int c = thread * 4; c < args.columns; c += kThreads * 4) {
    float4 v = load(c);
    if (args.norm != nullptr) {
      const float4 n = load4(args.norm + c);
      const float4 b = args.norm_bias != nullptr ? load4(args.norm_bias + c) : float4{0, 0, 0, 0};
      v = {(v.x - mean) * factor * n.x + b.x, (v.y - mean) * factor * n.y + b.y,
           (v.z - mean) * factor * n.z + b.z, (v.w - mean) * factor * n.w + b.w};
    }
    if (args.element == Element::f32) {
      *reinterpret_cast<float4*>(static_cast<float*>(args.out) + start + c) = v;
      continue;
    }
    const bool half = args.element == Element::f16;
    *reinterpret_cast<uint2*>(static_cast<std::uint16_t*>(args.out) + start + c) =
        half ? uint2{cuda_device::half2_bits(v.x, v.y), cuda_device::half2_bits(v.z, v.w)}
             : uint2{cuda_device::bf162_bits(v.x, v.y), cuda_device::bf162_bits(v.z, v.w)};
  }
}

}  // namespace

void run(const Args& args, cudaStream_t stream) {
  LaunchShape shape;
  shape.grid = dim3(static_cast<unsigned>(args.rows));
  shape.block = dim3(kThreads);
  shape.dependent = args.dependent;
  kernels::launch(round_rows_kernel, shape, stream, args);
}

}  // namespace plimsoll::kernels::round_rows
