// What the ISA files of gemm_dense_panels implement. Raw pointers only, since they include this.
//
// E4M3 is SEEEEMMM with bias 7, binary16 SEEEEEMMMMMMMMMM with bias 15: with the code's exponent
// and mantissa moved to bits 13..7 of a binary16 and its sign to bit 15, the half is the code's
// value times 2^-8, subnormals included. That factor goes into the scale at the end.
#pragma once

#include <cstdint>

namespace plimsoll::kernels {

inline constexpr float kF8HalfScale = 256;

/// One panel times one tile of rows.
struct DenseTileArgs {
  const void* w;  // the panel: [steps][32] units
  const void* x;  // [steps * words of x a step][rows of the tile] words
  std::int64_t steps;
  const float* scales;  // [outputs] of the finished sums, or null for none
  float* y;             // the tile's first row, the panel's first output
  std::int64_t y_stride;
  std::int64_t rows;     // to write, at most the tile's
  std::int64_t outputs;  // to write, at most 32
};
using DenseTile = void (*)(const DenseTileArgs&);

/// Tiles of one weight format, one function a size.
struct DenseTiles {
  const int* sizes;  // rows, ascending from 1
  const DenseTile* tiles;
  int count;
};

/// x in fp32: a word a column.
struct DensePanelKernels {
  DenseTiles f32, f16, bf16, f8;
};
extern const DensePanelKernels kDensePanelsAvx2;
extern const DensePanelKernels kDensePanelsAvx512;

/// x in bf16: a word is two columns, a step.
struct Bf16PanelKernels {
  DenseTiles bf16, f8;
};
extern const Bf16PanelKernels kBf16PanelsAvx512Bf16;
/// Rounds to nearest even.
void round_to_bf16_avx512(const float* x, std::int64_t count, std::uint16_t* out);

}  // namespace plimsoll::kernels
