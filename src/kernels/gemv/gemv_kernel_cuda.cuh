// The product of one row, whose formats (gemv_*_cuda.cu) say how activations are brought into their
// form (F::Stage) and how a chunk is multiplied (F, with places for F::kRows rows). Several rows:
// gemv_rows_cuda.cuh.
//
//   grid    one block a multiprocessor; block b has tiles b, b + grid, ... It takes so much shared
//           memory that no second one fits: two on one would leave another multiprocessor idle
//   block   16 warps, F::kSlices of them beside each other along the columns of a tile, the rest on
//           other tiles: none waits for another until the sums of the tiles are put together
//   warp    a WeightStream, which requests its first chunks before the previous kernel has ended
//
// Code is kept short: at decode each kernel runs for microseconds, and its instructions come from
// memory too.
#pragma once

#include "core/cuda/runtime_cuda.h"
#include "kernels/gemv/gemv_epilogue_cuda.cuh"
#include "kernels/gemv/gemv_stream_cuda.cuh"

namespace plimsoll::kernels::gemv {

/// More than half of a multiprocessor's shared memory (228 KB on sm_90).
inline constexpr std::uint32_t kLeastShared = 115 * 1024;

/// Where things lie in a block's shared memory, after the ring; offsets in bytes.
struct SharedLayout {
  int slots;                  // of the ring
  std::uint32_t raw;          // [columns] f32: a row as it comes
  std::uint32_t norm;         // [columns] f32, then the norm's bias
  std::uint32_t partial;      // [tiles][F::kSlices][16] sums; where raw was
  std::uint32_t activations;  // Prepared
  std::uint32_t meta;         // row_meta of the block's tiles
  std::uint32_t nested;       // table4_dq's nested table
  std::uint32_t statistics;   // f32 [kStatisticFloats]
  std::uint32_t total;
};

template <class F>
using StreamOf = WeightStream<F::kFormat, F::kStages, F::kUnroll, kWarps / F::kSlices>;

template <class F>
SharedLayout shared_layout(const Plan& plan, int slots) {
  const auto round = [](auto bytes) { return round_up(static_cast<std::uint32_t>(bytes), 128); };
  const int norms = (plan.args.norm != nullptr) + (plan.args.norm_bias != nullptr);
  const int tiles = plan.block_tiles;
  SharedLayout at{};
  at.slots = slots;
  at.raw = round(StreamOf<F>::ring_bytes(slots));
  at.norm = at.raw + round(plan.w.columns * 4);
  at.partial = at.raw;
  const std::uint32_t partial =
      round(tiles * F::kSlices * kTileRows * static_cast<int>(sizeof(typename F::Sum)));
  const std::uint32_t row = at.norm - at.raw + round(plan.w.columns * 4 * norms);
  at.activations = at.raw + (row > partial ? row : partial);
  at.meta = at.activations + prepared_layout<typename F::Stage>(plan.w.chunks, 1).total;
  at.nested = at.meta + round(tiles * kTileRows * row_meta_floats(F::kFormat) * 4);
  at.statistics = at.nested + (F::kFormat == Format::table4_dq ? 1024 : 0);
  at.total = at.statistics + round(kStatisticFloats * 4);
  return at;
}

/// What a block takes that has a single tile.
template <class F>
std::uint32_t least_shared_bytes(const Plan& of) {
  Plan plan = of;
  plan.block_tiles = 1;
  return shared_layout<F>(plan, F::kStages - 1).total;
}

/// The sum of a tile's slices, of one row.
template <class F>
__device__ inline typename F::Sum sum_of_slices(const typename F::Sum* partial) {
  constexpr int kTogether = F::kSlices / kQuarters;
  typename F::Sum sum{};
#pragma unroll
  for (int first = 0; first < F::kSlices; first += kTogether) {
    typename F::Sum part = partial[first * kTileRows];
#pragma unroll
    for (int i = 1; i < kTogether; ++i) part = F::plus(part, partial[(first + i) * kTileRows]);
    sum = first == 0 ? part : F::plus(sum, part);
  }
  return sum;
}

template <class F>
__global__ void __launch_bounds__(kThreads, 1)
    gemv_kernel(const __grid_constant__ Plan plan, const __grid_constant__ SharedLayout at) {
  static_assert(F::kRows == 1);
  extern __shared__ __align__(128) unsigned char shared[];
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int columns = plan.w.columns;
  const int block = static_cast<int>(blockIdx.x);
  const int grid = static_cast<int>(gridDim.x);
  const int tiles = plan.block_tiles - (block + (plan.block_tiles - 1) * grid >= plan.w.tiles);
  const int slice = warp % F::kSlices;

  // What depends on no other kernel: what is known of the rows and the first weights.
  const Share share{tiles,
                    warp / F::kSlices,
                    block,
                    grid,
                    slice * plan.w.chunks / F::kSlices,
                    (slice + 1) * plan.w.chunks / F::kSlices};
  auto* meta = reinterpret_cast<float*>(shared + at.meta);
  auto* nested = reinterpret_cast<float*>(shared + at.nested);
  request_row_meta<F::kFormat>(plan.w, share, meta, nested);
  StreamOf<F> stream(plan.w, share, shared, at.slots, warp, lane);
  auto* raw = reinterpret_cast<float*>(shared + at.raw);
  auto* norm = reinterpret_cast<float*>(shared + at.norm);
  Row row{};
  row.raw = raw;
  row.norm = plan.args.norm != nullptr ? norm : nullptr;
  row.norm_bias = plan.args.norm_bias != nullptr ? norm + columns : nullptr;
  row.gather = F::Stage::kGathers ? plan.w.gather : nullptr;
  row.begin = warp * plan.w.chunks / kWarps * F::Stage::kColumns;
  row.end = (warp + 1) * plan.w.chunks / kWarps * F::Stage::kColumns;
  row.own_begin = row.gather == nullptr ? row.begin : warp * (columns / 4) / kWarps * 4;
  row.own_end = row.gather == nullptr ? row.end : (warp + 1) * (columns / 4) / kWarps * 4;
  row.warp = warp;
  row.lane = lane;
  row.factor = 1;
  if (row.norm != nullptr) {
    for (int c = row.own_begin + lane * 4; c < row.own_end; c += 128) {
      cuda_device::copy_async(norm + c, plan.args.norm + c);
      if (row.norm_bias != nullptr)
        cuda_device::copy_async(norm + columns + c, plan.args.norm_bias + c);
    }
  }
  const Prepared prepared =
      prepared_layout<typename F::Stage>(plan.w.chunks, 1).at(shared + at.activations);
  const int tile = static_cast<int>(threadIdx.x) / 8;
  const int g = static_cast<int>(threadIdx.x) % 8;
  const auto row_of = [&](int local, int j) {
    return static_cast<int>(plan.w.order.row(block + local * grid, j));
  };
  float2 bias{};
  if (tile < tiles) bias = read_bias(plan, row_of(tile, g), row_of(tile, g + 8));
  __syncthreads();
  cuda_device::wait_for_previous();

  // The row as it comes, the norm's factor, and into the format's form.
  auto* statistics = reinterpret_cast<float*>(shared + at.statistics);
  for (int c = row.own_begin + lane * 4; c < row.own_end; c += 128)
    cuda_device::copy_async(raw + c, plan.args.x + c);
  cuda_device::close_copy_group();
  stream.fill_and_wait();
  __syncwarp();
  if (row.norm != nullptr) row.find_norm(plan, statistics);
  if (row.gather != nullptr) __syncthreads();  // from other warps' shares
  F::Stage::put(plan, prepared, 0, row, statistics + 2 * kWarps);
  float2 before{};
  if (tile < tiles) before = read_pair(plan, row_of(tile, g), row_of(tile, g + 8), 0);

  F format(plan, prepared, 0, meta, nested, lane);
  auto* partial = reinterpret_cast<typename F::Sum*>(shared + at.partial);
  stream.multiply(format, [&](int local) {
    auto* to = partial + (local * F::kSlices + slice) * kTileRows;
    format.each_sum([&](int place, const typename F::Sum& sum) { to[place] = sum; });
  });
  __syncthreads();
#pragma unroll 1
  for (int local = tile; local < tiles; local += kThreads / 8) {
    const int row0 = row_of(local, g);
    const int row1 = row_of(local, g + 8);
    if (local > tile) {
      bias = read_bias(plan, row0, row1);
      before = read_pair(plan, row0, row1, 0);
    }
    const auto total = [&](int j) {
      return format.finish(sum_of_slices<F>(partial + local * F::kSlices * kTileRows + j), local, j,
                           0);
    };
    write_pair(plan, row0, row1, 0, total(g), total(g + 8), bias, before);
  }
}

/// Blocks (or clusters) of a launch: `most`, or more where fits() says that a block's share of
/// tiles is too large for its shared memory. The launch reports where not even one tile fits.
template <class Fits>
int blocks_that_fit(Plan& plan, int most, Fits&& fits) {
  for (int blocks = plan.w.tiles < most ? plan.w.tiles : most;; blocks *= 2) {
    plan.block_tiles = (plan.w.tiles + blocks - 1) / blocks;
    if (fits() || plan.block_tiles == 1) return blocks;
  }
}

/// Adds what makes the launch a dependent one, if it is to be and can.
inline void make_dependent(const Plan& plan, cudaLaunchConfig_t& config) {
  if (!plan.args.dependent || limits().major < 9) return;
  cudaLaunchAttribute& attribute = config.attrs[config.numAttrs++];
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
}

/// Calls launch(plan) for groups of at most `group` rows.
template <class Launch>
void for_groups_of_rows(Plan plan, int group, Launch&& launch) {
  const int all = plan.args.rows;
  const std::int64_t outputs =
      plan.args.epilogue == Epilogue::swiglu ? plan.w.order.rows / 2 : plan.w.order.rows;
  for (int row = 0; row < all; row += group) {
    plan.args.rows = all - row < group ? all - row : group;
    launch(plan);
    plan.args.x += static_cast<std::int64_t>(group) * plan.w.columns;
    plan.args.y += group * outputs;
  }
}

/// Launches the product of one row; of several, one after the other.
template <class F>
void launch_one(Plan plan, cudaStream_t stream) {
  static const int kMost = [] {
    PLIMSOLL_CUDA_CHECK(cudaFuncSetAttribute(
        gemv_kernel<F>, cudaFuncAttributeMaxDynamicSharedMemorySize, limits().shared));
    return limits().shared;
  }();
  const auto most = static_cast<std::uint32_t>(kMost);
  SharedLayout at{};
  const int blocks = blocks_that_fit(plan, limits().multiprocessors, [&] {
    at = shared_layout<F>(plan, F::kStages);
    if (at.total > most) at = shared_layout<F>(plan, F::kStages - 1);
    return at.total <= most;
  });
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(blocks));
  config.blockDim = dim3(kThreads);
  const std::uint32_t least = kLeastShared < most ? kLeastShared : most;
  config.dynamicSmemBytes = at.total < least ? least : at.total;
  config.stream = stream;
  cudaLaunchAttribute attribute{};
  config.attrs = &attribute;
  make_dependent(plan, config);
  for_groups_of_rows(plan, 1, [&](const Plan& one) {
    PLIMSOLL_CUDA_CHECK(cudaLaunchKernelEx(&config, gemv_kernel<F>, one, at));
  });
}

}  // namespace plimsoll::kernels::gemv
