// What a warp of attention_prefill_cuda.cu holds of its 16 rows: queries, scores and sums.
#pragma once

#include "kernels/attention_prefill/prefill_plan_cuda.cuh"

namespace plimsoll::kernels::prefill {

inline constexpr int kWarps = 4;
inline constexpr int kThreads = kWarps * 32;
inline constexpr int kRows = kWarps * 16;
inline constexpr int kTileBlocks = 4;
inline constexpr int kTileTokens = kTileBlocks * kBlockTokens;

/// One span's launch.
struct SpanPlan : PrefillPlan {
  explicit SpanPlan(const PrefillPlan& plan) : PrefillPlan(plan) {}
  PrefillSpan span;
  int slot = 0;  // bytes of a block's keys (or values) in shared memory
};

/// The blocks of a tile that some row of the group sees: the others were not read.
struct Blocks {
  int from, to;
  __device__ bool has(int block) const { return block >= from && block < to; }
};

/// Rows of queries as operand A: register i of lane 4 g + t is row g + 8 (i % 2), columns 2 t + 8
/// (i / 2) and the next. Rows from `rows` on are zero.
template <KvFormat kFormat>
__device__ uint4 load_queries(const float* q, std::int64_t stride, int rows, int tile, int head_dim,
                              int lane) {
  const auto pair = [&](int row, int column) {
    float2 value{};
    if (row < rows && column < head_dim) {
      value = *reinterpret_cast<const float2*>(q + row * stride + column);
    }
    return pack16<kFormat>(value.x, value.y);
  };
  const int row = lane / 4;
  const int column = tile * 16 + lane % 4 * 2;
  return {pair(row, column), pair(row + 8, column), pair(row, column + 8),
          pair(row + 8, column + 8)};
}

/// A warp's 16 rows over the keys so far; a lane has rows g and g + 8.
template <KvFormat kFormat, int kTiles>
struct Rows {
  float largest[2];  // score, before the softmax's scale
  float total[2];    // of this lane's tokens
  float unit = 0;    // int8: o is in units of the largest value scale so far
  float o[2 * kTiles][4];
  int tiles;
  int lane;
  int seen_from, last;  // tokens that some row of the group sees: others may not have been written

  __device__ Rows(int tiles_of, int lane_of, int seen_from_of, int last_of)
      : largest{minus_infinity(), minus_infinity()},
        total{},
        o{},
        tiles(tiles_of),
        lane(lane_of),
        seen_from(seen_from_of),
        last(last_of) {}

  /// Scores become weights of the softmax so far. s: 64 tokens, block b's in s[2 b] and s[2 b + 1].
  /// position: of row g. Keys [position - window + 1, position] are seen (window 0: [0, position]);
  /// kWhole: all of the tile are, by every row of the group.
  template <bool kWhole>
  __device__ void weigh(float (&s)[2 * kTileBlocks][4], const SpanPlan& plan, int position,
                        int first_token, const Blocks& blocks, const unsigned char* keys,
                        const unsigned char* values) {
    constexpr bool kScaled = kFormat == KvFormat::int8;
    const auto window = static_cast<int>(plan.args.window);
    float high[2] = {largest[0], largest[1]};
    float value_scale[2 * kTileBlocks][2];
    float new_unit = unit;
#pragma unroll
    for (int n = 0; n < 2 * kTileBlocks; ++n) {
      const int in_block = n % 2 * 8 + lane % 4 * 2;
      const bool there = kWhole || blocks.has(n / 2);
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        if constexpr (kScaled) {
          const auto* scales =
              reinterpret_cast<const float*>(keys + n / 2 * plan.slot + plan.sizes.head);
          if (there) s[n][j] *= scales[in_block + j % 2];
        }
        const int row = position + j / 2 * 8;
        const int token = first_token + n * 8 + lane % 4 * 2 + j % 2;
        const bool seen = kWhole || (token <= row && (window == 0 || token > row - window));
        s[n][j] = seen ? s[n][j] : minus_infinity();
        high[j / 2] = fmaxf(high[j / 2], s[n][j]);
      }
      if constexpr (kScaled) {
        const auto* scales =
            reinterpret_cast<const float*>(values + n / 2 * plan.slot + plan.sizes.head);
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          const int token = first_token + n * 8 + lane % 4 * 2 + j;
          value_scale[n][j] =
              kWhole || (there && token >= seen_from && token <= last) ? scales[in_block + j] : 0;
          new_unit = fmaxf(new_unit, value_scale[n][j]);
        }
      }
    }
    float shrink[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      high[i] = fmaxf(high[i], __shfl_xor_sync(0xffffffffu, high[i], 1));
      high[i] = fmaxf(high[i], __shfl_xor_sync(0xffffffffu, high[i], 2));
      // No key seen yet: nothing to shrink, all weights are 2^-inf = 0.
      const float base = high[i] == minus_infinity() ? 0 : high[i];
      shrink[i] = power_of_two((largest[i] - base) * plan.factor);
      largest[i] = high[i];
      high[i] = -base * plan.factor;
      total[i] *= shrink[i];
    }
#pragma unroll
    for (int n = 0; n < 2 * kTileBlocks; ++n) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        s[n][j] = power_of_two(fmaf(s[n][j], plan.factor, high[j / 2]));
        total[j / 2] += s[n][j];
      }
    }
    if constexpr (kScaled) {
      new_unit = cuda_device::warp_max(new_unit);
      const float inverse = new_unit > 0 ? 1 / new_unit : 0;
#pragma unroll
      for (int n = 0; n < 2 * kTileBlocks; ++n) {
#pragma unroll
        for (int j = 0; j < 4; ++j) s[n][j] *= value_scale[n][j % 2] * inverse;
      }
      const float by = new_unit > 0 ? unit * inverse : 1;
      shrink[0] *= by;
      shrink[1] *= by;
      unit = new_unit;
    }
    if (__all_sync(0xffffffffu, shrink[0] == 1 && shrink[1] == 1)) return;
