// What the ISA files of gemm_int8_panels implement. Raw pointers only, since they include this.
#pragma once

#include <cstdint>

namespace plimsoll::kernels {

/// One panel times one tile of rows:
///   y[r][n] = (sum - offsets[r] - zeros[n]) * x_scales[r] * scales[n] * factor
/// with sum = (codes of w + 128) (codes of x), and the products of the last line in this order.
struct Int8TileArgs {
  const std::uint8_t* w;  // [steps][32][4]: code + 128
  const void* x;          // [steps][rows of the tile][4] codes, i8 (AVX-512) or i16 (AVX2)
  std::int64_t steps;
  const std::int32_t* offsets;  // [rows]: 128 times the sum of the row's codes
  const float* x_scales;        // [rows]
  const std::int32_t* zeros;    // [outputs], or null for none
  const float* scales;          // [outputs]
  float factor;
  float* y;  // the tile's first row, the panel's first output
  std::int64_t y_stride;
  std::int64_t rows;     // to write, at most the tile's
  std::int64_t outputs;  // to write, at most 32
};
using Int8Tile = void (*)(const Int8TileArgs&);

struct Int8PanelKernels {
  const int* sizes;  // rows of a tile, ascending from 1
  const Int8Tile* tiles;
  int count;
  int words;  // of x a step and row: 1 for i8, 2 for i16
  /// The largest magnitude below `limit` of x[count].
  float (*largest_below)(const float* x, std::int64_t count, float limit);
  /// codes[i] = x[i] * scale, rounded to nearest even, 0 where |x[i]| >= limit. Returns their sum.
  std::int32_t (*quantize)(const float* x, std::int64_t count, float limit, float scale,
                           std::int8_t* codes);
};
extern const Int8PanelKernels kInt8PanelsAvx2;
extern const Int8PanelKernels kInt8PanelsAvx512;

}  // namespace plimsoll::kernels
