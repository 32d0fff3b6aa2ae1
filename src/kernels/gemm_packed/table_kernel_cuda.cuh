// Products with 4-bit tables: a look-up in shared memory gives two weights. As gemm_packed_kernel()
// in what a block takes and how its sums are put together; leaner in what a warp does for a block
// of columns, since four of them are a stage of weights and the loop's body.
//
//   levels    a byte of codes is two neighbouring columns, a register of operand A. A table of all
//             256 has their two levels in f16, once for each lane, so that look-ups meet no bank
//             twice; with 256 bytes from one to the next one PRMT makes an address
//   scales    decoded for the next stage, each by one lane, and handed on by a shuffle
//   copies    one warp requests weights, another panels (panels_cuda.h), each to a ring of its own
#pragma once

#include "kernels/gemm_packed/gemm_packed_kernel_cuda.cuh"

namespace plimsoll::kernels::gemm_packed {

inline constexpr int kDepth = 4;  // blocks of columns of a stage of weights

/// Shared memory of a block of kTiles tiles of weights, a warp each; offsets in bytes.
template <Format kFormat, int kTokensOfBlock, int kTilesOfBlock>
struct TableRing {
  static constexpr int kTokens = kTokensOfBlock;
  static constexpr int kTiles = kTilesOfBlock;
  static constexpr int kScales = gemv::scale_bytes(kFormat);
  static constexpr int kTile = kDepth * (gemv::kCodeBytes + kScales);  // of a stage of weights
  static constexpr int kWeights = kTiles * kTile;                      // a stage
  static constexpr int kPanelBlocks = kTokens <= 32 ? 4 : kTokens <= 64 ? 2 : 1;
  static constexpr int kBlock = kTokens * kBlockBytes;  // of panels
  static constexpr int kPanel = kPanelBlocks * kBlock;  // a stage
  /// Registers of the warps that request copies, which are a warpgroup then, go to the others.
  static constexpr bool kGives = kTokens == 256 || kTiles == 16;
  static constexpr int kGiven = kTokens == 256 ? 40 : 32;
  static constexpr int kTaken = kTokens == 256 ? 232 : 112;
  static constexpr int kThreads = (kTiles + (kGives ? 4 : 2)) * 32;
  static constexpr int kTable = 256 * 256;
  static constexpr int kMost = 223 * 1024 - kTable;  // for the two rings
  static constexpr int kWeightStages = kMost - 4 * kWeights >= 3 * kPanel ? 4 : 3;
  static constexpr int kPanelStages = (kMost - kWeightStages * kWeights) / kPanel;
  static constexpr int kWeightsAt = kPanelStages * kPanel;
  static constexpr int kTableAt = kWeightsAt + kWeightStages * kWeights;
  static constexpr int kMostStages = 16;
  static constexpr int kPanelBarriers = kTableAt + kTable;  // full, then empty
  static constexpr int kWeightBarriers = kPanelBarriers + 2 * kMostStages * 8;
  static constexpr int kTokenScales = kWeightBarriers + 2 * kMostStages * 8;  // f32 [kTokens]
  static constexpr int kNested = kTokenScales + kTokens * 4;  // f32 [256] of table4_dq
  static constexpr int kBytes = kNested + (kFormat == Format::table4_dq ? 1024 : 0) + 1024;
  static_assert(kPanelStages >= 3 && kPanelStages <= kMostStages && kBytes <= 227 * 1024);
  static_assert(kTokens * sum_stride(kTiles) * 4 <= kTableAt);
};

/// A stage of a ring and how often it has come round.
template <int kStages>
struct Turn {
  int stage = 0;
  int parity = 0;

