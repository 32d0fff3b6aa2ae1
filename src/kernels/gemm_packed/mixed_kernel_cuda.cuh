// LLM.int8() of many rows: the kernel of gemm_packed_kernel_cuda.cuh with another loop. A tile's
// chunks without outliers are multiplied in s8; then the sums, where they are, become f32 times
// each token's scale, and the chunks with outliers are added in f16. A chunk is in one of the two
// alone, so that outliers cost what f16 costs more than s8, and however many there are it is never
// more than all in f16.
//
// A stage of the ring has any four chunks in s8 or any two in f16: of both a token's part is 128
// bytes. Chunks that fill the last stage are of zeros.
#pragma once

#include "kernels/cuda/warp_integers_cuda.cuh"
#include "kernels/gemm_packed/gemm_packed_kernel_cuda.cuh"
#include "kernels/gemm_packed/mixed_panels_cuda.h"

namespace plimsoll::kernels::gemm_packed {

/// A chunk of a block's tiles.
inline constexpr int kBoxBytes = kBlockTiles * gemv::kCodeBytes;

/// Stages are those of s8's; more shared memory behind them.
template <int kTokens>
struct MixedRing : Ring<Format::int8, Operand::s8, kTokens> {
  using R = Ring<Format::int8, Operand::s8, kTokens>;
  /// Two warps request copies.
  static constexpr int kThreads = R::kGives ? R::kThreads : (kConsumers + 2) * 32;
  static constexpr int kCodeScales = R::kEnd;                  // f32 [kTokens]
  static constexpr int kChunkIds = kCodeScales + kTokens * 4;  // u16, see list_chunks()
  static constexpr int kMostIds = kMaskWords * 32 + 4 + 2;
  static constexpr int kBytes = kChunkIds + (kMostIds * 2 + 15) / 16 * 16 + 1024;
};

/// A stage's four products in one type.
template <Operand kOperand, int kTokens>
struct MixedStage {
  static constexpr int kChunks = Unpack<Format::int8, kOperand>::kChunks;
  static constexpr int kSlab = kTokens * kBlockBytes / kChunks;

  /// Operand B of product `step` of the stage whose slabs are at `address`.
  __device__ static std::uint64_t descriptor(std::uint32_t address, int step) {
    constexpr int kSteps = 4 / kChunks;           // of a chunk
    constexpr int kTokenBytes = kSlab / kTokens;  // 32 or 64: so are rows swizzled
    constexpr std::uint64_t kSwizzle = kTokenBytes == 32 ? 3 : 2;
    const std::uint32_t at = address + step / kSteps * kSlab + step % kSteps * 32;
    return (at & 0x3ffffu) >> 4 | std::uint64_t{1} << 16 |
           std::uint64_t{kTokenBytes * 8 / 16} << 32 | kSwizzle << 62;
  }
};

/// How a tile's chunks are divided, and a block's part of the stages of both types.
struct MixedPart {
  int whole, listed;             // chunks in s8 and in f16
  int begin, end;                // stages in s8
  int begin_listed, end_listed;  // stages in f16

  __device__ int stages() const { return end - begin + end_listed - begin_listed; }
  /// Where the ids of f16's chunks begin.
  __device__ int first_listed() const { return (whole + 3) / 4 * 4; }
};

/// By a whole warp; `mask` is its lane's word of the tile's listed chunks.
__device__ inline MixedPart mixed_part_of(const Plan& plan, const Part& part, std::uint32_t mask) {
  MixedPart of{};
  of.listed = static_cast<int>(cuda_device::warp_add(static_cast<std::uint32_t>(__popc(mask))));
  of.whole = plan.w.chunks - of.listed;
  const int stages = (of.whole + 3) / 4;
  const int listed = (of.listed + 1) / 2;
  const int parts = plan.share ? 1 : part.size;
  const int own = plan.share ? 0 : part.rank;
  of.begin = own * stages / parts;
  of.end = (own + 1) * stages / parts;
  of.begin_listed = own * listed / parts;
  of.end_listed = (own + 1) * listed / parts;
  return of;
}

/// The ids of chunks in s8, of chunks in f16 from first_listed() on, both ascending and filled up
/// with that of the chunk of zeros. By a whole warp.
__device__ inline void list_chunks(const Plan& plan, const MixedPart& part, std::uint32_t mask,
                                   int lane, std::uint16_t* ids) {
  const int chunks = plan.w.chunks;
  const int of_lane = min(max(chunks - lane * 32, 0), 32);
  int before = __popc(mask);  // listed, of lower lanes
#pragma unroll
  for (int i = 1; i < 32; i *= 2) {
    const int other = __shfl_up_sync(0xffffffffu, before, i);
    if (lane >= i) before += other;
  }
  before -= __popc(mask);
  std::uint16_t* listed = ids + part.first_listed() + before;
  std::uint16_t* whole = ids + min(lane * 32, chunks) - before;
  for (int i = 0; i < of_lane; ++i) {
    const auto id = static_cast<std::uint16_t>(lane * 32 + i);
    if (mask >> i & 1) {
      *listed++ = id;
    } else {
      *whole++ = id;
    }
  }
  if (part.whole + lane < part.first_listed())
    ids[part.whole + lane] = static_cast<std::uint16_t>(chunks);
  if (part.listed % 2 != 0 && lane == 0)
    ids[part.first_listed() + part.listed] = static_cast<std::uint16_t>(chunks);
}

/// What a stage has: four chunks in s8 or two in f16, from ids[first] on.
struct MixedChunks {
  int count, first;

