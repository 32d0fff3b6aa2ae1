// A block has 128 rows of weights and kTokens tokens: eight warps in two warpgroups multiply, a
// tile of 16 rows a warp, and a ninth requests copies to a ring of stages in shared memory.
//
//   weights   packed, as they lie: each warp's lanes take their 16 bytes of a chunk, unpack them
//             into operand A's registers (unpack_cuda.cuh) while the tensor cores work on the block
//             of columns before
//   tokens    panels (panels_cuda.h): operand B, from shared memory
//
// Weights are operand A, so that what is unpacked never passes through shared memory, and rows that
// an epilogue combines (gate and up) are in one tile.
//
// Blocks of a cluster either share a tile of the result, each with a part of the columns, and add
// their sums through distributed shared memory in the order of the columns; or, two of them, have
// the same tokens and bring half of these to each other, which halves what is read from L2.
#pragma once

#include <cooperative_groups.h>

#include "core/cuda/runtime_cuda.h"
#include "kernels/gemm_packed/gemm_packed_plan_cuda.h"
#include "kernels/gemm_packed/outputs_cuda.cuh"
#include "kernels/gemm_packed/pipeline_cuda.cuh"
#include "kernels/gemm_packed/unpack_cuda.cuh"

namespace plimsoll::kernels::gemm_packed {

inline constexpr int kConsumers = kBlockTiles;  // warps
inline constexpr int kMostStages = 8;
/// Floats from one token's sums to the next one's: stores of a fragment meet no bank twice.
__host__ __device__ constexpr int sum_stride(int tiles) {
  return tiles * gemv::kTileRows + 4;
}

/// Shared memory of a block; offsets in bytes.
template <Format kFormat, Operand kOperand, int kTokens>
struct Ring {
  static constexpr int kChunks = Unpack<kFormat, kOperand>::kChunks;
  static constexpr int kCodes = kChunks * gemv::kCodeBytes;  // of a tile and block of columns
  static constexpr int kScales = kChunks * gemv::scale_bytes(kFormat);
  static constexpr int kPanel = kTokens * kBlockBytes;  // of a block of columns
  /// Blocks of columns of a stage.
  static constexpr int kDepth = kTokens <= 64 && kCodes <= 1024 ? 2 : 1;
  static constexpr int kStage =
      (kDepth * (kPanel + kBlockTiles * (kCodes + kScales)) + 1023) / 1024 * 1024;
  /// With 256 tokens a thread's sums are 128 registers: the ninth warp is a whole warpgroup, which
  /// gives of its own to the others.
  static constexpr bool kGives = kTokens == 256;
  static constexpr int kThreads = (kConsumers + (kGives ? 4 : 1)) * 32;
  static constexpr int kResident = kTokens <= 64 ? 2 : 1;  // blocks of a multiprocessor
  static constexpr int kMost = (kResident == 2 ? 110 : 220) * 1024;
  static constexpr int kStages = kMost / kStage < kMostStages ? kMost / kStage : kMostStages;
  static constexpr int kSums = kTokens * sum_stride(kBlockTiles) * 4;
  static constexpr int kRing = kStages * kStage > kSums ? kStages* kStage : kSums;
  static constexpr int kBarriers = kRing;  // full, then empty
  static constexpr int kEnd = kBarriers + 2 * kMostStages * 8;
  static constexpr int kBytes = kEnd + 1024;
  // Within a stage:
  static constexpr int kCodesAt = kDepth * kPanel;
  static constexpr int kScalesAt = kCodesAt + kBlockTiles * kDepth * kCodes;
};

/// A block's part of the work.
struct Part {
  int first_tile;  // of weights
  int first_token;
  int begin, end;  // blocks of columns
  int rank, size;  // in the cluster
};

/// With so many tokens and tiles of weights; columns are divided in units of `depth` blocks.
__device__ inline Part part_of(const Plan& plan, int tokens, int tiles, int depth) {
  Part part{};
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  const auto cluster = cooperative_groups::this_cluster();
  part.rank = static_cast<int>(cluster.block_rank());
  part.size = static_cast<int>(cluster.num_blocks());
#endif
  const int index = static_cast<int>(blockIdx.x) / part.size;
  const int group = index / plan.token_tiles;
  part.first_tile = (plan.share ? group * part.size + part.rank : group) * tiles;
  part.first_token = index % plan.token_tiles * tokens;
  const int units = (plan.blocks + depth - 1) / depth;
  const int parts = plan.share ? 1 : part.size;
  const int own = plan.share ? 0 : part.rank;
  part.begin = own * units / parts * depth;
  part.end = min((own + 1) * units / parts * depth, plan.blocks);
  return part;
}

template <class R, Format kFormat>
__device__ void request_copies(const Plan& plan, const Part& part, std::uint32_t shared, int lane) {
  using namespace cuda_device;
  const int stages = (part.end - part.begin + R::kDepth - 1) / R::kDepth;
  const int tiles = min(max(plan.w.tiles - part.first_tile, 0), kBlockTiles);
  const auto blocks_of = [&](int i) {
    return min(R::kDepth, part.end - part.begin - i * R::kDepth);
  };
  const auto request_tokens = [&](int i) {
    if (lane != 0) return;
    const std::uint32_t stage = shared + i % R::kStages * R::kStage;
    const std::uint32_t full = shared + R::kBarriers + i % R::kStages * 8;
    for (int block = 0; block < blocks_of(i); ++block) {
      const unsigned char* from =
          plan.panels +
          ((part.begin + i * R::kDepth + block) * plan.padded + part.first_token) * kBlockBytes;
      const std::uint32_t to = stage + block * R::kPanel;
      if (plan.share) {
        const int half = part.rank * (R::kPanel / 2);
        bulk_copy_to_all(to + half, from + half, R::kPanel / 2, full, 3);
      } else {
        bulk_copy(to, from, R::kPanel, full);
      }
    }
  };
  const int ahead = min(stages, R::kStages);  // whose weights are requested before the tokens exist
  for (int i = 0; i < stages; ++i) {
    const std::uint32_t stage = shared + i % R::kStages * R::kStage;
    const std::uint32_t full = shared + R::kBarriers + i % R::kStages * 8;
    if (i >= R::kStages) barrier_wait(full + kMostStages * 8, (i / R::kStages + 1) & 1);
    const int blocks = blocks_of(i);
    if (lane == 0) {
      barrier_expect(full, static_cast<std::uint32_t>(
                               blocks * (R::kPanel + tiles * (R::kCodes + R::kScales))));
    }
    __syncwarp();
    if (lane < tiles) {
      const std::int64_t chunk = static_cast<std::int64_t>(part.first_tile + lane) * plan.w.chunks +
                                 (part.begin + i * R::kDepth) * R::kChunks;
      bulk_copy(stage + R::kCodesAt + lane * R::kDepth * R::kCodes,
                plan.w.codes + chunk * gemv::kCodeBytes,
                static_cast<std::uint32_t>(blocks * R::kCodes), full);
      if constexpr (R::kScales > 0) {
        bulk_copy(stage + R::kScalesAt + lane * R::kDepth * R::kScales,
                  plan.w.scales + chunk * gemv::scale_bytes(kFormat),
                  static_cast<std::uint32_t>(blocks * R::kScales), full);
      }
    }
    if (i == ahead - 1) {
      wait_for_previous();
      for (int j = 0; j < ahead; ++j) request_tokens(j);
    } else if (i >= ahead) {
      request_tokens(i);
    }
  }
}

/// The tensor cores read operand A while the threads go on: its registers must not become others'
/// before it has been waited for.
__device__ inline void keep_until_here(Fragments& a) {
#pragma unroll
  for (auto& step : a) {
#pragma unroll
    for (std::uint32_t& of : step) asm volatile("" : "+r"(of)::"memory");
  }
}

/// The first kWarps warps of the block.
template <int kWarps>
__device__ inline void sync_warps() {
  asm volatile("bar.sync 1, %0;" ::"n"(kWarps * 32) : "memory");
}

/// All threads of the cluster; `kData`: and what they wrote to shared memory can be read by all.
template <bool kData>
__device__ inline void cluster_barrier() {
  if constexpr (kData) {
    asm volatile("barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;" ::: "memory");
  } else {
    asm volatile("barrier.cluster.arrive.relaxed.aligned;\nbarrier.cluster.wait.aligned;" ::
                     : "memory");
  }
}

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
/// Rows `row` to `row` + 3 of a token's sums, those of the cluster's kMost or fewer blocks added in
/// their order; all are asked for before the first is used.
template <int kMost>
__device__ __forceinline__ float4 sum_of_parts(float* own, int parts) {
  const auto cluster = cooperative_groups::this_cluster();
  float4 of[kMost];
#pragma unroll
  for (int p = 0; p < kMost; ++p) {
    of[p] = {0, 0, 0, 0};
    if (p < parts) {
      of[p] =
          *reinterpret_cast<const float4*>(cluster.map_shared_rank(own, static_cast<unsigned>(p)));
    }
  }
  float4 total = of[0];
#pragma unroll
  for (int p = 1; p < kMost; ++p)
    total = {total.x + of[p].x, total.y + of[p].y, total.z + of[p].z, total.w + of[p].w};
  return total;
}

/// By the warps that multiplied, each thread with its sums of the tile: to y, put together with
/// those of the cluster's other blocks. `memory` is the ring's, [kTokens][sum_stride(kTiles)]
/// floats of it; token_scales: of the tile's tokens.
template <int kTokens, int kTiles, class Sum>
__device__ __forceinline__ void finish_tile(const Plan& plan, const Part& part,
                                            unsigned char* memory, const float* token_scales,
                                            const Sum (&sums)[kTokens / 2]) {
  using namespace cuda_device;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const Outputs<kTiles> outputs(plan, part.first_tile, part.first_token);
  // Every stage has been read by all warps when the sums take its place.
  sync_warps<kTiles>();
  auto* to = reinterpret_cast<float*>(memory) + warp * gemv::kTileRows + lane / 4;
#pragma unroll
  for (int n = 0; n < kTokens / 8; ++n) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int token = n * 8 + lane % 4 * 2 + i % 2;
      to[token * sum_stride(kTiles) + i / 2 * 8] = static_cast<float>(sums[n * 4 + i]);
    }
  }
  __syncwarp();
  if (part.size > 1) {
    cluster_barrier<true>();
  } else {
    sync_warps<kTiles>();
  }
  wait_for_previous();
  const int parts = plan.share ? 1 : part.size;
  const int own = plan.share ? 0 : part.rank;
  const int tokens = min(kTokens, plan.args.rows - part.first_token);
  const int first = tokens * own / parts;
  const int last = tokens * (own + 1) / parts;
  const auto at = [&](int token, int row) {
    return reinterpret_cast<float*>(memory) + token * sum_stride(kTiles) + row;
  };
  if (parts == 1) {
    outputs.template write<(kTokens <= 64 ? 2 : 4)>(
        first, last, token_scales,
        [&](int token, int row) { return *reinterpret_cast<const float4*>(at(token, row)); });
  } else if (parts == 2) {
    outputs.template write<(kTokens <= 64 ? 2 : 4)>(
        first, last, token_scales,
        [&](int token, int row) { return sum_of_parts<2>(at(token, row), 2); });
  } else {
    outputs.template write<1>(first, last, token_scales, [&](int token, int row) {
      return sum_of_parts<kMostSplits>(at(token, row), parts);
    });
  }
  // No block ends while another reads its memory.
  __syncwarp();
  if (part.size > 1) cluster_barrier<false>();
}
#endif

