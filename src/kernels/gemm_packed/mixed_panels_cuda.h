// Activations of LLM.int8()'s products of many rows (quant/int8.h), the tensor cores' operand B of
// its mixed-precision decomposition: chunks of 32 columns in s8, and those in which a token of the
// tile has an outlier, in f16. Which these are is found on the GPU and never leaves it.
//
// For each chunk all tokens follow each other, 64 bytes a token. A tile of tokens has of it a slab,
// which f16 fills and s8 half:
//
//   f16  token 0: [4 parts of 16 bytes], token 1, ...    part q at q ^ (token / 2 % 4)
//   s8   token 0: [2 parts of 16 bytes], token 1, ...    part q at q ^ (token / 4 % 2)
//
// as wgmma wants rows of 64 and 32 bytes, so that any chunks of a tile can stand side by side in
// shared memory. Which columns a part holds is panel_column()'s business.
//
// nvcc reads this header: it includes none that needs fmt.
#pragma once

#include "kernels/gemm_packed/panels_cuda.h"

namespace plimsoll::kernels::gemm_packed {

inline constexpr int kMixedColumns = 32;     // of a chunk
inline constexpr int kMixedTokenBytes = 64;  // of a chunk
inline constexpr int kMaskWords = gemv::kMaxColumns / kMixedColumns / 32;

/// What the first kernel finds of a row.
struct MixedRow {
  float mean, factor;  // of its norm; 0 and 1 without one
  float code;          // what codes are of: 127 over the largest magnitude below the threshold
  float inverse;       // what f16 values are of: one over PanelArgs::scales
};

/// `panels` are the slabs, [chunks + 1][padded][64] bytes; those of the last chunk, of which only
/// the first tile's is written, are zeros. `blocks` are those of 128 columns; no gather. `scales`
/// are f16's.
struct MixedPanelArgs : PanelArgs {
  float threshold = 0;             // magnitudes at or over it are outliers
  int tokens = 0;                  // of a tile, a multiple of 8
  MixedRow* mixed_rows = nullptr;  // [rows]
  /// [kMaskWords][padded]: a bit for each chunk in which the row has an outlier.
  std::uint32_t* own_outliers = nullptr;
  /// [tiles][kMaskWords]: the chunks that are in f16 for all tokens of the tile.
  std::uint32_t* listed = nullptr;
  /// [padded]: what sums of codes are multiplied by to be sums of f16's values.
  float* code_scales = nullptr;
};

/// Two kernels: what there is to know of each row, then slabs.
void make_mixed_panels(const MixedPanelArgs& args, cudaStream_t stream);

}  // namespace plimsoll::kernels::gemm_packed
