// What the ISA files of gemm_table4_panels implement. Raw pointers only, since they include this.
#pragma once

#include <cstdint>

namespace plimsoll::kernels {

/// Of a pair of blocks: 32 outputs in each.
inline constexpr int kPairLanes = 64;

/// An output whose nested scale changes on the way through a panel.
struct Table4Change {
  int lane;  // place 32 i + n: output n in block i of a pair
  int next;  // another one at the same pair; -1: none
  float outer;
};

/// Double quantisation: scale = map[code] * outer + offset.
struct Table4Nested {
  const std::uint8_t* codes;   // [pairs][64], placed as panels.h says
  const std::uint8_t* planes;  // the bytes of the map's 256 floats, the lowest of all of them first
  const float* map;            // [256]
  float offset;
  const float* outer;  // [64], of the first pair
  const int* first;    // [pairs]: the first change at a pair, counted in `changes`; -1: none
  const Table4Change* changes;
};

/// Scales of a panel, one for `blocks` blocks of 64 columns after each other, and the zero points
/// that come off the levels.
struct Table4Scales {
  const float* scales;         // [groups][32]; null: nested
  const std::uint8_t* zeros;   // [groups][32], or null for none
  std::int64_t blocks;         // in a group; the last may be short
  const Table4Nested* nested;  // or null for none
};

/// One panel times one tile of rows:
///   y[r][n] = sum over blocks b of  x_scales[r][b] * scales[b][n] * (integer sum of the block)
/// of x (level - zero).
struct Table4TileArgs {
  const std::uint8_t* codes;  // [blocks][8 steps][32][4]
  const std::int8_t* levels;  // [16], +-127; with zeros 0 to 15
  const std::uint32_t* x;     // [blocks][16 words][rows of the tile]: four i8 codes a word
  std::int64_t blocks;        // of 64 columns
  Table4Scales scales;
  const float* x_scales;       // [rows][blocks]
  const std::int32_t* x_sums;  // [rows][blocks]: sum of the block's codes
  float* y;                    // the tile's first row, the panel's first output
  std::int64_t y_stride;
  std::int64_t rows;     // to write, at most the tile's
  std::int64_t outputs;  // to write, at most 32
};
/// Of neighbouring panels that share all but codes, scales, y and outputs.
using Table4Tile = void (*)(const Table4TileArgs* panels);

struct Table4PanelKernels {
  const int* sizes;         // rows of a tile, ascending from 1
  const Table4Tile* tiles;  // one panel
  int count;
  Table4Tile two_panels;  // times one row; null: there is none
  /// x[64 * blocks] to codes = rint(x * 127 / absmax), scales = absmax / 127 and sums, a block of
  /// 64 at a time.
  void (*quantize)(const float* x, std::int64_t blocks, std::int8_t* codes, float* scales,
                   std::int32_t* sums);
  /// Scales of a whole panel into out[pairs][2][32].
  void (*expand_scales)(const Table4Nested& nested, std::int64_t pairs, float* out);
  /// A whole panel in fp32: out[64 * blocks][32] = (table[code] - zeros) * scales.
  void (*decode)(const std::uint8_t* codes, std::int64_t blocks, const float* table,
                 const Table4Scales& scales, float* out);
  /// out[count] = in[count], from binary16, count a multiple of 32.
  void (*widen)(const std::uint16_t* in, std::int64_t count, float* out);
};
extern const Table4PanelKernels kTable4PanelsAvx2;
extern const Table4PanelKernels kTable4PanelsAvx512;

}  // namespace plimsoll::kernels