template <Format kFormat, Operand kOperand, int kTokens>
__global__ void __launch_bounds__((Ring<kFormat, kOperand, kTokens>::kThreads),
                                  (Ring<kFormat, kOperand, kTokens>::kResident))
    gemm_packed_kernel(const __grid_constant__ Plan plan) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  using namespace cuda_device;
  using R = Ring<kFormat, kOperand, kTokens>;
  using Product = Wgmma<kOperand, kTokens>;
  using Sum = typename Product::Sum;
  extern __shared__ unsigned char unaligned[];
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const std::uint32_t shared = (shared_address(unaligned) + 1023) & ~1023u;
  unsigned char* const memory = unaligned + (shared - shared_address(unaligned));
  const std::uint32_t full = shared + R::kBarriers;
  const std::uint32_t empty = full + kMostStages * 8;
  const Part part = part_of(plan, kTokens, kBlockTiles, 1);
  if (threadIdx.x == 0) {
    for (int i = 0; i < R::kStages; ++i) {
      barrier_init(full + i * 8, 1);
      barrier_init(empty + i * 8, plan.share ? 2 * kConsumers : kConsumers);
    }
    barrier_init_done();
  }
  __syncthreads();
  if (part.size > 1) cluster_barrier<false>();
  let_next_start();

  if (warp >= kConsumers) {
    if constexpr (R::kGives) give_registers<40>();
    if (warp == kConsumers) request_copies<R, kFormat>(plan, part, shared, lane);
    __syncwarp();
    if (part.size > 1) {
      cluster_barrier<true>();
      cluster_barrier<false>();
    }
  } else {
    if constexpr (R::kGives) take_registers<232>();
    Sum sums[kTokens / 2];
#pragma unroll
    for (Sum& sum : sums) sum = 0;
    const int blocks = part.end - part.begin;
    // Requests the products of block i of columns, whose codes become operand A in `a`.
    const auto multiply = [&](Fragments& a, int i) {
      const int stage = i / R::kDepth % R::kStages;
      if (i % R::kDepth == 0) barrier_wait(full + stage * 8, (i / R::kDepth / R::kStages) & 1);
      const std::uint32_t at = shared + stage * R::kStage;
      const int place = warp * R::kDepth + i % R::kDepth;
      const std::uint64_t panel = panel_descriptor(at + i % R::kDepth * R::kPanel);
      Unpack<kFormat, kOperand>::block(at + R::kCodesAt + place * R::kCodes,
                                       at + R::kScalesAt + place * R::kScales, lane, a,
                                       [&](int step) {
                                         wgmma_fence();
                                         Product::add(sums, a[step], panel + 2 * step);
                                         wgmma_commit();
                                       });
    };
    // Block i of columns has been multiplied.
    const auto release = [&](Fragments& a, int i) {
      keep_until_here(a);
      if ((i + 1) % R::kDepth != 0 || lane != 0 || i < 0) return;
      const std::uint32_t of_stage = empty + i / R::kDepth % R::kStages * 8;
      barrier_arrive(of_stage);
      if (plan.share) barrier_arrive_at(of_stage, part.rank ^ 1);
    };
    // While some products go on, the next one's codes are unpacked. No product stands in a branch:
    // the compiler would wait for each by itself.
    Fragments even = {};
    Fragments odd = {};
    const int pairs = blocks / 2;
#pragma unroll 1
    for (int i = 0; i < pairs; ++i) {
      multiply(even, 2 * i);
      wgmma_wait<4>();
      release(odd, 2 * i - 1);
      multiply(odd, 2 * i + 1);
      wgmma_wait<4>();
      release(even, 2 * i);
    }
    wgmma_wait<0>();
    release(odd, 2 * pairs - 1);
    if (blocks % 2 != 0) {
      multiply(even, blocks - 1);
      wgmma_wait<0>();
      keep_until_here(even);
    }
    finish_tile<kTokens, kBlockTiles>(plan, part, memory, plan.token_scales + part.first_token,
                                      sums);
  }
