// Both kernels are a launch, some reading of weights that have been asked for before, and little
// else: of one row they take as long as any two small kernels, of many they read A and B from L2.
#include "kernels/cuda/device_cuda.cuh"
#include "kernels/cuda/launch_cuda.cuh"
#include "kernels/gemv/gemv_epilogue_cuda.cuh"
#include "kernels/low_rank/low_rank_cuda.h"

namespace plimsoll::kernels::low_rank {

namespace {

constexpr int kDownThreads = 256;
constexpr int kDownWarps = kDownThreads / 32;
constexpr int kUpThreads = 128;
constexpr int kLineBytes = 128;

/// Asks for memory that is read after the wait for the kernel before.
__device__ void prefetch(const void* begin, std::size_t bytes) {
  for (std::size_t at = threadIdx.x * kLineBytes; at < bytes; at += blockDim.x * kLineBytes) {
    asm volatile("prefetch.global.L2 [%0];" ::"l"(static_cast<const char*>(begin) + at));
  }
}

__device__ float sum_of_warp(float value) {
  for (int lane = 16; lane > 0; lane /= 2) value += __shfl_xor_sync(0xffffffffu, value, lane);
  return value;
}

/// The sum over the block, in every thread.
__device__ float sum_of_block(float value, float* of_warps) {
  value = sum_of_warp(value);
  __syncthreads();  // of_warps may be in use
  if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = value;
  __syncthreads();
  float sum = 0;
#pragma unroll
  for (int warp = 0; warp < kDownWarps; ++warp) sum += of_warps[warp];
  return sum;
}

/// The mean of LayerNorm, 0 without it.
__device__ float mean_of(const Args& args, const float* x, float* of_warps) {
  if (args.norm_bias == nullptr) return 0;
  float sum = 0;
  for (int i = static_cast<int>(threadIdx.x); i < args.columns / 4; i += kDownThreads) {
    const float4 v = reinterpret_cast<const float4*>(x)[i];
    sum += v.x + v.y + (v.z + v.w);
  }
  return sum_of_block(sum, of_warps) / static_cast<float>(args.columns);
}

__device__ float dot(const float4& a, const float4& b, float sum) {
  return fmaf(a.w, b.w, fmaf(a.z, b.z, fmaf(a.y, b.y, fmaf(a.x, b.x, sum))));
}

// inner = A norm(x). Grid (groups of kRankGrain ranks, groups of kRows rows).
template <int kRows>
__global__ void __launch_bounds__(kDownThreads) down_kernel(const __grid_constant__ Args args) {
  __shared__ float of_warps[kDownWarps];
  constexpr int kPlaces = kRankGrain + 1;  // of a row: its ranks' sums and its squares
  __shared__ float partial[kDownWarps][kRows * kPlaces + kRankGrain];
  cuda_device::let_next_start();
  const int rank = static_cast<int>(blockIdx.x) * kRankGrain;
  const int row = static_cast<int>(blockIdx.y) * kRows;
  const int quads = args.columns / 4;
  const float* const a = args.a + static_cast<std::int64_t>(rank) * args.columns;
  prefetch(a, static_cast<std::size_t>(args.columns) * kRankGrain * sizeof(float));
  cuda_device::wait_for_previous();

  const auto x_of = [&](int r) {
    const int last = args.rows - 1;
    return args.x + static_cast<std::int64_t>(row + r < last ? row + r : last) * args.columns;
  };
  float mean[kRows];
#pragma unroll
  for (int r = 0; r < kRows; ++r) mean[r] = mean_of(args, x_of(r), of_warps);

  // A norm(x) = factor A ((x - mean) weight) + A bias, so that the factor, which needs the whole
  // row, comes last and x is read once.
  float sums[kRows][kRankGrain] = {};
  float squares[kRows] = {};
  float of_bias[kRankGrain] = {};
  for (int i = static_cast<int>(threadIdx.x); i < quads; i += kDownThreads) {
    float4 weights[kRankGrain];
#pragma unroll
    for (int k = 0; k < kRankGrain; ++k)
      weights[k] = reinterpret_cast<const float4*>(a + k * args.columns)[i];
    float4 norm{1, 1, 1, 1};
    if (args.norm != nullptr) norm = reinterpret_cast<const float4*>(args.norm)[i];
    if (args.norm_bias != nullptr) {
      const float4 bias = reinterpret_cast<const float4*>(args.norm_bias)[i];
#pragma unroll
      for (int k = 0; k < kRankGrain; ++k) of_bias[k] = dot(bias, weights[k], of_bias[k]);
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      float4 v = reinterpret_cast<const float4*>(x_of(r))[i];
      v.x -= mean[r];
      v.y -= mean[r];
      v.z -= mean[r];
      v.w -= mean[r];
      squares[r] = dot(v, v, squares[r]);
      v.x *= norm.x;
      v.y *= norm.y;
      v.z *= norm.z;
      v.w *= norm.w;
#pragma unroll
      for (int k = 0; k < kRankGrain; ++k) sums[r][k] = dot(v, weights[k], sums[r][k]);
    }
  }
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const auto keep = [&](int place, float value) {
    value = sum_of_warp(value);
    if (threadIdx.x % 32 == 0) partial[warp][place] = value;
  };
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    keep(r * kPlaces + kRankGrain, squares[r]);
#pragma unroll
    for (int k = 0; k < kRankGrain; ++k) keep(r * kPlaces + k, sums[r][k]);
  }
#pragma unroll
  for (int k = 0; k < kRankGrain; ++k) keep(kRows * kPlaces + k, of_bias[k]);
  __syncthreads();
  const auto thread = static_cast<int>(threadIdx.x);
  const int own_row = thread / kRankGrain;
  const int own_rank = thread % kRankGrain;
  if (own_row >= kRows || row + own_row >= args.rows) return;
  const auto total = [&](int place) {
    float sum = 0;
#pragma unroll
    for (int w = 0; w < kDownWarps; ++w) sum += partial[w][place];
    return sum;
  };
  float factor = 1;
  if (args.norm != nullptr) {
    const float mean_square =
        total(own_row * kPlaces + kRankGrain) / static_cast<float>(args.columns);
    factor = rsqrtf(mean_square + args.epsilon);
  }
  args.inner[static_cast<std::int64_t>(row + own_row) * args.ranks + rank + own_rank] =
      fmaf(factor, total(own_row * kPlaces + own_rank), total(kRows * kPlaces + own_rank));
}

/// B's row of `output` times each of the rows of inner, which lie [kRows][ranks] in `inner`.
template <int kRows>
__device__ void products_of(const Args& args, int output, const float* inner,
                            float (&sums)[kRows]) {
  Part part;
#pragma unroll
  for (int i = 0; i < kMaxParts; ++i) {
    if (i < args.part_count && output >= args.parts[i].begin && output < args.parts[i].end)
      part = args.parts[i];
  }
  const float* const b = args.b + static_cast<std::int64_t>(output) * args.ranks;
  for (int rank = part.rank_begin; rank < part.rank_end; rank += kRankGrain) {
    const float4 weights = *reinterpret_cast<const float4*>(b + rank);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      sums[r] =
          dot(*reinterpret_cast<const float4*>(inner + r * args.ranks + rank), weights, sums[r]);
    }
  }
}

