// The fp32 micro-kernel under every quantised product of many rows: the weights come as a small
// tile that was just decoded and still lies in L2. Raw pointers only, since the ISA files include
// this.
#pragma once

#include <cstdint>

namespace plimsoll::kernels {

/// y[r][n] += sum over k of x[r][k] w[n][k], products and sums in fp32 (fused).
/// All pointers are to row-major fp32; y is apart from the rest. Strides are in elements. Stride a
/// few cache lines off a power of two: else the ten rows that are read at once share one L1 set.
struct TileFmaArgs {
  const float* x;  // [rows, depth]
  std::int64_t x_stride;
  std::int64_t rows;
  const float* w;  // [outputs, depth]
  std::int64_t w_stride;
  std::int64_t outputs;
  std::int64_t depth;  // a multiple of kTileLanes
  float* y;            // [rows, outputs]
  std::int64_t y_stride;
};

inline constexpr std::int64_t kTileLanes = 16;

using TileFma = void (*)(const TileFmaArgs&);

void tile_fma_avx2(const TileFmaArgs& args);
void tile_fma_avx512(const TileFmaArgs& args);

}  // namespace plimsoll::kernels