#else
  __trap();
#endif
}

/// The grid that part_of() takes apart.
template <void (*kKernel)(Plan), int kThreads, int kBytes>
void launch_tiles(const Plan& plan, cudaStream_t stream) {
  static const bool kAllowed = [] {
    PLIMSOLL_CUDA_CHECK(
        cudaFuncSetAttribute(kKernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes));
    return true;
  }();
  static_cast<void>(kAllowed);
  const int cluster = plan.share ? 2 : plan.splits;
  const int groups = plan.share ? (plan.weight_tiles + 1) / 2 : plan.weight_tiles;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(groups * plan.token_tiles * cluster));
  config.blockDim = dim3(kThreads);
  config.dynamicSmemBytes = kBytes;
  config.stream = stream;
  cudaLaunchAttribute attributes[2] = {};
  attributes[0].id = cudaLaunchAttributeClusterDimension;
  attributes[0].val.clusterDim.x = static_cast<unsigned>(cluster);
  attributes[0].val.clusterDim.y = 1;
  attributes[0].val.clusterDim.z = 1;
  attributes[1].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[1].val.programmaticStreamSerializationAllowed = 1;
  config.attrs = attributes;
  config.numAttrs = plan.args.dependent ? 2 : 1;
  PLIMSOLL_CUDA_CHECK(cudaLaunchKernelEx(&config, kKernel, plan));
}

template <Format kFormat, Operand kOperand, int kTokens>
void launch_kernel(const Plan& plan, cudaStream_t stream) {
  using R = Ring<kFormat, kOperand, kTokens>;
  static_assert(R::kStages >= 2);
  launch_tiles<gemm_packed_kernel<kFormat, kOperand, kTokens>, R::kThreads, R::kBytes>(plan,
                                                                                       stream);
}

template <Format kFormat, Operand kOperand>
Launch launch_of(int tokens) {
  switch (tokens) {
    case 32:
      return launch_kernel<kFormat, kOperand, 32>;
    case 64:
      return launch_kernel<kFormat, kOperand, 64>;
    case 128:
      return launch_kernel<kFormat, kOperand, 128>;
    default:
      return launch_kernel<kFormat, kOperand, 256>;
  }
}

}  // namespace plimsoll::kernels::gemm_packed