  __device__ Turn after() const {
    return stage + 1 < kStages ? Turn{stage + 1, parity} : Turn{0, parity ^ 1};
  }
};

/// Levels of two codes, for every byte and lane.
template <int kWarps>
__device__ void make_table(const float* levels, unsigned char* table, int warp, int lane) {
  constexpr int kBytes = 256 / kWarps;  // of a warp
#pragma unroll
  for (int i = 0; i < kBytes / 4; ++i) {
    const int byte = warp * kBytes + i * 4 + lane / 8;
    const std::uint32_t pair = cuda_device::half2_bits(levels[byte % 16], levels[byte / 16]);
    *reinterpret_cast<uint4*>(table + byte * 256 + lane % 8 * 16) = {pair, pair, pair, pair};
  }
}

/// Byte kByte of `codes` as two levels. `of_lane`: 4 * lane; `table`: its address.
template <int kByte>
__device__ std::uint32_t levels_of(std::uint32_t codes, std::uint32_t of_lane,
                                   std::uint32_t table) {
  return load_shared_word(permute_bytes(codes, of_lane, 0x5504 | kByte << 4) + table);
}

/// A row's scales: a lane's rows g and g + 8 of the tile.
template <Format kFormat>
struct RowPair {
  gemv::RowScales row0{}, row1{};

  __device__ RowPair(const Plan& plan, int tile, int g) {
    if constexpr (kFormat == Format::table4_dq) {
      if (tile >= plan.w.tiles) return;
      const auto* rows =
          reinterpret_cast<const gemv::RowScales*>(plan.w.row_meta) + tile * gemv::kTileRows + g;
      row0 = rows[0];
      row1 = rows[8];
    }
  }

  /// The `lane`'s, which is 8 b + g, of block b of a stage that begins with chunk `first`: f16 side
  /// by side.
  __device__ std::uint32_t decode(const unsigned char* scales, int first, int lane,
                                  const float* nested) const {
    if constexpr (kFormat == Format::table4_dq) {
      const std::uint32_t codes = reinterpret_cast<const std::uint16_t*>(scales)[lane];
      const int chunk = first + lane / 8;
      return cuda_device::half2_bits(
          fmaf(nested[codes & 0xff], chunk < row0.border ? row0.first : row0.second, row0.offset),
          fmaf(nested[codes >> 8], chunk < row1.border ? row1.first : row1.second, row1.offset));
    } else {
      const float2 both = reinterpret_cast<const float2*>(scales)[lane];
      return cuda_device::half2_bits(both.x, both.y);
    }
  }
};

/// By the lanes of one warp. Of a tile a stage has its codes, then all its scales.
template <class R>
__device__ void request_weights(const Plan& plan, const Part& part, std::uint32_t shared,
                                int lane) {
  using namespace cuda_device;
  const int blocks = part.end - part.begin;
  const int tiles = min(max(plan.w.tiles - part.first_tile, 0), R::kTiles);
  const std::int64_t chunk =
      static_cast<std::int64_t>(part.first_tile + lane) * plan.w.chunks + part.begin;
  const unsigned char* codes = plan.w.codes + chunk * gemv::kCodeBytes;
  const unsigned char* scales = plan.w.scales + chunk * R::kScales;
  Turn<R::kWeightStages> turn;
  for (int first = 0; first < blocks; first += kDepth) {
    const int count = min(kDepth, blocks - first);
    const std::uint32_t full = shared + R::kWeightBarriers + turn.stage * 8;
    const std::uint32_t to = shared + R::kWeightsAt + turn.stage * R::kWeights + lane * R::kTile;
    if (first >= R::kWeightStages * kDepth)
      barrier_wait(full + R::kMostStages * 8, turn.parity ^ 1);
    if (lane == 0) {
      barrier_expect(full,
                     static_cast<std::uint32_t>(tiles * count * (gemv::kCodeBytes + R::kScales)));
    }
    __syncwarp();
    if (lane < tiles) {
      bulk_copy(to, codes, static_cast<std::uint32_t>(count * gemv::kCodeBytes), full);
      bulk_copy(to + kDepth * gemv::kCodeBytes, scales,
                static_cast<std::uint32_t>(count * R::kScales), full);
    }
    codes += kDepth * gemv::kCodeBytes;
    scales += kDepth * R::kScales;
    turn = turn.after();
  }
}

/// By the lanes of one warp, which brings the tokens' scales to `token_scales` first: they are
/// there for who has seen a panel.
template <class R>
__device__ void request_panels(const Plan& plan, const Part& part, std::uint32_t shared,
                               float* token_scales, int lane) {
  using namespace cuda_device;
  wait_for_previous();
  for (int i = lane; i < min(R::kTokens, plan.args.rows - part.first_token); i += 32)
    token_scales[i] = plan.token_scales[part.first_token + i];
  __syncwarp();
  if (lane != 0) return;
  const int blocks = part.end - part.begin;
  const unsigned char* from =
      plan.panels +
      (static_cast<std::int64_t>(part.begin) * plan.padded + part.first_token) * kBlockBytes;
  Turn<R::kPanelStages> turn;
  for (int first = 0; first < blocks; first += R::kPanelBlocks) {
    const int count = min(R::kPanelBlocks, blocks - first);
    const std::uint32_t full = shared + R::kPanelBarriers + turn.stage * 8;
    std::uint32_t to = shared + turn.stage * R::kPanel;
    if (first >= R::kPanelStages * R::kPanelBlocks)
      barrier_wait(full + R::kMostStages * 8, turn.parity ^ 1);
    barrier_expect(full, static_cast<std::uint32_t>(count * R::kBlock));
    for (int i = 0; i < count; ++i) {
      if (plan.share) {
        const int half = part.rank * (R::kBlock / 2);
        bulk_copy_to_all(to + half, from + half, R::kBlock / 2, full, 3);
      } else {
        bulk_copy(to, from, R::kBlock, full);
      }
      to += R::kBlock;
      from += plan.padded * kBlockBytes;
    }
    turn = turn.after();
  }
}

/// A warp's part of the products of a block's columns.
template <class R, Format kFormat>
class TableProduct {
 public:
  using Product = cuda_device::Wgmma<Operand::f16, R::kTokens>;
  using Sums = float[R::kTokens / 2];

