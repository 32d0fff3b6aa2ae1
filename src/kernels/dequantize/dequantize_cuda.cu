// A warp takes a chunk as gemv_layout.h draws it: a lane has 8 bytes of codes of rows g and g + 8.
#include <cuda_fp8.h>

#include "core/cuda/runtime_cuda.h"
#include "kernels/cuda/device_cuda.cuh"
#include "kernels/cuda/launch_cuda.cuh"
#include "kernels/dequantize/dequantize_cuda.h"

namespace plimsoll::kernels::dequantize {

namespace {

using cuda::Element;
using gemv::DeviceWeights;
using gemv::Format;
using gemv::RowScales;

constexpr int kThreads = 256;
constexpr float kInt8WeightScale = 7.874015718698502e-3f;  // quant/int8.h

// What one row's codes of one chunk are multiplied by, and what is taken off before.
struct Scale {
  float scale = 1;
  float zero = 0;
};

template <Format kFormat>
__device__ Scale scale_of(const DeviceWeights& w, int tile, int chunk, int j) {
  const std::int64_t at = static_cast<std::int64_t>(tile) * w.chunks + chunk;
  const unsigned char* scales = w.scales + at * gemv::scale_bytes(kFormat);
  const int row = tile * gemv::kTileRows + j;
  const int place = j % 8 * 2 + j / 8;
  if constexpr (kFormat == Format::table4) {
    return {reinterpret_cast<const float*>(scales)[place], 0};
  } else if constexpr (kFormat == Format::table4_dq) {
    const RowScales of = reinterpret_cast<const RowScales*>(w.row_meta)[row];
    const float nested = w.nested_table[scales[place]];
    return {__fadd_rn(__fmul_rn(nested, chunk < of.border ? of.first : of.second), of.offset), 0};
  } else if constexpr (kFormat == Format::int4) {
    const int zeros = scales[gemv::kTileRows * 2 + j % 8];
    return {__half2float(reinterpret_cast<const __half*>(scales)[place]),
            static_cast<float>(j < 8 ? zeros & 0xf : zeros >> 4)};
  } else if constexpr (gemv::row_meta_floats(kFormat) > 0) {
    return {w.row_meta[row * gemv::row_meta_floats(kFormat)], 0};
  } else {
    return {};
  }
}

__device__ float from_e4m3(std::uint32_t code) {
  return __half2float(
      __half(__nv_cvt_fp8_to_halfraw(static_cast<__nv_fp8_storage_t>(code), __NV_E4M3)));
}

// Column i of the lane's share, out of its 8 bytes.
template <Format kFormat>
__device__ float decoded(const uint2& codes, int i, const Scale& of, const float* levels) {
  const auto word = [&](int which) { return which == 0 ? codes.x : codes.y; };
  if constexpr (kFormat == Format::f32) {
    return __uint_as_float(word(i));
  } else if constexpr (kFormat == Format::f16) {
    return __half2float(__ushort_as_half(static_cast<unsigned short>(word(i / 2) >> i % 2 * 16)));
  } else if constexpr (kFormat == Format::bf16) {
    return __uint_as_float(word(i / 2) >> i % 2 * 16 << 16);
  } else if constexpr (kFormat == Format::fp8) {
    return from_e4m3(word(i / 4) >> i % 4 * 8 & 0xff) * of.scale;
  } else if constexpr (kFormat == Format::int8 || kFormat == Format::int8_static) {
    const auto code = static_cast<std::int8_t>(word(i / 4) >> i % 4 * 8);
    return static_cast<float>(code) * of.scale * kInt8WeightScale;
  } else if constexpr (kFormat == Format::int4) {
    const std::uint32_t code = word(i / 8) >> (i % 4 * 8 + i % 8 / 4 * 4) & 0xf;
    return of.scale * (static_cast<float>(code) - of.zero);
  } else {
    return levels[word(i / 8) >> i % 8 * 4 & 0xf] * of.scale;
  }
}

template <Element kElement>
__device__ void store(void* out, std::int64_t at, float a) {
  if constexpr (kElement == Element::f32) {
    static_cast<float*>(out)[at] = a;
  } else {
    const std::uint32_t bits =
        kElement == Element::f16 ? cuda_device::half2_bits(a, a) : cuda_device::bf162_bits(a, a);
    static_cast<std::uint16_t*>(out)[at] = static_cast<std::uint16_t>(bits);
  }
}

// A pair of neighbours, the first at an even place.
template <Element kElement>
__device__ void store(void* out, std::int64_t at, float a, float b) {
  if constexpr (kElement == Element::f32) {
    reinterpret_cast<float2*>(out)[at / 2] = {a, b};
  } else {
    reinterpret_cast<std::uint32_t*>(out)[at / 2] =
        kElement == Element::f16 ? cuda_device::half2_bits(a, b) : cuda_device::bf162_bits(a, b);
  }
}

template <Format kFormat, Element kElement>
__global__ void __launch_bounds__(kThreads)
    dequantize_kernel(const __grid_constant__ DeviceWeights w, std::int64_t row_begin,
                      std::int64_t row_end, void* out) {
  constexpr int kShare = gemv::chunk_columns(kFormat) / 4;  // columns of a lane
  __shared__ float levels[16];
  cuda_device::let_next_start();
  if (w.levels != nullptr && threadIdx.x < 16) levels[threadIdx.x] = w.levels[threadIdx.x];
  __syncthreads();
  cuda_device::wait_for_previous();
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const auto warp = static_cast<std::int64_t>(blockIdx.x) * (kThreads / 32) + threadIdx.x / 32;
  const std::int64_t warps = static_cast<std::int64_t>(gridDim.x) * (kThreads / 32);
  const std::int64_t count = static_cast<std::int64_t>(w.tiles) * w.chunks;
  for (std::int64_t at = warp; at < count; at += warps) {
    const auto tile = static_cast<int>(at / w.chunks);
    const auto chunk = static_cast<int>(at % w.chunks);
    // Rows of a tile lie together, those of its second half perhaps elsewhere.
    bool wanted = false;
    for (const int j : {0, 7, 8, 15}) {
      const std::int64_t row = w.order.row(tile, j);
      wanted |= row >= row_begin && row < row_end;
    }
    if (!wanted) continue;
    const uint4 codes = reinterpret_cast<const uint4*>(w.codes + at * gemv::kCodeBytes)[lane];
    const int column = (chunk * 4 + lane % 4) * kShare;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int j = lane / 4 + half * 8;
      const std::int64_t row = w.order.row(tile, j);
      if (row < row_begin || row >= row_end) continue;
      const uint2 mine = half == 0 ? uint2{codes.x, codes.y} : uint2{codes.z, codes.w};
      const Scale of = scale_of<kFormat>(w, tile, chunk, j);
      const std::int64_t start = (row - row_begin) * w.columns;
#pragma unroll
      for (int i = 0; i < kShare; i += 2) {
        const float a = decoded<kFormat>(mine, i, of, levels);
        const float b = decoded<kFormat>(mine, i + 1, of, levels);
        if (w.gather == nullptr) {
          store<kElement>(out, start + column + i, a, b);
        } else {
          const int2 to = *reinterpret_cast<const int2*>(w.gather + column + i);
          if (to.x >= 0) store<kElement>(out, start + to.x, a);
          if (to.y >= 0) store<kElement>(out, start + to.y, b);
        }
      }
    }
  }
}

template <Format kFormat, Element kElement>
void launch_as(const Args& args, cudaStream_t stream) {
  const DeviceWeights& w = *args.weights;
  const std::int64_t warps = static_cast<std::int64_t>(w.tiles) * w.chunks;
  const std::int64_t blocks = (warps + kThreads / 32 - 1) / (kThreads / 32);
  constexpr std::int64_t kMostBlocks = 8192;
  LaunchShape shape;
  shape.grid = dim3(static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks));
  shape.block = dim3(kThreads);
  shape.dependent = args.dependent;
  kernels::launch(dequantize_kernel<kFormat, kElement>, shape, stream, w, args.row_begin,
                  args.row_end, args.out);
}

