// A block a row, whose threads have it in f32 while its norm and its largest are found.
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

// What a row's threads have of its values, or of what belongs to its columns: kItems times 16 bytes
// of a panel.
template <gemv::Format kFormat, Operand kOperand, int kItems>
class Values {
 public:
  static constexpr int kElements = 4 / element_bytes(kOperand);  // of a word

  __device__ explicit Values(const PanelArgs& args) : args_(args) {}

  /// From `begin` on in x, or where it is given in x16; as cuda_device::load_two().
  __device__ void read(const float* x, const void* x16, bool bf16, std::int64_t begin) {
    if (x16 == nullptr) {
      read_with([&](std::int64_t at) { return x[at]; },
                [&](std::int64_t at) { return cuda_device::load_two(x, nullptr, false, at); },
                [&](std::int64_t at) { return cuda_device::load_four(x, nullptr, false, at); },
                begin);
    } else {
      read_with([&](std::int64_t at) { return cuda_device::load_one(nullptr, x16, bf16, at); },
                [&](std::int64_t at) { return cuda_device::load_two(nullptr, x16, bf16, at); },
                [&](std::int64_t at) { return cuda_device::load_four(nullptr, x16, bf16, at); },
                begin);
    }
  }

  /// put(value, its column, the same place of `other`) for each that the row has: not for padding.
  template <class Put>
  __device__ void each(const Values& other, Put&& put) {
#pragma unroll
    for (int i = 0; i < kItems; ++i) {
      const int item = static_cast<int>(threadIdx.x) + i * kThreads;
      if (item >= args_.blocks * 8) break;
#pragma unroll
      for (int t = 0; t < 4; ++t) {
#pragma unroll
        for (int e = 0; e < kElements; ++e) {
          const int c = column(item, t, e);
          if (c >= 0) put(values_[i][t][e], c, other.values_[i][t][e]);
        }
      }
    }
  }

  __device__ void write(std::int64_t row, float factor) {
#pragma unroll
    for (int i = 0; i < kItems; ++i) {
      const int item = static_cast<int>(threadIdx.x) + i * kThreads;
      if (item >= args_.blocks * 8) break;
      std::uint32_t words[4];
#pragma unroll
      for (int t = 0; t < 4; ++t) {
        float v[4] = {};
#pragma unroll
        for (int e = 0; e < kElements; ++e) v[e] = values_[i][t][e] * factor;
        words[t] = word_of<kOperand>(v);
      }
      auto* to = static_cast<unsigned char*>(args_.panels) +
                 (item / 8 * args_.padded + row) * kBlockBytes +
                 (item % 8 ^ static_cast<int>(row % 8)) * 16;
      *reinterpret_cast<uint4*>(to) = {words[0], words[1], words[2], words[3]};
    }
  }

 private:
  // The stored column, or -1.
  __device__ int column(int item, int t, int e) const {
    const int c =
        item / 8 * block_columns(kOperand) + panel_column(kFormat, kOperand, item % 8, t, e);
    if (args_.gather != nullptr) return args_.gather[c];
    return c < args_.columns ? c : -1;
  }

  // No load stands in a branch, so that all are on their way at once: what is not there is read at
  // `begin` and left out.
  template <class One, class Two, class Four>
  __device__ void read_with(One&& one, Two&& two, Four&& four, std::int64_t begin) {
    // Whether a word's elements are neighbours in x.
    const bool together = panel_column(kFormat, kOperand, 0, 0, 1) == 1 && args_.gather == nullptr;
    const int last = args_.blocks * 8 - 1;
#pragma unroll
    for (int i = 0; i < kItems; ++i) {
      const int item = min(static_cast<int>(threadIdx.x) + i * kThreads, last);
#pragma unroll
      for (int t = 0; t < 4; ++t) {
        float(&word)[kElements] = values_[i][t];
        const int first = column(item, t, 0);
        const std::int64_t at = begin + max(first, 0);
        if (!together) {
#pragma unroll
          for (int e = 0; e < kElements; ++e) {
            const int c = column(item, t, e);
            const float value = one(begin + max(c, 0));
            word[e] = c >= 0 ? value : 0.0f;
          }
        } else if constexpr (kElements == 2) {
          const float2 v = two(at);
          word[0] = first >= 0 ? v.x : 0.0f;
          word[1] = first >= 0 ? v.y : 0.0f;
        } else {
          const float4 v = four(at);
          word[0] = first >= 0 ? v.x : 0.0f;
          word[1] = first >= 0 ? v.y : 0.0f;
          word[2] = first >= 0 ? v.z : 0.0f;
          word[3] = first >= 0 ? v.w : 0.0f;
        }
      }
    }
  }

  const PanelArgs& args_;
  float values_[kItems][4][kElements];
};

template <gemv::Format kFormat, Operand kOperand, int kItems>
__global__ void __launch_bounds__(kThreads) panels_kernel(const __grid_constant__ PanelArgs args) {
  __shared__ float parts[3][kWarps];
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const std::int64_t row = blockIdx.x;
  const auto columns = static_cast<float>(args.columns);
  cuda_device::let_next_start();
  Values<kFormat, kOperand, kItems> norm(args);
  if (args.norm != nullptr) norm.read(args.norm, nullptr, false, 0);  // before the row is there
  cuda_device::wait_for_previous();
  Values<kFormat, kOperand, kItems> values(args);
  values.read(args.x, args.x16, args.bf16, row * args.columns);
  if (args.norm != nullptr) {
    const bool centred = args.norm_bias != nullptr;
    float mean = 0;
    if (centred) {
      values.each(norm, [&](float value, int, float) { mean += value; });
      mean = across_block<false>(mean, parts[0], warp, lane) / columns;
    }
    float squares = 0;
    values.each(norm, [&](float value, int, float) { squares += (value - mean) * (value - mean); });
    squares = across_block<false>(squares, parts[1], warp, lane);
    const float factor = 1 / sqrtf(squares / columns + args.epsilon);
    values.each(norm, [&](float& value, int c, float by) {
      value = (value - mean) * factor * by + (centred ? args.norm_bias[c] : 0.0f);
    });
  }
  float largest = 0;
  values.each(norm, [&](float value, int, float) { largest = fmaxf(largest, fabsf(value)); });
  largest = across_block<true>(largest, parts[2], warp, lane);
  const float scale = scale_of(kOperand, largest);
  if (threadIdx.x == 0) args.scales[row] = scale;
  values.write(row, scale > 0 ? 1 / scale : 0.0f);
}

template <gemv::Format kFormat, Operand kOperand>
void launch_panels(const PanelArgs& args, cudaStream_t stream) {
  constexpr int kMostItems = gemv::kMaxColumns / block_columns(kOperand) * 8 / kThreads;
  constexpr auto kKernel = panels_kernel<kFormat, kOperand, 1>;
  constexpr auto kLongKernel = panels_kernel<kFormat, kOperand, kMostItems>;
  LaunchShape shape;
  shape.grid = dim3(static_cast<unsigned>(args.rows));
  shape.block = dim3(kThreads);
  shape.dependent = args.dependent;
  kernels::launch(args.blocks * 8 <= kThreads ? kKernel : kLongKernel, shape, stream, args);
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