  __device__ MixedChunks(const MixedPart& part, int stage) {
    const int whole = part.end - part.begin;
    count = stage < whole ? 4 : 2;
    first = stage < whole ? (part.begin + stage) * 4
                          : part.first_listed() + (part.begin_listed + stage - whole) * 2;
  }
};

/// The stages' slabs of tokens and the tokens' scales, by a warp.
template <int kTokens>
__device__ void request_slabs(const Plan& plan, const Part& part, const MixedPart& mixed,
                              const std::uint16_t* ids, std::uint32_t shared, int lane) {
  using namespace cuda_device;
  using R = MixedRing<kTokens>;
  for (int i = 0; i < mixed.stages(); ++i) {
    const std::uint32_t stage = shared + i % R::kStages * R::kStage;
    const std::uint32_t full = shared + R::kBarriers + i % R::kStages * 8;
    const MixedChunks chunks(mixed, i);
    const int id = ids[chunks.first + lane % chunks.count];
    if (i >= R::kStages) barrier_wait(full + kMostStages * 8, (i / R::kStages + 1) & 1);
    if (lane == 0) {
      barrier_expect(full, static_cast<std::uint32_t>(R::kPanel + (i == 0 ? kTokens * 4 : 0)));
      if (i == 0)
        bulk_copy(shared + R::kCodeScales, plan.code_scales + part.first_token, kTokens * 4, full);
    }
    __syncwarp();
    if (lane >= chunks.count) continue;
    const int slab = R::kPanel / chunks.count;
    const int first_token = id == plan.w.chunks ? 0 : part.first_token;
    const unsigned char* from = plan.panels + (id * plan.padded + first_token) * kMixedTokenBytes;
    const std::uint32_t to = stage + lane * slab;
    if (plan.share) {
      const int half = part.rank * (slab / 2);
      bulk_copy_to_all(to + half, from + half, slab / 2, full, 3);
    } else {
      bulk_copy(to, from, slab, full);
    }
  }
}

/// The stages' codes, by a warp: [chunks][tiles][512 bytes].
template <int kTokens>
__device__ void request_codes(const Plan& plan, const Part& part, const MixedPart& mixed,
                              const std::uint16_t* ids, std::uint32_t shared, int lane) {
  using namespace cuda_device;
  using R = MixedRing<kTokens>;
  for (int i = 0; i < mixed.stages(); ++i) {
    const std::uint32_t stage = shared + i % R::kStages * R::kStage;
    const std::uint32_t full = shared + R::kBarriers + i % R::kStages * 8;
    const MixedChunks chunks(mixed, i);
    const int id =
        min(static_cast<int>(ids[chunks.first + lane % chunks.count]), plan.w.chunks - 1);
    if (i >= R::kStages) barrier_wait(full + kMostStages * 8, (i / R::kStages + 1) & 1);
    if (lane == 0) barrier_expect(full, static_cast<std::uint32_t>(chunks.count * kBoxBytes));
    __syncwarp();
    if (lane < chunks.count) {
      box_copy(stage + R::kCodesAt + lane * kBoxBytes, plan.codes, id * (gemv::kCodeBytes / 4),
               part.first_tile, full);
    }
  }
}

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
/// Stages [first, first + count) of the ring, all of one type, to the thread's sums.
template <Operand kOperand, int kTokens, class Sum>
__device__ __forceinline__ void multiply_stages(const Plan& plan, const Part& part,
                                                std::uint32_t shared, int first, int count,
                                                Sum (&sums)[kTokens / 2]) {
  using namespace cuda_device;
  using R = MixedRing<kTokens>;
  using Stage = MixedStage<kOperand, kTokens>;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const auto multiply = [&](Fragments& a, int i) {
    const int stage = (first + i) % R::kStages;
    barrier_wait(shared + R::kBarriers + stage * 8, ((first + i) / R::kStages) & 1);
    const std::uint32_t at = shared + stage * R::kStage;
    const std::uint32_t codes = at + R::kCodesAt + warp * gemv::kCodeBytes;
    Unpack<Format::int8, kOperand>::template block<kBoxBytes>(codes, 0, lane, a, [&](int step) {
      wgmma_fence();
      Wgmma<kOperand, kTokens>::add(sums, a[step], Stage::descriptor(at, step));
      wgmma_commit();
    });
  };
  const auto release = [&](Fragments& a, int i) {
    keep_until_here(a);
    if (lane != 0 || i < 0) return;
    const std::uint32_t of_stage =
        shared + R::kBarriers + (kMostStages + (first + i) % R::kStages) * 8;
    barrier_arrive(of_stage);
    if (plan.share) barrier_arrive_at(of_stage, part.rank ^ 1);
  };
  Fragments even = {};
  Fragments odd = {};
  const int pairs = count / 2;
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
  if (count % 2 != 0) {
    multiply(even, count - 1);
    wgmma_wait<0>();
    release(even, count - 1);
  }
}
#endif

template <int kTokens>
__global__ void __launch_bounds__((MixedRing<kTokens>::kThreads), (MixedRing<kTokens>::kResident))
    gemm_mixed_kernel(const __grid_constant__ Plan plan) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  using namespace cuda_device;
  using R = MixedRing<kTokens>;
  extern __shared__ unsigned char unaligned[];
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const std::uint32_t shared = (shared_address(unaligned) + 1023) & ~1023u;
  unsigned char* const memory = unaligned + (shared - shared_address(unaligned));
  const Part part = part_of(plan, kTokens, kBlockTiles, 1);
  if (threadIdx.x == 0) {
    for (int i = 0; i < R::kStages; ++i) {
      barrier_init(shared + R::kBarriers + i * 8, 2);  // slabs, codes
      barrier_init(shared + R::kBarriers + (kMostStages + i) * 8,
                   plan.share ? 2 * kConsumers : kConsumers);
    }
    barrier_init_done();
  }
  if (threadIdx.x == (kConsumers + 1) * 32) prefetch_map(plan.codes);
  __syncthreads();
  if (part.size > 1) cluster_barrier<false>();
  let_next_start();
  wait_for_previous();  // which chunks are where is not known before
  const std::uint32_t* listed = plan.listed + part.first_token / kTokens * kMaskWords;
  const std::uint32_t mask = lane * 32 < plan.w.chunks ? listed[lane] : 0;
  const MixedPart mixed = mixed_part_of(plan, part, mask);

