// The product of several rows. A row of gemv's is brought into its form by every block for itself;
// of several rows that would take longer than reading the weights, and the form of 16 rows of
// 14336 columns is twice as large as a multiprocessor's shared memory. So
//
//   stage_kernel      brings all rows into the format's form in Args::scratch, once
//   gemv_rows_kernel  runs in clusters of four blocks. A cluster has tiles c, c + clusters, ... and
//                     each of its blocks a quarter of their columns: a quarter of the activations,
//                     which fit. The blocks' sums are put together through distributed shared
//                     memory, in the order in which one row's are, so that a row's result does not
//                     depend on how many there are.
//
// GPUs before sm_90 have no clusters: gemv_kernel takes the rows in turns there.
#pragma once

#include <cooperative_groups.h>

#include "kernels/gemv/gemv_kernel_cuda.cuh"

namespace plimsoll::kernels::gemv {

inline constexpr int kCluster = 4;
/// Blocks of stage_kernel along a row.
inline constexpr int kStageParts = 4;

/// Grid [kStageParts, rows]. Shared memory: the row, the statistics.
template <class Stage>
__global__ void __launch_bounds__(kThreads) stage_kernel(const __grid_constant__ Plan plan) {
  extern __shared__ __align__(128) unsigned char shared[];
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int token = static_cast<int>(blockIdx.y);
  const int share = static_cast<int>(blockIdx.x) * kWarps + warp;
  constexpr int kShares = kStageParts * kWarps;
  const int columns = plan.w.columns;
  auto* raw = reinterpret_cast<float*>(shared);
  float* statistics = raw + round_up(static_cast<std::uint32_t>(columns), 4);
  Row row{};
  row.raw = raw;
  row.norm = plan.args.norm;
  row.norm_bias = plan.args.norm_bias;
  row.gather = Stage::kGathers ? plan.w.gather : nullptr;
  row.begin = share * plan.w.chunks / kShares * Stage::kColumns;
  row.end = (share + 1) * plan.w.chunks / kShares * Stage::kColumns;
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
  const Prepared prepared = prepared_layout<Stage>(plan.w.chunks, plan.args.rows)
                                .at(static_cast<unsigned char*>(plan.args.scratch));
  Stage::put(plan, prepared, token, row, statistics + 2 * kWarps);
}

template <class F>
struct Rows {
  static constexpr int kSlices = F::kSlices / kCluster;  // of a block
  static constexpr int kGroups = kWarps / kSlices;
  using Stream = WeightStream<F::kFormat, F::kRowStages, F::kRowUnroll, kGroups>;
  static constexpr int kSumBytes = static_cast<int>(sizeof(typename F::Sum));
};

/// Where things lie in a block's shared memory, after the ring; offsets in bytes.
struct RowsLayout {
  std::uint32_t activations;  // the block's chunks
  std::uint32_t partial;      // [groups][2][slices][16][rows] sums, where there are several slices
  std::uint32_t sums;         // [tiles][16][rows]: the block's
  std::uint32_t meta;
  std::uint32_t nested;
  std::uint32_t total;
};

template <class F>
RowsLayout rows_layout(const Plan& plan) {
  const auto round = [](auto bytes) { return round_up(static_cast<std::uint32_t>(bytes), 128); };
  const int rows = plan.args.rows;
  const int tile = kTileRows * rows * Rows<F>::kSumBytes;
  RowsLayout at{};
  at.activations = round(Rows<F>::Stream::kRingBytes);
  at.partial = at.activations +
               round((plan.w.chunks + kCluster - 1) / kCluster * F::Stage::activation_bytes(rows));
  at.sums = at.partial + (Rows<F>::kSlices > 1 ? round(kWarps * 2 * tile) : 0);
  at.meta = at.sums + round(plan.block_tiles * tile);
  at.nested = at.meta + round(plan.block_tiles * kTileRows * row_meta_floats(F::kFormat) * 4);
  at.total = at.nested + (F::kFormat == Format::table4_dq ? 1024 : 0);
  return at;
}

template <class F>
__global__ void __launch_bounds__(kThreads, 1)
    gemv_rows_kernel(const __grid_constant__ Plan plan, const __grid_constant__ RowsLayout at) {
#if __CUDA_ARCH__ >= 900
  using Sum = typename F::Sum;
  constexpr int kSlices = Rows<F>::kSlices;
  extern __shared__ __align__(128) unsigned char shared[];
  const auto cluster = cooperative_groups::this_cluster();
  const int rank = static_cast<int>(blockIdx.x) % kCluster;
  const int first = static_cast<int>(blockIdx.x) / kCluster;
  const int clusters = static_cast<int>(gridDim.x) / kCluster;
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
  typename Rows<F>::Stream stream(plan.w, share, shared, warp, lane);
  auto* meta = reinterpret_cast<float*>(shared + at.meta);
  auto* nested = reinterpret_cast<float*>(shared + at.nested);
  load_row_meta<F::kFormat>(plan.w, share, meta, nested);
  cuda_device::wait_for_previous();

  const int first_chunk = rank * kSlices * chunks / F::kSlices;
  const int last_chunk = (rank + 1) * kSlices * chunks / F::kSlices;
  const auto stride = static_cast<int>(F::Stage::activation_bytes(rows));
  const Prepared whole = prepared_layout<typename F::Stage>(chunks, rows)
                             .at(static_cast<unsigned char*>(plan.args.scratch));
  const unsigned char* from = whole.activations + static_cast<std::int64_t>(first_chunk) * stride;
  unsigned char* activations = shared + at.activations;
  for (int i = static_cast<int>(threadIdx.x) * 16; i < (last_chunk - first_chunk) * stride;
       i += kThreads * 16) {
    cuda_device::copy_async(activations + i, from + i);
  }
  cuda_device::close_copy_group();
  cuda_device::wait_for_copies<0>();
  __syncthreads();

  F format(plan, {activations, whole.outliers, whole.absmax}, first_chunk, meta, nested, lane);
  auto* sums = reinterpret_cast<Sum*>(shared + at.sums);
  auto* partial =
      reinterpret_cast<Sum*>(shared + at.partial) + group * 2 * kSlices * kTileRows * rows;
  int turn = 0;
  stream.multiply(format, [&](int local) {
    Sum* to = sums + local * kTileRows * rows;
    if constexpr (kSlices == 1) {
      format.end_tile(to);
    } else {
      // The group's warps put their slices together; two places in turn, so that one barrier does.
      Sum* parts = partial + turn * kSlices * kTileRows * rows;
      turn ^= 1;
      format.end_tile(parts + slice * kTileRows * rows);
      asm volatile("bar.sync %0, %1;" ::"r"(group + 1), "n"(kSlices * 32) : "memory");
      for (int i = slice * 32 + lane; i < kTileRows * rows; i += kSlices * 32) {
        Sum sum = parts[i];
#pragma unroll
        for (int s = 1; s < kSlices; ++s) sum = F::plus(sum, parts[s * kTileRows * rows + i]);
        to[i] = sum;
      }
    }
  });
  cluster.sync();
  const Sum* of[kCluster];
#pragma unroll
  for (int r = 0; r < kCluster; ++r) of[r] = cluster.map_shared_rank(sums, r);
  // Each block finishes a quarter of the tiles.
  const int pairs = (tiles - rank + kCluster - 1) / kCluster * 8 * rows;
#pragma unroll 1
  for (int i = static_cast<int>(threadIdx.x); i < pairs; i += kThreads) {
    const int g = i % 8;
    const int token = i / 8 % rows;
    const int local = rank + i / (8 * rows) * kCluster;
    const auto row_of = [&](int j) {
      return static_cast<int>(plan.w.order.row(first + local * clusters, j));
    };
    const float2 before = read_pair(plan, row_of(g), row_of(g + 8), token);
    const auto total = [&](int j) {
      const int place = (local * kTileRows + j) * rows + token;
      Sum sum = of[0][place];
#pragma unroll
      for (int r = 1; r < kCluster; ++r) sum = F::plus(sum, of[r][place]);
      return format.finish(sum, local, j, token);
    };
    write_pair(plan, row_of(g), row_of(g + 8), token, total(g), total(g + 8), before);
  }
  cluster.sync();  // no block ends while another reads its sums
#else
  __trap();
#endif
}

template <class Stage>
std::size_t scratch_bytes_of(const DeviceWeights& weights, int rows) {
  return prepared_layout<Stage>(weights.chunks, rows).total;
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
  config.gridDim = dim3(kStageParts, static_cast<unsigned>(plan.args.rows));
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

/// Launches the product of several rows, in as many groups as shared memory needs.
template <class F>
void launch_rows(Plan plan, cudaStream_t stream) {
  if (limits().major < 9) return launch_self_staging<F>(plan, stream);
  cudaLaunchAttribute attributes[2] = {};
  attributes[0].id = cudaLaunchAttributeClusterDimension;
  attributes[0].val.clusterDim.x = kCluster;
  attributes[0].val.clusterDim.y = 1;
  attributes[0].val.clusterDim.z = 1;
  cudaLaunchConfig_t config{};
  config.blockDim = dim3(kThreads);
  config.stream = stream;
  config.attrs = attributes;
  config.numAttrs = 1;
  static const int kClusters = [&] {  // that can run at a time, one block a multiprocessor
    PLIMSOLL_CUDA_CHECK(cudaFuncSetAttribute(
        gemv_rows_kernel<F>, cudaFuncAttributeMaxDynamicSharedMemorySize, limits().shared));
    cudaLaunchConfig_t whole = config;
    whole.gridDim = dim3(kCluster);
    whole.dynamicSmemBytes = static_cast<std::size_t>(limits().shared);
    int clusters = 0;
    PLIMSOLL_CUDA_CHECK(cudaOccupancyMaxActiveClusters(&clusters, gemv_rows_kernel<F>, &whole));
    return clusters > 0 ? clusters : 1;
  }();
  const int all_rows = plan.args.rows;
  const auto most = static_cast<std::uint32_t>(limits().shared);
  RowsLayout at{};
  int clusters = 0;
  plan.args.rows = all_rows < F::kRows ? all_rows : F::kRows;
  while (clusters == 0) {
    clusters = blocks_that_fit(plan, kClusters, [&] {
      at = rows_layout<F>(plan);
      return at.total <= most || (plan.args.rows == 1 && plan.block_tiles == 1);
    });
    if (clusters == 0) --plan.args.rows;
  }
  config.gridDim = dim3(static_cast<unsigned>(clusters * kCluster));
  config.dynamicSmemBytes = at.total < kLeastShared ? kLeastShared : at.total;
  make_dependent(plan, config);
  const int group = plan.args.rows;
  plan.args.rows = all_rows;
  for_groups_of_rows(plan, group, [&](const Plan& one) {
    launch_stage<typename F::Stage>(one, stream);
    PLIMSOLL_CUDA_CHECK(cudaLaunchKernelEx(&config, gemv_rows_kernel<F>, one, at));
  });
}

}  // namespace plimsoll::kernels::gemv