template <Format kFormat>
void launch_format(const Args& args, cudaStream_t stream) {
  switch (args.element) {
    case Element::f16:
      return launch_as<kFormat, Element::f16>(args, stream);
    case Element::bf16:
      return launch_as<kFormat, Element::bf16>(args, stream);
    case Element::f32:
      return launch_as<kFormat, Element::f32>(args, stream);
  }
}

}  // namespace

Element natural_element(const DeviceWeights& weights) {
  if (weights.format == Format::f32) return Element::f32;
  return weights.source_bf16 ? Element::bf16 : Element::f16;
}

void run(const Args& args, cudaStream_t stream) {
  switch (args.weights->format) {
    case Format::f32:
      return launch_format<Format::f32>(args, stream);
    case Format::f16:
      return launch_format<Format::f16>(args, stream);
    case Format::bf16:
      return launch_format<Format::bf16>(args, stream);
    case Format::fp8:
      return launch_format<Format::fp8>(args, stream);
    case Format::int8:
      return launch_format<Format::int8>(args, stream);
    case Format::int8_static:
      return launch_format<Format::int8_static>(args, stream);
    case Format::table4:
      return launch_format<Format::table4>(args, stream);
    case Format::table4_dq:
      return launch_format<Format::table4_dq>(args, stream);
    case Format::int4:
      return launch_format<Format::int4>(args, stream);
  }
}

}  // namespace plimsoll::kernels::dequantize
