// The skeleton of the decode products: one kernel, whose formats (gemv_*_cuda.cu) say how
// activations are laid into shared memory and how a chunk is multiplied.
//
//   grid    one block a multiprocessor; block b has tiles b, b + grid, ... It takes so much shared
//           memory that no second one fits: two on one would leave another multiprocessor idle
//   block   16 warps, F::kSlices of them beside each other along the columns of a tile, the rest on
//           other tiles: none waits for another until the sums of the tiles are put together
//   warp    its chunks, tile after tile, are one stream through a ring of slots that asynchronous
//           copies fill; the first are requested before the previous kernel has ended
//
// Code is kept short: at decode each kernel runs for microseconds, and its instructions come from
// memory too.
#pragma once

#include "core/cuda/runtime_cuda.h"
#include "kernels/cuda/device_cuda.cuh"
#include "kernels/gemv/gemv_plan_cuda.h"

namespace plimsoll::kernels::gemv {

inline constexpr int kWarps = 16;
inline constexpr int kThreads = kWarps * 32;
/// More than half of a multiprocessor's shared memory (228 KB on sm_90).
inline constexpr std::uint32_t kLeastShared = 115 * 1024;

/// Where things lie in a block's shared memory; offsets in bytes.
struct SharedLayout {
  std::uint32_t ring;         // [kWarps][F::kStages], each F::kUnroll chunks' codes, then scales
  std::uint32_t raw;          // [columns] f32: a row as it comes
  std::uint32_t norm;         // [columns] f32
  std::uint32_t activations;  // [chunks][F::activation_bytes]
  std::uint32_t partial;      // [tiles][F::kSlices][16][rows] sums
  std::uint32_t meta;         // row_meta of the block's tiles
  std::uint32_t nested;       // table4_dq's nested table
  std::uint32_t scratch;      // f32 [4][kWarps], then [kMaxRows] for the format
  std::uint32_t total;
};

template <class F>
SharedLayout shared_layout(const Plan& plan) {
  const auto round = [](auto bytes) {
    return (static_cast<std::uint32_t>(bytes) + 127) / 128 * 128;
  };
  const int tiles = plan.block_tiles;
  SharedLayout at{};
  at.raw = round(kWarps * F::kStages * F::kUnroll * (kCodeBytes + scale_bytes(F::kFormat)));
  at.norm = at.raw + round(plan.columns * 4);
  at.activations = at.norm + (plan.args.norm != nullptr ? round(plan.columns * 4) : 0);
  at.partial = at.activations + round(plan.w.chunks * F::activation_bytes(plan));
  at.meta = at.partial + round(tiles * F::kSlices * kTileRows * plan.args.rows * F::kSumBytes);
  at.nested = at.meta + round(tiles * kTileRows * row_meta_floats(F::kFormat) * 4);
  at.scratch = at.nested + (F::kFormat == Format::table4_dq ? 1024 : 0);
  at.total = at.scratch + round((4 * kWarps + kMaxRows) * 4);
  return at;
}

__device__ inline float4 load4(const float* from) {
  return *reinterpret_cast<const float4*>(from);
}
__device__ inline float4 times(const float4& a, const float4& b) {
  return {a.x * b.x, a.y * b.y, a.z * b.z, a.w * b.w};
}
__device__ inline float4 times(const float4& a, float b) {
  return {a.x * b, a.y * b, a.z * b, a.w * b};
}

/// The sum (or the largest) over the block; `parts` [kWarps] is for this call alone until every
/// thread has passed another barrier.
template <bool kMax>
__device__ inline float across_block(float value, float* parts, int warp, int lane) {
  value = kMax ? cuda_device::warp_max(value) : cuda_device::warp_sum(value);
  if (lane == 0) parts[warp] = value;
  __syncthreads();
  value = parts[lane % kWarps];
  for (int i = kWarps / 2; i > 0; i /= 2) {
    const float other = __shfl_xor_sync(0xffffffffu, value, i);
    value = kMax ? fmaxf(value, other) : value + other;
  }
  return value;
}

/// One row of activations in shared memory: the warp's columns [begin, end), times the norm.
struct Row {
  const float* raw;
  const float* norm;  // nullptr: none
  int begin, end, lane;
  float factor;

