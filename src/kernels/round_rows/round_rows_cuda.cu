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

/// Neighbours in a row: four, or one where rows are no whole fours or change their order.
template <int kStep>
struct Values {
  float of[kStep];
};

template <int kStep>
__device__ Values<kStep> values_at(const float* from) {
  if constexpr (kStep == 1) {
    return {*from};
  } else {
    const float4 v = load4(from);
    return {v.x, v.y, v.z, v.w};
  }
}

template <int kStep>
__device__ Values<kStep> values_of(const Args& args, std::int64_t at) {
  if constexpr (kStep == 1) {
    return {cuda_device::load_one(args.x, args.x16, args.bf16, at)};
  } else {
    const float4 v = cuda_device::load_four(args.x, args.x16, args.bf16, at);
    return {v.x, v.y, v.z, v.w};
  }
}

template <int kStep>
__device__ void store(const Args& args, std::int64_t at, const Values<kStep>& v) {
  const bool bf16 = args.element == Element::bf16;
  auto* const halves = static_cast<std::uint16_t*>(args.out) + at;
  auto* const floats = static_cast<float*>(args.out) + at;
  if constexpr (kStep == 1) {
    if (args.element == Element::f32) {
      *floats = v.of[0];
    } else {
      *halves = static_cast<std::uint16_t>(cuda_device::pair_bits(bf16, v.of[0], 0));
    }
  } else {
    if (args.element == Element::f32) {
      *reinterpret_cast<float4*>(floats) = {v.of[0], v.of[1], v.of[2], v.of[3]};
    } else {
      *reinterpret_cast<uint2*>(halves) = {cuda_device::pair_bits(bf16, v.of[0], v.of[1]),
                                           cuda_device::pair_bits(bf16, v.of[2], v.of[3])};
    }
  }
}

template <int kStep>
__global__ void __launch_bounds__(kThreads) round_rows_kernel(const __grid_constant__ Args args) {
  __shared__ float parts[2][kWarps];
  const int thread = static_cast<int>(threadIdx.x);
  const int warp = thread / 32;
  const int lane = thread % 32;
  const std::int64_t row = blockIdx.x;
  const auto load = [&](int c) { return values_of<kStep>(args, row * args.columns + c); };
  const auto columns = static_cast<float>(args.columns);
  cuda_device::let_next_start();
  cuda_device::wait_for_previous();
  float mean = 0;
  float factor = 1;
  if (args.norm_bias != nullptr) {
    float sum = 0;
    for (int c = thread * kStep; c < args.columns; c += kThreads * kStep) {
      float part = 0;
      for (const float value : load(c).of) part += value;
      sum += part;
    }
    mean = across_block<false>(sum, parts[0], warp, lane) / columns;
  }
  if (args.norm != nullptr) {
    float sum = 0;
    for (int c = thread * kStep; c < args.columns; c += kThreads * kStep) {
      for (const float value : load(c).of) sum += (value - mean) * (value - mean);
    }
    factor = 1 / sqrtf(across_block<false>(sum, parts[1], warp, lane) / columns + args.epsilon);
  }
  for (int c = thread * kStep; c < args.out_columns; c += kThreads * kStep) {
    const int from = args.gather != nullptr ? args.gather[c] : c;
    Values<kStep> v{};
    if (from >= 0 && from < args.columns) {
      v = load(from);
      if (args.norm != nullptr) {
        const Values<kStep> n = values_at<kStep>(args.norm + from);
        Values<kStep> b{};
        if (args.norm_bias != nullptr) b = values_at<kStep>(args.norm_bias + from);
#pragma unroll
        for (int i = 0; i < kStep; ++i) v.of[i] = (v.of[i] - mean) * factor * n.of[i] + b.of[i];
      }
    }
    store(args, row * args.out_columns + c, v);
  }
}

}  // namespace

void run(const Args& args, cudaStream_t stream) {
  Args whole = args;
  if (whole.out_columns == 0) whole.out_columns = args.columns;
  const bool fours = args.columns % 4 == 0 && whole.out_columns % 4 == 0 && args.gather == nullptr;
  LaunchShape shape;
  shape.grid = dim3(static_cast<unsigned>(args.rows));
  shape.block = dim3(kThreads);
  shape.dependent = args.dependent;
  kernels::launch(fours ? round_rows_kernel<4> : round_rows_kernel<1>, shape, stream, whole);
}

}  // namespace plimsoll::kernels::round_rows
