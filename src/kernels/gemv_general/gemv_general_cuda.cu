// x is brought into the weights' order of columns by round_rows, with zeros where these are padded.
// Then
//
//   grid    (tiles, groups of kTokens rows)
//   block   8 warps, each with every eighth chunk of the tile; a lane has its 16 bytes of codes, as
//           gemv_layout.h draws them, and the activations of these columns from L1
#include "kernels/cuda/device_cuda.cuh"
#include "kernels/cuda/launch_cuda.cuh"
#include "kernels/dequantize/lane_values_cuda.cuh"
#include "kernels/gemv/gemv_epilogue_cuda.cuh"
#include "kernels/gemv_general/gemv_general_cuda.h"
#include "kernels/round_rows/round_rows_cuda.h"

namespace plimsoll::kernels::gemv_general {

namespace {

using gemv::DeviceWeights;
using gemv::Format;
using gemv::kTileRows;

constexpr int kWarps = 8;
constexpr int kThreads = kWarps * 32;

int columns_of(const DeviceWeights& w) {
  return w.chunks * gemv::chunk_columns(w.format);
}

// plan.args.x: [rows, columns_of()], in the weights' order.
template <Format kFormat, int kTokens>
__global__ void __launch_bounds__(kThreads)
    general_kernel(const __grid_constant__ gemv::Plan plan) {
  constexpr int kColumns = gemv::chunk_columns(kFormat);
  constexpr int kShare = kColumns / 4;  // columns of a lane
  static_assert(kThreads >= kTokens * 8);
  __shared__ float levels[16];
  __shared__ float partial[kWarps][kTileRows][kTokens];
  const DeviceWeights& w = plan.w;
  const auto thread = static_cast<int>(threadIdx.x);
  const int warp = thread / 32;
  const int lane = thread % 32;
  const auto tile = static_cast<int>(blockIdx.x);
  const int first_token = static_cast<int>(blockIdx.y) * kTokens;
  const int tokens = min(kTokens, plan.args.rows - first_token);
  if (w.levels != nullptr && thread < 16) levels[thread] = w.levels[thread];
  __syncthreads();
  cuda_device::let_next_start();
  cuda_device::wait_for_previous();

  const std::int64_t stride = static_cast<std::int64_t>(w.chunks) * kColumns;
  const float* const x = plan.args.x + first_token * stride + lane % 4 * kShare;
  const unsigned char* const tile_codes =
      w.codes + static_cast<std::int64_t>(tile) * w.chunks * gemv::kCodeBytes;
  float sums[2][kTokens] = {};
  for (int chunk = warp; chunk < w.chunks; chunk += kWarps) {
    const uint4 codes = reinterpret_cast<const uint4*>(tile_codes + chunk * gemv::kCodeBytes)[lane];
    float values[2][kShare];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const auto of = dequantize::scale_of<kFormat>(w, tile, chunk, lane / 4 + half * 8);
      const uint2 mine = half == 0 ? uint2{codes.x, codes.y} : uint2{codes.z, codes.w};
#pragma unroll
      for (int i = 0; i < kShare; ++i)
        values[half][i] = dequantize::decoded<kFormat>(mine, i, of, levels);
    }
#pragma unroll
    for (int token = 0; token < kTokens; ++token) {
      if (token >= tokens) break;
      const float* const of_token = x + token * stride + chunk * kColumns;
#pragma unroll
      for (int i = 0; i < kShare; i += 2) {
        const float2 v = *reinterpret_cast<const float2*>(of_token + i);
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          sums[half][token] = fmaf(values[half][i], v.x, sums[half][token]);
          sums[half][token] = fmaf(values[half][i + 1], v.y, sums[half][token]);
        }
      }
    }
  }
#pragma unroll
  for (int half = 0; half < 2; ++half) {
#pragma unroll
    for (int token = 0; token < kTokens; ++token) {
      float sum = sums[half][token];
      for (int i = 1; i < 4; i *= 2) sum += __shfl_xor_sync(0xffffffffu, sum, i);
      if (lane % 4 == 0) partial[warp][lane / 4 + half * 8][token] = sum;
    }
  }
  __syncthreads();
  const int g = thread % 8;
  const int token = thread / 8;
  if (token >= tokens) return;
  const auto total = [&](int row) {
    float sum = 0;
#pragma unroll
    for (int i = 0; i < kWarps; ++i) sum += partial[i][row][token];
    return sum;
  };
  const auto row0 = static_cast<int>(w.order.row(tile, g));
  const auto row1 = static_cast<int>(w.order.row(tile, g + 8));
  gemv::write_pair(plan, row0, row1, first_token + token, total(g), total(g + 8),
                   gemv::read_bias(plan, row0, row1),
                   gemv::read_pair(plan, row0, row1, first_token + token));
}

template <Format kFormat, int kTokens>
void launch_tokens(const gemv::Plan& plan, cudaStream_t stream) {
  LaunchShape shape;
  shape.grid = dim3(static_cast<unsigned>(plan.w.tiles),
                    static_cast<unsigned>((plan.args.rows + kTokens - 1) / kTokens));
  shape.block = dim3(kThreads);
  shape.dependent = true;
  kernels::launch(general_kernel<kFormat, kTokens>, shape, stream, plan);
}

template <Format kFormat>
void launch_format(const gemv::Plan& plan, cudaStream_t stream) {
  constexpr int kTogether = 8;
  plan.args.rows == 1 ? launch_tokens<kFormat, 1>(plan, stream)
                      : launch_tokens<kFormat, kTogether>(plan, stream);
}

}  // namespace

std::size_t scratch_bytes(const DeviceWeights& weights, std::int64_t rows) {
  return static_cast<std::size_t>(rows * columns_of(weights)) * sizeof(float);
}

void run(const gemv::Args& args, cudaStream_t stream) {
  const DeviceWeights& w = *args.weights;
  round_rows::Args prepared;
  prepared.x = args.x;
  prepared.rows = args.rows;
  prepared.columns = w.columns;
  prepared.norm = args.norm;
  prepared.norm_bias = args.norm_bias;
  prepared.epsilon = args.epsilon;
  prepared.element = cuda::Element::f32;
  prepared.out_columns = columns_of(w);
  prepared.gather = w.gather;
  prepared.out = args.scratch;
  prepared.dependent = args.dependent;
  round_rows::run(prepared, stream);

  gemv::Plan plan;
  plan.args = args;
  plan.args.x = static_cast<const float*>(args.scratch);
  plan.w = w;
  switch (w.format) {
    case Format::f32:
      return launch_format<Format::f32>(plan, stream);
    case Format::f16:
      return launch_format<Format::f16>(plan, stream);
    case Format::bf16:
      return launch_format<Format::bf16>(plan, stream);
    case Format::fp8:
      return launch_format<Format::fp8>(plan, stream);
    case Format::int8:
      return launch_format<Format::int8>(plan, stream);
    case Format::int8_static:
      return launch_format<Format::int8_static>(plan, stream);
    case Format::table4:
      return launch_format<Format::table4>(plan, stream);
    case Format::table4_dq:
      return launch_format<Format::table4_dq>(plan, stream);
    case Format::int4:
      return launch_format<Format::int4>(plan, stream);
  }
}

}  // namespace plimsoll::kernels::gemv_general