  __device__ TableProduct(const Plan& plan, const Part& part, std::uint32_t shared,
                          unsigned char* memory, int warp, int lane)
      : plan_(plan),
        part_(part),
        rows_(plan, part.first_tile + warp, lane % 8),
        shared_(shared),
        weights_(memory + R::kWeightsAt + warp * R::kTile),
        nested_(reinterpret_cast<const float*>(memory + R::kNested)),
        lane_(lane) {}

  __device__ void run(Sums& sums) {
    const int blocks = part_.end - part_.begin;
    if (blocks == 0) return;
    Fragments even = {};
    Fragments odd = {};
    begin_weights(0);
    scales_ = next_scales_;
    codes_ = load_codes(weight_turn_, 0);
    // No product stands in a branch: the compiler would wait for each by itself.
    const int pairs = blocks / 2;
#pragma unroll 1
    for (int i = 0; i < pairs; ++i) {
      const int second = i % 2;  // pair of a stage of weights
      if (second != 0) {
        if (2 * i + 2 < blocks) begin_weights(2 * i + 2);
      } else if (i > 0) {
        release_weights();
      }
      multiply<0>(even, second, sums);
      cuda_device::wgmma_wait<1>();
      keep_until_here(odd);
      if (i > 0 && (R::kPanelBlocks <= 2 || second == 0)) release_panel();
      multiply<1>(odd, second, sums);
      cuda_device::wgmma_wait<1>();
      keep_until_here(even);
      if constexpr (R::kPanelBlocks == 1) release_panel();
    }
    cuda_device::wgmma_wait<0>();
    keep_until_here(odd);
    if (blocks % 2 == 0) return;
    if (pairs > 0) {
      if (pairs % 2 == 0) release_weights();
      if (R::kPanelBlocks <= 2 || pairs % 2 == 0) release_panel();
    }
    multiply<0>(even, pairs % 2, sums);
    cuda_device::wgmma_wait<0>();
    keep_until_here(even);
  }

