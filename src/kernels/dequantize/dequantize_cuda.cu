// A block takes a tile and a warp of it a chunk, as gemv_layout.h draws it: a lane has 8 bytes of
// codes of rows g and g + 8. Bound by memory, and by how it is written: stores of less than the 32
// bytes that memory takes at a time made it eight times as slow.
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

// Two neighbours in 16 bits.
template <Element kElement>
__device__ std::uint32_t pair_bits(float a, float b) {
  return kElement == Element::f16 ? cuda_device::half2_bits(a, b) : cuda_device::bf162_bits(a, b);
}

// The lane's kShare values to row[column], which lies at a multiple of kShare; the four lanes of a
// row are neighbours, all of a warp take part.
template <Element kElement, int kShare>
__device__ void store(void* row, int column, const float (&values)[kShare], bool wanted) {
  if constexpr (kElement == Element::f32) {
    auto* to = static_cast<float*>(row) + column;
#pragma unroll
    for (int i = 0; i < kShare; i += 2) {
      if (wanted) *reinterpret_cast<float2*>(to + i) = {values[i], values[i + 1]};
    }
  } else {
    std::uint32_t words[kShare / 2];
#pragma unroll
    for (int i = 0; i < kShare / 2; ++i)
      words[i] = pair_bits<kElement>(values[2 * i], values[2 * i + 1]);
    auto* to = static_cast<std::uint16_t*>(row) + column;
    if constexpr (kShare == 16) {
      // 32 bytes a lane, stored by 16. Neighbours exchange halves, so that both stores fill whole
      // sectors: the first those of the even lane, the second those of the odd one.
      const bool odd = threadIdx.x % 2 != 0;
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const std::uint32_t got = __shfl_xor_sync(0xffffffffu, odd ? words[i] : words[i + 4], 1);
        (odd ? words[i] : words[i + 4]) = got;
      }
      to += odd ? -8 : 0;  // words: the even lane's place, then the odd one's
      if (!wanted) return;
      *reinterpret_cast<uint4*>(to) = {words[0], words[1], words[2], words[3]};
      *reinterpret_cast<uint4*>(to + 16) = {words[4], words[5], words[6], words[7]};
    } else if constexpr (kShare == 8) {
      if (wanted) *reinterpret_cast<uint4*>(to) = {words[0], words[1], words[2], words[3]};
    } else if constexpr (kShare == 4) {
      if (wanted) *reinterpret_cast<uint2*>(to) = {words[0], words[1]};
    } else {
      if (wanted) *reinterpret_cast<std::uint32_t*>(to) = words[0];
    }
  }
}

// The same of columns that lie anywhere.
template <Element kElement, int kShare>
__device__ void scatter(void* row, const std::int32_t* columns, const float (&values)[kShare]) {
#pragma unroll
  for (int i = 0; i < kShare; ++i) {
    const int to = columns[i];
    if (to < 0) continue;
    if constexpr (kElement == Element::f32) {
      static_cast<float*>(row)[to] = values[i];
    } else {
      static_cast<std::uint16_t*>(row)[to] =
          static_cast<std::uint16_t>(pair_bits<kElement>(values[i], 0));
    }
  }
}

template <Format kFormat, Element kElement>
__global__ void __launch_bounds__(kThreads)
    dequantize_kernel(const __grid_constant__ DeviceWeights w, std::int64_t row_begin,
                      std::int64_t row_end, unsigned char* out) {
  constexpr int kShare = gemv::chunk_columns(kFormat) / 4;  // columns of a lane
  constexpr int kBytes = kElement == Element::f32 ? 4 : 2;
  const int tile = static_cast<int>(blockIdx.x);
  cuda_device::let_next_start();
  // Rows of a tile lie together, those of its second half perhaps elsewhere.
  bool wanted = false;
  for (const int j : {0, 7, 8, 15}) {
    const std::int64_t row = w.order.row(tile, j);
    wanted |= row >= row_begin && row < row_end;
  }
  if (!wanted) return;
  __shared__ float levels[16];
  if (w.levels != nullptr && threadIdx.x < 16) levels[threadIdx.x] = w.levels[threadIdx.x];
  __syncthreads();
  cuda_device::wait_for_previous();
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const unsigned char* tile_codes =
      w.codes + static_cast<std::int64_t>(tile) * w.chunks * gemv::kCodeBytes;
  for (int chunk = warp; chunk < w.chunks; chunk += kThreads / 32) {
    const uint4 codes = reinterpret_cast<const uint4*>(tile_codes + chunk * gemv::kCodeBytes)[lane];
    const int column = (chunk * 4 + lane % 4) * kShare;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int j = lane / 4 + half * 8;
      const std::int64_t row = w.order.row(tile, j);
      const bool inside = row >= row_begin && row < row_end;
      const uint2 mine = half == 0 ? uint2{codes.x, codes.y} : uint2{codes.z, codes.w};
      const Scale of = scale_of<kFormat>(w, tile, chunk, j);
      float values[kShare];
#pragma unroll
      for (int i = 0; i < kShare; ++i) values[i] = decoded<kFormat>(mine, i, of, levels);
      unsigned char* to = out + (row - row_begin) * w.columns * kBytes;
      if (w.gather == nullptr) {
        store<kElement>(to, column, values, inside);
      } else if (inside) {
        scatter<kElement>(to, w.gather + column, values);
      }
    }
  }
}

template <Format kFormat, Element kElement>
void launch_as(const Args& args, cudaStream_t stream) {
  LaunchShape shape;
  shape.grid = dim3(static_cast<unsigned>(args.weights->tiles));
  shape.block = dim3(kThreads);
  shape.dependent = args.dependent;
  kernels::launch(dequantize_kernel<kFormat, kElement>, shape, stream, *args.weights,
                  args.row_begin, args.row_end, static_cast<unsigned char*>(args.out));
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
