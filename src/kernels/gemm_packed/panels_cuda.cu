// A block a row, which lies in shared memory in f32 while its norm and its largest are found.
#include <cuda_fp8.h>

#include "kernels/cuda/launch_cuda.cuh"
#include "kernels/cuda/rows_cuda.cuh"
#include "kernels/gemm_packed/panels_cuda.h"
#include "kernels/gemv/gemv_stage_cuda.cuh"

namespace plimsoll::kernels::gemm_packed {

namespace {

using gemv::across_block;
using gemv::kThreads;
using gemv::kWarps;
using gemv::load4;

constexpr float kLargestE4m3 = 448;
constexpr float kLargestS8 = 127;

// What x is divided by.
__device__ float scale_of(Operand operand, float largest) {
  switch (operand) {
    case Operand::f16:
      return f16_scale(largest);
    case Operand::e4m3:
      return largest / kLargestE4m3;
    case Operand::s8:
      return largest / kLargestS8;
    default:
      return 1;
  }
}

template <Operand kOperand>
__device__ std::uint32_t word_of(const float (&v)[4]) {
  if constexpr (kOperand == Operand::f16) {
    return cuda_device::half2_bits(v[0], v[1]);
  } else if constexpr (kOperand == Operand::bf16) {
    return cuda_device::bf162_bits(v[0], v[1]);
  } else if constexpr (kOperand == Operand::e4m3) {
    const auto low = __nv_cvt_float2_to_fp8x2({v[0], v[1]}, __NV_SATFINITE, __NV_E4M3);
    const auto high = __nv_cvt_float2_to_fp8x2({v[2], v[3]}, __NV_SATFINITE, __NV_E4M3);
    return static_cast<std::uint32_t>(low) | static_cast<std::uint32_t>(high) << 16;
  } else {
    std::uint32_t word = 0;
#pragma unroll
    for (int e = 0; e < 4; ++e)
      word |= (static_cast<std::uint32_t>(__float2int_rn(v[e])) & 0xffu) << (8 * e);
    return word;
  }
}

// Where column c of the row lies in shared memory: four floats of nothing after each sixteen, so
// that the parts of a warp's panels come from different banks.
__host__ __device__ constexpr int place_of(int c) {
  return c + c / 16 * 4;
}

// Shared memory: the row, normed.
template <gemv::Format kFormat, Operand kOperand>
__global__ void __launch_bounds__(kThreads) panels_kernel(const __grid_constant__ PanelArgs args) {
  extern __shared__ __align__(16) float row_values[];
  __shared__ float parts[3][kWarps];
  const int thread = static_cast<int>(threadIdx.x);
  const int warp = thread / 32;
  const int lane = thread % 32;
  const std::int64_t row = blockIdx.x;
  const auto columns = static_cast<float>(args.columns);
  cuda_device::let_next_start();
  cuda_device::wait_for_previous();
  float sum = 0;
  for (int c = thread * 4; c < args.columns; c += kThreads * 4) {
    const float4 v = cuda_device::load_four(args.x, args.x16, args.bf16, row * args.columns + c);
    *reinterpret_cast<float4*>(row_values + place_of(c)) = v;
    sum += args.norm_bias != nullptr ? v.x + v.y + v.z + v.w
                                     : v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
  }
  float mean = 0;
  float factor = 1;
  if (args.norm != nullptr) {
    sum = across_block<false>(sum, parts[0], warp, lane);
    if (args.norm_bias != nullptr) {
      mean = sum / columns;
      sum = 0;
      for (int c = thread * 4; c < args.columns; c += kThreads * 4) {
        const float4 v = load4(row_values + place_of(c));
        for (const float value : {v.x - mean, v.y - mean, v.z - mean, v.w - mean})
          sum += value * value;
      }
      sum = across_block<false>(sum, parts[1], warp, lane);
    }
    factor = 1 / sqrtf(sum / columns + args.epsilon);
  }
  float largest = 0;
  for (int c = thread * 4; c < args.columns; c += kThreads * 4) {
    float4 v = load4(row_values + place_of(c));
    if (args.norm != nullptr) {
      const float4 n = load4(args.norm + c);
      const float4 b = args.norm_bias != nullptr ? load4(args.norm_bias + c) : float4{0, 0, 0, 0};
      v = {(v.x - mean) * factor * n.x + b.x, (v.y - mean) * factor * n.y + b.y,
           (v.z - mean) * factor * n.z + b.z, (v.w - mean) * factor * n.w + b.w};
      *reinterpret_cast<float4*>(row_values + place_of(c)) = v;
    }
    largest = fmaxf(largest, fmaxf(fmaxf(fabsf(v.x), fabsf(v.y)), fmaxf(fabsf(v.z), fabsf(v.w))));
  }
  largest = across_block<true>(largest, parts[2], warp, lane);  // and the row is whole
  const float scale = scale_of(kOperand, largest);
  if (thread == 0) args.scales[row] = scale;
  const float inverse = scale > 0 ? 1 / scale : 0.0f;

  constexpr int kElements = 4 / element_bytes(kOperand);  // of a word
  for (int i = thread; i < args.blocks * 8; i += kThreads) {
    const int block = i / 8;
    const int q = i % 8;
    std::uint32_t words[4];
#pragma unroll
    for (int t = 0; t < 4; ++t) {
      float v[4] = {};
#pragma unroll
      for (int e = 0; e < kElements; ++e) {
        int c = block * block_columns(kOperand) + panel_column(kFormat, kOperand, q, t, e);
        if (args.gather != nullptr) c = args.gather[c];
        v[e] = c < 0 || c >= args.columns ? 0.0f : row_values[place_of(c)] * inverse;
      }
      words[t] = word_of<kOperand>(v);
    }
    auto* to = static_cast<unsigned char*>(args.panels) +
               (block * args.padded + row) * kBlockBytes + (q ^ static_cast<int>(row % 8)) * 16;
    *reinterpret_cast<uint4*>(to) = {words[0], words[1], words[2], words[3]};
  }
}

template <gemv::Format kFormat, Operand kOperand>
void launch_panels(const PanelArgs& args, cudaStream_t stream) {
  constexpr auto kKernel = panels_kernel<kFormat, kOperand>;
  static const bool kAllowed = [] {
    allow_shared(kKernel, (place_of(gemv::kMaxColumns) + 4) * sizeof(float));
    return true;
  }();
  static_cast<void>(kAllowed);
  LaunchShape shape;
  shape.grid = dim3(static_cast<unsigned>(args.rows));
  shape.block = dim3(kThreads);
  shape.shared = static_cast<std::size_t>(place_of(args.columns) + 4) * sizeof(float);
  shape.dependent = args.dependent;
  kernels::launch(kKernel, shape, stream, args);
}

}  // namespace

void make_panels(const PanelArgs& args, cudaStream_t stream) {
  using gemv::Format;
  switch (args.operand) {
    case Operand::bf16:
      return launch_panels<Format::bf16, Operand::bf16>(args, stream);
    case Operand::e4m3:
      return launch_panels<Format::fp8, Operand::e4m3>(args, stream);
    case Operand::s8:
      return launch_panels<Format::int8, Operand::s8>(args, stream);
    case Operand::f16:
      break;
  }
  switch (args.format) {  // those of one order of columns together
    case Format::table4:
    case Format::table4_dq:
      return launch_panels<Format::table4, Operand::f16>(args, stream);
    case Format::int4:
      return launch_panels<Format::int4, Operand::f16>(args, stream);
    case Format::fp8:
    case Format::int8:
    case Format::int8_static:
      return launch_panels<Format::int8, Operand::f16>(args, stream);
    default:
      return launch_panels<Format::f16, Operand::f16>(args, stream);
  }
}

}  // namespace plimsoll::kernels::gemm_packed