 private:
  // The stage of weights that begins with block `first` has come: its scales.
  __device__ void begin_weights(int first) {
    const Turn<R::kWeightStages> turn = first == 0 ? weight_turn_ : weight_turn_.after();
    cuda_device::barrier_wait(shared_ + R::kWeightBarriers + turn.stage * 8, turn.parity);
    next_scales_ = rows_.decode(weights_ + turn.stage * R::kWeights + kDepth * gemv::kCodeBytes,
                                part_.begin + first, lane_, nested_);
  }
  __device__ uint4 load_codes(const Turn<R::kWeightStages>& turn, int block) const {
    return *reinterpret_cast<const uint4*>(weights_ + turn.stage * R::kWeights +
                                           block * gemv::kCodeBytes + lane_ * 16);
  }
  // The stage's codes are in registers; on to the next.
  __device__ void release_weights() {
    __syncwarp();
    if (lane_ == 0) {
      cuda_device::barrier_arrive(shared_ + R::kWeightBarriers +
                                  (R::kMostStages + weight_turn_.stage) * 8);
    }
    weight_turn_ = weight_turn_.after();
    scales_ = next_scales_;
  }
  // The oldest stage of panels that was not released yet has been multiplied.
  __device__ void release_panel() {
    const std::uint32_t empty =
        shared_ + R::kPanelBarriers + (R::kMostStages + released_.stage) * 8;
    if (lane_ == 0) {
      cuda_device::barrier_arrive(empty);
      if (plan_.share) cuda_device::barrier_arrive_at(empty, part_.rank ^ 1);
    }
    released_ = released_.after();
  }

  // Requests the products of block kBlock of a pair, the first or second of a stage of weights,
  // whose codes become operand A in `a`.
  template <int kBlock>
  __device__ void multiply(Fragments& a, int second, Sums& sums) {
    const int block = second * 2 + kBlock;
    const uint4 w = codes_;
    const std::uint32_t both = __shfl_sync(0xffffffffu, scales_, block * 8 + lane_ / 4);
    const std::uint32_t of_lane = static_cast<std::uint32_t>(lane_) * 4;
    const std::uint32_t table = shared_ + R::kTableAt;
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const std::uint32_t first = half == 0 ? w.x : w.y;
      const std::uint32_t second = half == 0 ? w.z : w.w;
      a[2 * half][0] = levels_of<0>(first, of_lane, table);
      a[2 * half][1] = levels_of<0>(second, of_lane, table);
      a[2 * half][2] = levels_of<1>(first, of_lane, table);
      a[2 * half][3] = levels_of<1>(second, of_lane, table);
      a[2 * half + 1][0] = levels_of<2>(first, of_lane, table);
      a[2 * half + 1][1] = levels_of<2>(second, of_lane, table);
      a[2 * half + 1][2] = levels_of<3>(first, of_lane, table);
      a[2 * half + 1][3] = levels_of<3>(second, of_lane, table);
    }
    // The next block's codes; behind the last one they are not used.
    codes_ = block + 1 < kDepth ? load_codes(weight_turn_, block + 1)
                                : load_codes(weight_turn_.after(), 0);
    const std::uint32_t s0 = permute_bytes(both, 0, 0x1010);
    const std::uint32_t s1 = permute_bytes(both, 0, 0x3232);
#pragma unroll
    for (auto& step : a) {
      step[0] = times(step[0], s0);
      step[1] = times(step[1], s1);
      step[2] = times(step[2], s0);
      step[3] = times(step[3], s1);
    }
    if (kBlock % R::kPanelBlocks == 0 && (R::kPanelBlocks <= 2 || second == 0)) {
      panel_turn_ = next_panel_;
      next_panel_ = next_panel_.after();
      cuda_device::barrier_wait(shared_ + R::kPanelBarriers + panel_turn_.stage * 8,
                                panel_turn_.parity);
    }
    const std::uint64_t panel = cuda_device::panel_descriptor(
        shared_ + panel_turn_.stage * R::kPanel + block % R::kPanelBlocks * R::kBlock);
    cuda_device::wgmma_fence();
#pragma unroll
    for (int step = 0; step < 4; ++step) Product::add(sums, a[step], panel + 2 * step);
    cuda_device::wgmma_commit();
  }