  /// fn(column, four values, whether they are within the columns), by the whole warp.
  template <class Fn>
  __device__ void visit(Fn&& fn) const {
#pragma unroll 1
    for (int start = begin; start < end; start += 128) {
      const int c = start + lane * 4;
      float4 v{0, 0, 0, 0};
      if (c < end) {
        v = load4(raw + c);
        if (norm != nullptr) v = times(times(v, factor), load4(norm + c));
      }
      fn(c, v, c < end);
    }
  }
};

/// Rows g and g + 8 of a tile, for one token: where they go.
__device__ inline void write_pair(const Plan& plan, int row0, int row1, int token, float first,
                                  float second, const float2& before) {
  const Args& args = plan.args;
  const int all = static_cast<int>(plan.w.order.rows);
  if (args.bias != nullptr) {
    if (row0 < all) first += args.bias[row0];
    if (row1 < all) second += args.bias[row1];
  }
  if (args.epilogue == Epilogue::swiglu) {
    if (row1 < all) args.y[token * (all / 2) + row0] = first / (1 + __expf(-first)) * second;
    return;
  }
  if (row0 < all) args.y[token * all + row0] = before.x + first;
  if (row1 < all) args.y[token * all + row1] = before.y + second;
}

/// What y holds there before: the residual stream.
__device__ inline float2 read_pair(const Plan& plan, int row0, int row1, int token) {
  const int all = static_cast<int>(plan.w.order.rows);
  const float* y = plan.args.y + token * all;
  return {row0 < all ? y[row0] : 0, row1 < all ? y[row1] : 0};
}

template <class F>
__global__ void __launch_bounds__(kThreads, 1)
    gemv_kernel(const __grid_constant__ Plan plan, const __grid_constant__ SharedLayout at) {
  extern __shared__ __align__(128) unsigned char shared[];
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int rows = plan.args.rows;
  const int block = static_cast<int>(blockIdx.x);
  const int grid = static_cast<int>(gridDim.x);
  const int tiles = plan.block_tiles - (block + (plan.block_tiles - 1) * grid >= plan.w.tiles);
  constexpr int kStages = F::kStages;
  constexpr int kUnroll = F::kUnroll;  // chunks that a warp takes at a time
  constexpr int kGroups = kWarps / F::kSlices;
  constexpr int kScales = scale_bytes(F::kFormat);
  constexpr int kSlot = kUnroll * (kCodeBytes + kScales);
  const int slice = warp % F::kSlices;
  const int begin = slice * plan.w.chunks / F::kSlices;
  const int end = (slice + 1) * plan.w.chunks / F::kSlices;
  const int first_tile = begin < end ? warp / F::kSlices : tiles;  // of the warp; then kGroups on

  // What depends on no other kernel: the first weights and what is known of the rows.
  unsigned char* const ring = shared + at.ring + warp * kStages * kSlot;
  unsigned char* const last_slot = ring + (kStages - 1) * kSlot;
  unsigned char* slot = ring;  // to be filled next
  const std::int64_t first_chunk =
      static_cast<std::int64_t>(block + warp / F::kSlices * grid) * plan.w.chunks + begin;
  const std::int64_t to_next_tile =
      static_cast<std::int64_t>(kGroups * grid) * plan.w.chunks - (end - begin);
  const unsigned char* codes = plan.w.codes + first_chunk * kCodeBytes + lane * 16;
  const unsigned char* scales = plan.w.scales + first_chunk * kScales + lane * 16;
  int head_tile = first_tile;
  int head = begin;
  const auto request = [&] {
    if (head_tile < tiles) {
      const int count = min(kUnroll, end - head);
#pragma unroll
      for (int i = 0; i < kUnroll; ++i) {
        if (i < count)
          cuda_device::copy_async(slot + i * kCodeBytes + lane * 16, codes + i * kCodeBytes);
      }
      if (kScales > 0 && lane < count * kScales / 16) {
        cuda_device::copy_async(slot + kUnroll * kCodeBytes + lane * 16, scales);
      }
      codes += count * kCodeBytes;
      scales += count * kScales;
      head += kUnroll;
      if (head >= end) {
        head = begin;
        codes += to_next_tile * kCodeBytes;
        scales += to_next_tile * kScales;
        head_tile += kGroups;
        if (head_tile >= tiles) cuda_device::let_next_start();
      }
    }
    cuda_device::close_copy_group();
    slot = slot == last_slot ? ring : slot + kSlot;
  };
#pragma unroll 1
  for (int i = 0; i < kStages - 1; ++i) request();
  constexpr int kMeta = row_meta_floats(F::kFormat);
  if constexpr (kMeta > 0) {
    constexpr int kTile = kTileRows * kMeta;
    auto* meta = reinterpret_cast<float*>(shared + at.meta);
    for (int i = static_cast<int>(threadIdx.x); i < tiles * kTile; i += kThreads) {
      meta[i] = plan.w.row_meta[(block + i / kTile * grid) * kTile + i % kTile];
    }
  }
  if constexpr (F::kFormat == Format::table4_dq) {
    if (threadIdx.x < 256) {
      reinterpret_cast<float*>(shared + at.nested)[threadIdx.x] = plan.w.nested_table[threadIdx.x];
    }
  }
  auto* raw = reinterpret_cast<float*>(shared + at.raw);
  auto* norm = plan.args.norm != nullptr ? reinterpret_cast<float*>(shared + at.norm) : nullptr;
  const Row base{raw,
                 norm,
                 warp * plan.w.chunks / kWarps * F::kColumns,
                 (warp + 1) * plan.w.chunks / kWarps * F::kColumns,
                 lane,
                 1};
  if (norm != nullptr) {
    for (int c = base.begin + lane * 4; c < base.end; c += 128)
      cuda_device::copy_async(norm + c, plan.args.norm + c);
  }
  if (plan.w.chunks < F::kSlices) {  // some warps have nothing to add
    auto* partial = reinterpret_cast<std::uint32_t*>(shared + at.partial);
    for (std::uint32_t i = threadIdx.x; i < (at.meta - at.partial) / 4; i += kThreads)
      partial[i] = 0;
  }
  __syncthreads();
  cuda_device::wait_for_previous();

  // A row at a time: as it comes, the norm's factor, and into the format's form.
  auto* scratch = reinterpret_cast<float*>(shared + at.scratch);
  F format(plan, at, shared, scratch + 4 * kWarps, warp, lane);
#pragma unroll 1
  for (int token = 0; token < rows; ++token) {
    for (int c = base.begin + lane * 4; c < base.end; c += 128)
      cuda_device::copy_async(raw + c, plan.args.x + token * plan.columns + c);
    cuda_device::close_copy_group();
    cuda_device::wait_for_copies<0>();
    __syncwarp();
    Row row = base;
    float* parts = scratch + token % 2 * kWarps;
    if (norm != nullptr) {
      float sum = 0;
      for (int c = base.begin + lane * 4; c < base.end; c += 128) {
        const float4 v = load4(raw + c);
        sum += v.x * v.x + v.y * v.y + v.z * v.z + v.w * v.w;
      }
      sum = across_block<false>(sum, parts, warp, lane);
      row.factor = 1 / sqrtf(sum / static_cast<float>(plan.columns) + plan.args.epsilon);
    }
    format.stage(token, row, parts + 2 * kWarps);
  }
  __syncthreads();
  const bool add = plan.args.epilogue == Epilogue::add;
  const int tile = static_cast<int>(threadIdx.x) / 8;
  const auto row_of = [&](int local, int j) {
    return static_cast<int>(plan.w.order.row(block + local * grid, j));
  };
  const int g = static_cast<int>(threadIdx.x) % 8;
  float2 before{};
  if (add && tile < tiles) before = read_pair(plan, row_of(tile, g), row_of(tile, g + 8), 0);

  const unsigned char* taken = ring;
  for (int local = first_tile; local < tiles; local += kGroups) {
    format.begin_tile(local);
    for (int chunk = begin; chunk < end; chunk += kUnroll) {
      cuda_device::wait_for_copies<kStages - 2>();
      __syncwarp();
      const auto multiply = [&](int i) {
        format.multiply(taken + i * kCodeBytes, taken + kUnroll * kCodeBytes + i * kScales,
                        chunk + i);
      };
      if (chunk + kUnroll <= end) {
#pragma unroll
        for (int i = 0; i < kUnroll; ++i) multiply(i);
      } else {
#pragma unroll 1
        for (int i = 0; i < end - chunk; ++i) multiply(i);
      }
      taken = taken == last_slot ? ring : taken + kSlot;
      __syncwarp();  // every lane has read the slot before, which is filled next
      request();
    }
    format.end_tile(local, slice);
  }
  // A warp that had no chunk must not hold up the next kernel.
  cuda_device::let_next_start();
  __syncthreads();
#pragma unroll 1
  for (int local = tile; local < tiles; local += kThreads / 8) {
    const int row0 = row_of(local, g);
    const int row1 = row_of(local, g + 8);
#pragma unroll 1
    for (int token = 0; token < rows; ++token) {
      if (add && (token > 0 || local > tile)) before = read_pair(plan, row0, row1, token);
      write_pair(plan, row0, row1, token, format.total(local, g, token),
                 format.total(local, g + 8, token), before);
    }
  }
}

/// Launches the product, in as many groups of rows as shared memory needs; a format's .cu calls it.
template <class F>
void launch(Plan plan, cudaStream_t stream) {
  struct Limits {
    int groups = 0;
    int shared = 0;
    int major = 0;
  };
  static const Limits kLimits = [] {  // once a process
    Limits limits;
    int device = 0;
    PLIMSOLL_CUDA_CHECK(cudaGetDevice(&device));
    PLIMSOLL_CUDA_CHECK(
        cudaDeviceGetAttribute(&limits.groups, cudaDevAttrMultiProcessorCount, device));
    PLIMSOLL_CUDA_CHECK(
        cudaDeviceGetAttribute(&limits.shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
    PLIMSOLL_CUDA_CHECK(
        cudaDeviceGetAttribute(&limits.major, cudaDevAttrComputeCapabilityMajor, device));
    PLIMSOLL_CUDA_CHECK(cudaFuncSetAttribute(
        gemv_kernel<F>, cudaFuncAttributeMaxDynamicSharedMemorySize, limits.shared));
    return limits;
  }();
  const int all_rows = plan.args.rows;
  int blocks = plan.w.tiles < kLimits.groups ? plan.w.tiles : kLimits.groups;
  SharedLayout at{};
  // Fewer rows at a time, then fewer tiles a block, until it fits.
  for (plan.args.rows = all_rows < F::kRows ? all_rows : F::kRows;;) {
    plan.block_tiles = (plan.w.tiles + blocks - 1) / blocks;
    at = shared_layout<F>(plan);
    if (at.total <= static_cast<std::uint32_t>(kLimits.shared)) break;
    if (plan.args.rows > 1) {
      --plan.args.rows;
    } else if (plan.block_tiles > 1) {
      blocks *= 2;
    } else {
      break;  // the launch will say so
    }
  }
  const int group = plan.args.rows;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(blocks));
  config.blockDim = dim3(kThreads);
  const auto most = static_cast<std::uint32_t>(kLimits.shared);
  const std::uint32_t least = kLeastShared < most ? kLeastShared : most;
  config.dynamicSmemBytes = at.total < least ? least : at.total;
  config.stream = stream;
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  config.attrs = &attribute;
  config.numAttrs = plan.args.dependent && kLimits.major >= 9 ? 1 : 0;
  const std::int64_t outputs =
      plan.args.epilogue == Epilogue::swiglu ? plan.w.order.rows / 2 : plan.w.order.rows;
  for (int row = 0; row < all_rows; row += group) {
    plan.args.rows = all_rows - row < group ? all_rows - row : group;
    PLIMSOLL_CUDA_CHECK(cudaLaunchKernelEx(&config, gemv_kernel<F>, plan, at));
    plan.args.x += static_cast<std::int64_t>(group) * plan.columns;
    plan.args.y += group * outputs;
  }
}

}  // namespace plimsoll::kernels::gemv
