// What the ISA files of attention_tile implement, in plain pointers. See attention_tile.h for what
// is computed and in which order.
#pragma once

#include <cstddef>
#include <cstdint>

namespace plimsoll::kernels {

/// Query rows that one call takes at most; tokens between two looks at the running maximum; tokens
/// of a split. Tiles and splits begin at multiples of their size: absolute positions.
inline constexpr std::int64_t kAttentionRows = 8;
inline constexpr std::int64_t kAttentionTile = 64;
inline constexpr std::int64_t kAttentionSplit = 512;
inline constexpr std::int64_t kAttentionSplitTiles = kAttentionSplit / kAttentionTile;

/// Lanes of the widest registers.
inline constexpr std::int64_t kAttentionLanes = 16;

/// Softmax over some keys, unfinished. out = sum of 2^(score - largest) value, totals = sums of
/// 2^(score - largest) over the keys of each lane. No keys: largest is minus infinity, the others
/// zero.
struct AttentionState {
  float* largest;  // [rows]
  float* totals;   // [rows, kAttentionLanes]
  float* out;      // [rows, padded_dim]
};

/// Memory that will be read soon, for a kernel to fetch into the second-level cache while it
/// computes, line by line.
struct AttentionAhead {
  const std::byte* line = nullptr;  // the next one, up to
  const std::byte* end = nullptr;
  const std::byte* const* next = nullptr;  // pieces that follow, up to
  const std::byte* const* last = nullptr;
  std::int64_t piece_bytes = 0;
};

/// Query rows of one KV head over a tile.
struct AttentionPart {
  const std::byte* q;         // [rows, padded_dim] as packed
  std::int64_t rows;          // 1 to kAttentionRows
  const std::int64_t* begin;  // [rows]: the keys that each row sees, [begin, end)
  const std::int64_t* end;
  const std::byte* keys;  // of this head in block 0; layouts in kv/kv_view.h
  const std::byte* values;
  const float* key_scales;  // int8: of this head in block 0
  const float* value_scales;
  const std::int32_t* table;
  std::int64_t block_bytes;
  std::int64_t block_scales;
  std::int64_t head_dim;
  std::int64_t padded_dim;
  std::int64_t first_block;  // blocks [first_block, last_block): of one tile, and all held
  std::int64_t last_block;
  AttentionAhead* ahead;  // null: nothing to fetch
};

/// Adds the tile to `state`, which holds keys before it.
using AttentionPartKernel = void (*)(const AttentionPart& part, const AttentionState& state);

struct AttentionTileKernels {
  /// q [head_dim] times `scale` into [padded_dim] f32, zeros in the padding.
  void (*pack)(const float* q, std::int64_t head_dim, std::int64_t padded_dim, float scale,
               std::byte* target);
  /// By format of keys and values.
  AttentionPartKernel f32, bf16, fp16, int8;
  /// total = total + part, for keys of `part` that come after those of `total`.
  void (*merge)(const AttentionState& total, const AttentionState& part, std::int64_t rows,
                std::int64_t padded_dim);
  /// One row's out / sum of totals into [head_dim].
  void (*finish)(const float* out, const float* totals, std::int64_t head_dim, float* target);
};

extern const AttentionTileKernels kAttentionTileAvx2;
extern const AttentionTileKernels kAttentionTileAvx512;
/// pack rounds q to bf16 (half the bytes), weights are rounded to bf16, products go through
/// vdpbf16ps. Only bf16 is there.
extern const AttentionTileKernels kAttentionTileAvx512Bf16;

}  // namespace plimsoll::kernels