  const Plan& plan_;
  const Part& part_;
  RowPair<kFormat> rows_;
  std::uint32_t shared_;
  const unsigned char* weights_;
  const float* nested_;
  int lane_;
  std::uint32_t scales_ = 0, next_scales_ = 0;
  uint4 codes_{};
  Turn<R::kWeightStages> weight_turn_;
  Turn<R::kPanelStages> panel_turn_, next_panel_, released_;
};

template <Format kFormat, int kTokens, int kTiles>
__global__ void __launch_bounds__((TableRing<kFormat, kTokens, kTiles>::kThreads), 1)
    table_kernel(const __grid_constant__ Plan plan) {
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
  using namespace cuda_device;
  using R = TableRing<kFormat, kTokens, kTiles>;
  extern __shared__ unsigned char unaligned[];
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const std::uint32_t shared = (shared_address(unaligned) + 1023) & ~1023u;
  unsigned char* const memory = unaligned + (shared - shared_address(unaligned));
  const Part part = part_of(plan, kTokens, kTiles, kDepth);
  let_next_start();
  if (threadIdx.x == 0) {
    for (int i = 0; i < R::kMostStages; ++i) {
      barrier_init(shared + R::kPanelBarriers + i * 8, 1);
      barrier_init(shared + R::kPanelBarriers + (R::kMostStages + i) * 8,
                   plan.share ? 2 * kTiles : kTiles);
      barrier_init(shared + R::kWeightBarriers + i * 8, 1);
      barrier_init(shared + R::kWeightBarriers + (R::kMostStages + i) * 8, kTiles);
    }
    barrier_init_done();
  }
  if constexpr (kFormat == Format::table4_dq) {
    if (threadIdx.x < 256)
      reinterpret_cast<float*>(memory + R::kNested)[threadIdx.x] = plan.w.nested_table[threadIdx.x];
  }
  if (warp < kTiles) make_table<kTiles>(plan.w.levels, memory + R::kTableAt, warp, lane);
  __syncthreads();
  if (part.size > 1) cluster_barrier<false>();

  if (warp >= kTiles) {
    if constexpr (R::kGives) give_registers<R::kGiven>();
    if (warp == kTiles) request_weights<R>(plan, part, shared, lane);
    if (warp == kTiles + 1) {
      request_panels<R>(plan, part, shared, reinterpret_cast<float*>(memory + R::kTokenScales),
                        lane);
    }
    __syncwarp();
    if (part.size > 1) {
      cluster_barrier<true>();
      cluster_barrier<false>();
    }
  } else {
    if constexpr (R::kGives) take_registers<R::kTaken>();
    float sums[kTokens / 2];
#pragma unroll
    for (float& sum : sums) sum = 0;
    TableProduct<R, kFormat>(plan, part, shared, memory, warp, lane).run(sums);
    finish_tile<kTokens, kTiles>(plan, part, memory,
                                 reinterpret_cast<const float*>(memory + R::kTokenScales), sums);
  }
#else
  __trap();
#endif
}

template <Format kFormat, int kTokens, int kTiles>
void launch_table(const Plan& plan, cudaStream_t stream) {
  using R = TableRing<kFormat, kTokens, kTiles>;
  launch_tiles<table_kernel<kFormat, kTokens, kTiles>, R::kThreads, R::kBytes>(plan, stream);
}

}  // namespace plimsoll::kernels::gemm_packed
