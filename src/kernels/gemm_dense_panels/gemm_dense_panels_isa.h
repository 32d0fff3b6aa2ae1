// What the ISA files of gemm_dense_panels implement. Raw pointers only, since they include this.
#pragma once

#include <cstdint>

namespace plimsoll::kernels {

/// One panel times one tile of rows.
struct DenseTileArgs {
  const void* w;  // the panel: [steps][32] words
  const void* x;  // [steps * words of x a step][rows of the tile] words
  std::int64_t steps;
  float* y;  // the tile's first row, the panel's first output
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

/// x in fp32: a word a column. 16-bit weights have two columns a step.
struct DensePanelKernels {
  DenseTiles f32, f16, bf16;
};
extern const DensePanelKernels kDensePanelsAvx2;
extern const DensePanelKernels kDensePanelsAvx512;

/// x in bf16: a word is two columns, a step.
extern const DenseTiles kBf16PanelsAvx512Bf16;
/// Rounds to nearest even.
void round_to_bf16_avx512(const float* x, std::int64_t count, std::uint16_t* out);

}  // namespace plimsoll::kernels