  if (warp >= kConsumers) {
    if constexpr (R::kGives) give_registers<40>();
    auto* ids = reinterpret_cast<std::uint16_t*>(memory + R::kChunkIds);
    if (warp == kConsumers) list_chunks(plan, mixed, mask, lane, ids);
    if (warp < kConsumers + 2) asm volatile("bar.sync 2, 64;" ::: "memory");  // `ids`
    if (warp == kConsumers) request_slabs<kTokens>(plan, part, mixed, ids, shared, lane);
    if (warp == kConsumers + 1) request_codes<kTokens>(plan, part, mixed, ids, shared, lane);
    __syncwarp();
    if (part.size > 1) {
      cluster_barrier<true>();
      cluster_barrier<false>();
    }
  } else {
    if constexpr (R::kGives) take_registers<232>();
    std::int32_t codes[kTokens / 2];
#pragma unroll
    for (std::int32_t& sum : codes) sum = 0;
    const int whole = mixed.end - mixed.begin;
    multiply_stages<Operand::s8, kTokens>(plan, part, shared, 0, whole, codes);
    float sums[kTokens / 2];
    const auto* scales = reinterpret_cast<const float*>(memory + R::kCodeScales) + lane % 4 * 2;
#pragma unroll
    for (int n = 0; n < kTokens / 8; ++n) {
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        // Without a stage there are no scales either.
        const float scale = whole > 0 ? scales[n * 8 + i % 2] : 0.0f;
        sums[n * 4 + i] = static_cast<float>(codes[n * 4 + i]) * scale;
      }
    }
    multiply_stages<Operand::f16, kTokens>(plan, part, shared, whole,
                                           mixed.end_listed - mixed.begin_listed, sums);
    finish_tile<kTokens, kBlockTiles>(plan, part, memory, plan.token_scales + part.first_token,
                                      sums);
  }
#else
  __trap();
#endif
}

}  // namespace plimsoll::kernels::gemm_packed