// y = activation(sums + B inner). Grid (groups of kUpThreads outputs, groups of kRows rows).
template <int kRows>
__global__ void __launch_bounds__(kUpThreads) up_kernel(const __grid_constant__ Args args) {
  extern __shared__ __align__(16) float inner[];
  cuda_device::let_next_start();
  const bool paired = args.epilogue == gemv::Epilogue::swiglu;
  const int width = paired ? args.outputs / 2 : args.outputs;
  const int first = static_cast<int>(blockIdx.x) * kUpThreads;
  const int count = min(kUpThreads, width - first);
  const std::size_t line = static_cast<std::size_t>(args.ranks) * sizeof(float);
  prefetch(args.b + static_cast<std::int64_t>(first) * args.ranks, count * line);
  if (paired)
    prefetch(args.b + static_cast<std::int64_t>(width + first) * args.ranks, count * line);
  cuda_device::wait_for_previous();

  const int row = static_cast<int>(blockIdx.y) * kRows;
  const int rows = min(kRows, args.rows - row);
  const float* const from = args.inner + static_cast<std::int64_t>(row) * args.ranks;
  for (int i = static_cast<int>(threadIdx.x); i < kRows * args.ranks; i += kUpThreads)
    inner[i] = i < rows * args.ranks ? from[i] : 0;
  __syncthreads();
  const int output = first + static_cast<int>(threadIdx.x);
  if (output >= width) return;
  float own[kRows] = {};
  float up[kRows] = {};
  products_of<kRows>(args, output, inner, own);
  if (paired) products_of<kRows>(args, output + width, inner, up);
#pragma unroll
  for (int r = 0; r < kRows; ++r) {
    if (r >= rows) break;
    const float* const sums = args.sums + static_cast<std::int64_t>(row + r) * args.outputs;
    const float value = sums[output] + own[r];
    args.y[static_cast<std::int64_t>(row + r) * width + output] =
        paired ? gemv::silu(value) * (sums[output + width] + up[r])
               : gemv::activated(args.epilogue, value);
  }
}

template <int kRows>
void run_with(const Args& args, cudaStream_t stream) {
  const auto groups = static_cast<unsigned>((args.rows + kRows - 1) / kRows);
  launch(down_kernel<kRows>,
         {dim3(static_cast<unsigned>(args.ranks / kRankGrain), groups), dim3(kDownThreads), 0,
          args.dependent},
         stream, args);
  const int width = args.epilogue == gemv::Epilogue::swiglu ? args.outputs / 2 : args.outputs;
  const std::size_t shared = static_cast<std::size_t>(kRows * args.ranks) * sizeof(float);
  launch(up_kernel<kRows>,
         {dim3(static_cast<unsigned>((width + kUpThreads - 1) / kUpThreads), groups),
          dim3(kUpThreads), shared, true},
         stream, args);
}

}  // namespace

void run(const Args& args, cudaStream_t stream) {
  if (args.rows == 0) return;
  const bool possible = args.columns % 4 == 0 && args.ranks % kRankGrain == 0 && args.ranks > 0 &&
                        args.ranks <= kMaxRanks && args.part_count <= kMaxParts;
  PLIMSOLL_CUDA_CHECK(possible ? cudaSuccess : cudaErrorInvalidValue);
  constexpr int kTogether = 8;
  args.rows == 1 ? run_with<1>(args, stream) : run_with<kTogether>(args, stream);
}

}  // namespace plimsoll::kernels::low_rank