#pragma unroll
    for (int n = 0; n < 2 * kTiles; ++n) {
      if (!kExactTiles<kTiles> && n >= 2 * tiles) break;
#pragma unroll
      for (int j = 0; j < 4; ++j) o[n][j] *= shrink[j / 2];
    }
  }

  /// o += weights times values.
  template <bool kWhole>
  __device__ void mix(const float (&s)[2 * kTileBlocks][4], const unsigned char* values, int slot,
                      int first_token, const Blocks& blocks) {
#pragma unroll
    for (int b = 0; b < kTileBlocks; ++b) {
      if (!kWhole && !blocks.has(b)) continue;
      const uint4 p{pack16<kFormat>(s[2 * b][0], s[2 * b][1]),
                    pack16<kFormat>(s[2 * b][2], s[2 * b][3]),
                    pack16<kFormat>(s[2 * b + 1][0], s[2 * b + 1][1]),
                    pack16<kFormat>(s[2 * b + 1][2], s[2 * b + 1][3])};
      const int before = first_token + b * kBlockTokens;
      const ValueMask mask(seen_from - before, last + 1 - before, lane);
#pragma unroll
      for (int tile = 0; tile < kTiles; ++tile) {
        if (!kExactTiles<kTiles> && tile >= tiles) break;
        uint4 v = value_operand<kFormat>(values + b * slot, tiles, tile, lane);
        if (!kWhole) v = mask.keep(v);
        mma16<kFormat>(o[2 * tile], p, v.x, v.z);
        mma16<kFormat>(o[2 * tile + 1], p, v.y, v.w);
      }
    }
  }

  /// to: row 0's output of the head; rows from `rows` on are not written.
  __device__ void write(float* to, std::int64_t stride, int rows, int head_dim) {
    const float scale = kFormat == KvFormat::int8 ? unit : 1;
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      total[i] += __shfl_xor_sync(0xffffffffu, total[i], 1);
      total[i] += __shfl_xor_sync(0xffffffffu, total[i], 2);
      const int row = lane / 4 + 8 * i;
      if (row >= rows) continue;
#pragma unroll
      for (int n = 0; n < 2 * kTiles; ++n) {
        const int column = n * 8 + lane % 4 * 2;
        if (column >= head_dim) break;
        *reinterpret_cast<float2*>(to + row * stride + column) = {
            o[n][2 * i] * scale / total[i], o[n][2 * i + 1] * scale / total[i]};
      }
    }
  }
};

}  // namespace plimsoll::kernels::prefill
