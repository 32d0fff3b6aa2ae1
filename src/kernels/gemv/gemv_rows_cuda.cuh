// The product of several rows. A row of gemv's is brought into its form by every block for itself;
// of several rows that would take longer than reading the weights, and the form of 16 rows of
// 14336 columns is twice as large as a multiprocessor's shared memory. So
//
//   stage_kernel      brings all rows into the format's form in Args::scratch, once
//   gemv_rows_kernel  runs in clusters of two or four blocks. A cluster has tiles c, c + clusters,
//                     ... and each of its blocks a half or a quarter of their columns, so that the
//                     activations fit. The blocks' sums are put together through distributed
//                     shared memory, in the order in which one row's are, so that a row's result
//                     does not depend on how many there are. Four blocks only where two do not do:
//                     an H200's 132 multiprocessors hold 30 clusters of four.
//
// GPUs before sm_90 have no clusters: gemv_kernel takes one row after the other there.
#pragma once

#include <cooperative_groups.h>

#include "kernels/gemv/gemv_kernel_cuda.cuh"

namespace plimsoll::kernels::gemv {

/// Columns of a row that a block of stage_kernel takes at most. Few blocks: on a multiprocessor
/// that has one, no block of the product can start.
inline constexpr int kStageColumns = 8192;

/// Grid [parts of a row, rows]. Shared memory: the row, the statistics.
template <class Stage>
__global__ void __launch_bounds__(kThreads) stage_kernel(const __grid_constant__ Plan plan) {
  extern __shared__ __align__(128) unsigned char shared[];
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int token = static_cast<int>(blockIdx.y);
  const int share = static_cast<int>(blockIdx.x) * kWarps + warp;
  const int shares = static_cast<int>(gridDim.x) * kWarps;
  const int columns = plan.w.columns;
  auto* raw = reinterpret_cast<float*>(shared);
  float* statistics = raw + round_up(static_cast<std::uint32_t>(columns), 4);
  Row row{};
  row.raw = raw;
  row.norm = plan.args.norm;
  row.norm_bias = plan.args.norm_bias;
  row.gather = Stage::kGathers ? plan.w.gather : nullptr;
  row.begin = share * plan.w.chunks / shares * Stage::kColumns;
  row.end = (share + 1) * plan.w.chunks / shares * Stage::kColumns;
  // As gemv_kernel has them, so that sums have the same order.
  row.own_begin = row.gather == nullptr ? warp * plan.w.chunks / kWarps * Stage::kColumns
                                        : warp * (columns / 4) / kWarps * 4;
  row.own_end = row.gather == nullptr ? (warp + 1) * plan.w.chunks / kWarps * Stage::kColumns
                                      : (warp + 1) * (columns / 4) / kWarps * 4;
  row.warp = warp;
  row.lane = lane;
  row.factor = 1;
  cuda_device::let_next_start();
  cuda_device::wait_for_previous();
  const bool whole = Stage::kNeedsAll || row.norm != nullptr || row.gather != nullptr;
  const int from = whole ? row.own_begin : row.begin;
  const int to = whole ? row.own_end : row.end;
  for (int c = from + lane * 4; c < to; c += 128)
    cuda_device::copy_async(raw + c, plan.args.x + static_cast<std::int64_t>(token) * columns + c);
  cuda_device::close_copy_group();
  cuda_device::wait_for_copies<0>();
  __syncthreads();
  if (row.norm != nullptr) row.find_norm(plan, statistics);
  const Prepared prepared = prepared_layout<Stage>(plan.w.chunks, plan.places)
                                .at(static_cast<unsigned char*>(plan.args.scratch));
  Stage::put(plan, prepared, token, row, statistics + 2 * kWarps);
}

/// How a block of a cluster of kBlocks is divided.
template <class F, int kBlocks>
struct Rows {
  static constexpr int kOwnQuarters = kQuarters / kBlocks;
  static constexpr int kSlices = F::kSlices / kBlocks;   // of the block
  static constexpr int kChain = F::kSlices / kQuarters;  // of a quarter
  static constexpr int kGroups = kWarps / kSlices;
  using Stream = WeightStream<F::kFormat, F::kStages, F::kUnroll, kGroups>;
};

/// Sums of four tokens.
template <class Sum>
struct alignas(16) FourSums {
  Sum of[4];
};

/// Waits until two warps have come here; `barrier` is 1 to 15.
__device__ inline void barrier_of_two(int barrier) {
  asm volatile("bar.sync %0, 64;" ::"r"(barrier) : "memory");
}

/// Where things lie in a block's shared memory, after the ring; offsets in bytes.
struct RowsLayout {
  int slots;                  // of the ring
  std::uint32_t activations;  // the block's chunks
  std::uint32_t sums;         // [quarters][tiles][16][F::kRows]: the block's
  std::uint32_t meta;
  std::uint32_t nested;
  std::uint32_t total;
};

template <class F, int kBlocks>
RowsLayout rows_layout(const Plan& plan, int slots) {
  const auto round = [](auto bytes) { return round_up(static_cast<std::uint32_t>(bytes), 128); };
  RowsLayout at{};
  at.slots = slots;
  at.activations = round(Rows<F, kBlocks>::Stream::ring_bytes(slots));
  at.sums = at.activations +
            round((plan.w.chunks + kBlocks - 1) / kBlocks * F::Stage::activation_bytes(F::kRows));
  at.meta = at.sums + round(Rows<F, kBlocks>::kOwnQuarters * plan.block_tiles * kTileRows *
                            F::kRows * static_cast<int>(sizeof(typename F::Sum)));
  at.nested = at.meta + round(plan.block_tiles * kTileRows * row_meta_floats(F::kFormat) * 4);
  at.total = at.nested + (F::kFormat == Format::table4_dq ? 1024 : 0);
  return at;
}

template <class F, int kBlocks>
__global__ void __launch_bounds__(kThreads, 1)
    gemv_rows_kernel(const __grid_constant__ Plan plan, const __grid_constant__ RowsLayout at) {
#if __CUDA_ARCH__ >= 900
  using Sum = typename F::Sum;
  using Division = Rows<F, kBlocks>;
  constexpr int kSlices = Division::kSlices;
  extern __shared__ __align__(128) unsigned char shared[];
  const auto cluster = cooperative_groups::this_cluster();
  const int rank = static_cast<int>(blockIdx.x) % kBlocks;
  const int first = static_cast<int>(blockIdx.x) / kBlocks;
  const int clusters = static_cast<int>(gridDim.x) / kBlocks;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int rows = plan.args.rows;
  const int chunks = plan.w.chunks;
  const int tiles = plan.block_tiles - (first + (plan.block_tiles - 1) * clusters >= plan.w.tiles);
  const int slice = warp % kSlices;
  const int group = warp / kSlices;
  const Share share{tiles,
                    group,
                    first,
                    clusters,
                    (rank * kSlices + slice) * chunks / F::kSlices,
                    (rank * kSlices + slice + 1) * chunks / F::kSlices};
  auto* meta = reinterpret_cast<float*>(shared + at.meta);
  auto* nested = reinterpret_cast<float*>(shared + at.nested);
  request_row_meta<F::kFormat>(plan.w, share, meta, nested);
  typename Division::Stream stream(plan.w, share, shared, at.slots, warp, lane);
  cuda_device::wait_for_previous();

  const int first_chunk = rank * kSlices * chunks / F::kSlices;
  const int last_chunk = (rank + 1) * kSlices * chunks / F::kSlices;
  constexpr auto kStride = static_cast<int>(F::Stage::activation_bytes(F::kRows));
  const Prepared whole = prepared_layout<typename F::Stage>(chunks, F::kRows)
                             .at(static_cast<unsigned char*>(plan.args.scratch));
  const unsigned char* from = whole.activations + static_cast<std::int64_t>(first_chunk) * kStride;
  unsigned char* activations = shared + at.activations;
  for (int i = static_cast<int>(threadIdx.x) * 16; i < (last_chunk - first_chunk) * kStride;
       i += kThreads * 16) {
    cuda_device::copy_async(activations + i, from + i);
  }
  cuda_device::close_copy_group();
  stream.fill_and_wait();
  __syncthreads();

  F format(plan, {activations, whole.scales}, first_chunk, meta, nested, lane);
  auto* sums = reinterpret_cast<Sum*>(shared + at.sums);
  // Where several warps have slices of a quarter, one adds its sums after the other.
  constexpr int kChain = Division::kChain;
  const int link = slice % kChain;
  const int quarter = slice / kChain;
  const int turn = 1 + (group * Division::kOwnQuarters + quarter) * (kChain - 1) + link;
  Sum* const own = sums + quarter * plan.block_tiles * kTileRows * F::kRows;
  stream.multiply(format, [&](int local) {
    Sum* to = own + local * kTileRows * F::kRows;
    if (kChain > 1 && link > 0) barrier_of_two(turn - 1);
    format.each_sum([&](int place, const Sum& sum) {
      to[place] = kChain > 1 && link > 0 ? F::plus(to[place], sum) : sum;
    });
    if (kChain > 1 && link < kChain - 1) barrier_of_two(turn);
  });

  // Each block finishes its share of the tiles, a thread four tokens of two rows.
  constexpr int kQuads = F::kRows / 4;
  const int threads = (tiles - rank + kBlocks - 1) / kBlocks * 8 * kQuads;
  struct Place {
    int local, g, token, row0, row1;
  };
  const auto place_of = [&](int i) {
    Place to{rank + i / (8 * kQuads) * kBlocks, i % 8, i / 8 % kQuads * 4, 0, 0};
    const int tile = first + to.local * clusters;
    to.row0 = static_cast<int>(plan.w.order.row(tile, to.g));
    to.row1 = static_cast<int>(plan.w.order.row(tile, to.g + 8));
    return to;
  };
  float2 bias{};
  float2 before[4] = {};
  const auto read_before = [&](const Place& to) {
    bias = read_bias(plan, to.row0, to.row1);
#pragma unroll
    for (int t = 0; t < 4; ++t) {
      if (to.token + t < rows) before[t] = read_pair(plan, to.row0, to.row1, to.token + t);
    }
  };
  const int thread = static_cast<int>(threadIdx.x);
  if (thread < threads) read_before(place_of(thread));
  cluster.sync();
#pragma unroll 1
  for (int i = thread; i < threads; i += kThreads) {
    const Place to = place_of(i);
    if (to.token >= rows) continue;
    if (i > thread) read_before(to);
    FourSums<Sum> total[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int place = (to.local * kTileRows + to.g + half * 8) * F::kRows + to.token;
#pragma unroll
      for (int q = 0; q < kQuarters; ++q) {
        const Sum* of =
            cluster.map_shared_rank(sums, static_cast<unsigned>(q / Division::kOwnQuarters));
        of += q % Division::kOwnQuarters * plan.block_tiles * kTileRows * F::kRows;
        const auto part = *reinterpret_cast<const FourSums<Sum>*>(of + place);
#pragma unroll
        for (int t = 0; t < 4; ++t)
          total[half].of[t] = q == 0 ? part.of[t] : F::plus(total[half].of[t], part.of[t]);
      }
    }
#pragma unroll
    for (int t = 0; t < 4; ++t) {
      const int token = to.token + t;
      if (token >= rows) break;
      write_pair(plan, to.row0, to.row1, token,
                 format.finish(total[0].of[t], to.local, to.g, token),
                 format.finish(total[1].of[t], to.local, to.g + 8, token), bias, before[t]);
    }
  }
  cluster.sync();  // no block ends while another reads its sums
#else
  __trap();
#endif
}

/// Whether launch_one() is for these rows.
inline bool one_at_a_time(const Plan& plan) {
  return plan.args.rows == 1 || limits().major < 9;
}

template <class Stage>
std::size_t scratch_bytes_of(const DeviceWeights& weights) {
  return prepared_layout<Stage>(weights.chunks, kRowsTogether).total;
}

/// Brings all rows of `plan` into the format's form.
template <class Stage>
void launch_stage(const Plan& plan, cudaStream_t stream) {
  static const int kMost = [] {
    PLIMSOLL_CUDA_CHECK(cudaFuncSetAttribute(
        stage_kernel<Stage>, cudaFuncAttributeMaxDynamicSharedMemorySize, limits().shared));
    return limits().shared;
  }();
  cudaLaunchConfig_t config{};
  const int parts = (plan.w.columns + kStageColumns - 1) / kStageColumns;
  config.gridDim = dim3(static_cast<unsigned>(parts), static_cast<unsigned>(plan.args.rows));
  config.blockDim = dim3(kThreads);
  const auto columns = round_up(static_cast<std::uint32_t>(plan.w.columns), 4);
  config.dynamicSmemBytes = (columns + kStatisticFloats) * 4;
  PLIMSOLL_CUDA_CHECK(config.dynamicSmemBytes <= static_cast<std::size_t>(kMost)
                          ? cudaSuccess
                          : cudaErrorInvalidConfiguration);
  config.stream = stream;
  cudaLaunchAttribute attribute{};
  config.attrs = &attribute;
  make_dependent(plan, config);
  PLIMSOLL_CUDA_CHECK(cudaLaunchKernelEx(&config, stage_kernel<Stage>, plan));
}

/// Launches the product in clusters of kBlocks, F::kRows rows at a time; false: they do not fit.
template <class F, int kBlocks>
bool launch_clusters(Plan plan, cudaStream_t stream) {
  cudaLaunchAttribute attributes[2] = {};
  attributes[0].id = cudaLaunchAttributeClusterDimension;
  attributes[0].val.clusterDim.x = kBlocks;
  attributes[0].val.clusterDim.y = 1;
  attributes[0].val.clusterDim.z = 1;
  cudaLaunchConfig_t config{};
  config.blockDim = dim3(kThreads);
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = 1;
  const auto kernel = gemv_rows_kernel<F, kBlocks>;
  static const int kClusters = [&] {  // that can run at a time, one block a multiprocessor
    PLIMSOLL_CUDA_CHECK(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, limits().shared));
    cudaLaunchConfig_t whole = config;
    whole.gridDim = dim3(kBlocks);
    whole.dynamicSmemBytes = static_cast<std::size_t>(limits().shared);
    int clusters = 0;
    PLIMSOLL_CUDA_CHECK(cudaOccupancyMaxActiveClusters(&clusters, kernel, &whole));
    return clusters > 0 ? clusters : 1;
  }();
  const int clusters = plan.w.tiles < kClusters ? plan.w.tiles : kClusters;
  plan.block_tiles = (plan.w.tiles + clusters - 1) / clusters;
  const auto most = static_cast<std::uint32_t>(limits().shared);
  if (kBlocks < kQuarters && rows_layout<F, kBlocks>(plan, F::kStages).total > most) return false;
  RowsLayout at{};
  const int blocks = kBlocks * blocks_that_fit(plan, kClusters, [&] {
                       at = rows_layout<F, kBlocks>(plan, F::kStages);
                       if (at.total > most) at = rows_layout<F, kBlocks>(plan, F::kStages - 1);
                       return at.total <= most;
                     });
  config.gridDim = dim3(static_cast<unsigned>(blocks));
  config.dynamicSmemBytes = at.total < kLeastShared ? kLeastShared : at.total;
  make_dependent(plan, config);
  plan.places = F::kRows;
  for_groups_of_rows(plan, F::kRows, [&](const Plan& one) {
    launch_stage<typename F::Stage>(one, stream);
    PLIMSOLL_CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, one, at));
  });
  return true;
}

/// Launches the product of several rows.
template <class F>
void launch_rows(const Plan& plan, cudaStream_t stream) {
  if (!launch_clusters<F, 2>(plan, stream)) launch_clusters<F, kQuarters>(plan, stream);
}

}  // namespace plimsoll::kernels::gemv
