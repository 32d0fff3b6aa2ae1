// A block takes a tile and a warp of it a chunk, as gemv_layout.h draws it: a lane has 8 bytes of
// codes of rows g and g + 8. Bound by memory, and by how it is written: stores of less than the 32
// bytes that memory takes at a time made it eight times as slow.
#include "core/cuda/runtime_cuda.h"
#include "kernels/cuda/device_cuda.cuh"
#include "kernels/cuda/launch_cuda.cuh"
#include "kernels/dequantize/dequantize_cuda.h"
#include "kernels/dequantize/lane_values_cuda.cuh"

namespace plimsoll::kernels::dequantize {

namespace {

using cuda::Element;
using gemv::DeviceWeights;
using gemv::Format;

constexpr int kThreads = 256;
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
                      std::int64_t row_end, unsigned char* out, std::int64_t stride) {
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
      unsigned char* to = out + (row - row_begin) * stride * kBytes;
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
                  args.row_begin, args.row_end, static_cast<unsigned char*>(args.out),
                  std::int64_t{row_columns(*args.weights)});
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

int row_columns(const DeviceWeights& weights) {
  return weights.gather != nullptr ? weights.columns
                                   : weights.chunks * gemv::chunk_columns(weights.format);
}

Element natural_element(const DeviceWeights& weights) {
  if (weights.format == Format::f32) return Element::f32;
  if (weights.source_bf16 && gpu_generation() < 8) return Element::f32;
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
