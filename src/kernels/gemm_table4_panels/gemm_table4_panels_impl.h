// The walk over a panel's scales, for any register width. For instruction-set files only: internal
// linkage throughout.
#pragma once

#include <cstring>

#include "kernels/gemm_table4_panels/gemm_table4_panels_isa.h"

namespace plimsoll::kernels {
namespace {

enum class Scaling { plain, zeros, nested };

/// Bytes of scales' codes that are fetched ahead: a line a pair is too slow a stream for the
/// hardware's prefetchers.
constexpr std::int64_t kScalesAhead = 512;

/// A panel's nested scales, pair after pair of blocks.
struct NestedWalk {
  alignas(64) float outer[kPairLanes];

  void begin(const Table4Nested& nested) { std::memcpy(outer, nested.outer, sizeof outer); }
  void begin_pair(const Table4Nested& nested, std::int64_t pair) {
    for (int i = nested.first[pair]; i >= 0; i = nested.changes[i].next) {
      outer[nested.changes[i].lane] = nested.changes[i].outer;
    }
  }
};

/// kExpandPair(nested, codes[64], outer[64], out): the scales of one pair of blocks, out[2][32].
template <auto kExpandPair>
void expand_scales(const Table4Nested& nested, std::int64_t pairs, float* out) {
  NestedWalk walk;
  walk.begin(nested);
  for (std::int64_t pair = 0; pair < pairs; ++pair) {
    walk.begin_pair(nested, pair);
    kExpandPair(nested, nested.codes + pair * kPairLanes, walk.outer, out + pair * kPairLanes);
  }
}

/// Where a panel's loop is. Nested scales are expanded a pair of blocks at a time, while the next
/// codes come from memory.
template <Scaling kScaling, auto kExpandPair>
struct PanelWalk {
  const Table4Scales* from;
  const std::uint8_t* codes;
  const float* scales;
  const std::uint8_t* zeros;
  std::int64_t left;
  NestedWalk nested;
  alignas(64) float pair_scales[kPairLanes];

  void begin(const Table4TileArgs& a) {
    from = &a.scales;
    codes = a.codes;
    scales = a.scales.scales;
    zeros = a.scales.zeros;
    left = a.scales.blocks;
    if constexpr (kScaling == Scaling::nested) nested.begin(*a.scales.nested);
  }
  void begin_block(std::int64_t block) {
    if (kScaling != Scaling::nested || block % 2 != 0) return;
    const std::uint8_t* const pair_codes = from->nested->codes + block * (kPairLanes / 2);
    __builtin_prefetch(pair_codes + kScalesAhead);
    nested.begin_pair(*from->nested, block / 2);
    kExpandPair(*from->nested, pair_codes, nested.outer, pair_scales);
    scales = pair_scales;
  }
  void end_block() {
    if (--left > 0) return;
    left = from->blocks;
    scales += 32;
    if (kScaling == Scaling::zeros) zeros += 32;
  }
};

}  // namespace
}  // namespace plimsoll::kernels
