// What the kernel of gemm_packed is launched with, and the launches, one a format and operand.
#pragma once

#include <cuda.h>

#include "kernels/gemm_packed/gemm_packed_cuda.h"

namespace plimsoll::kernels::gemm_packed {

/// Tiles of weights of a block, one a warp.
inline constexpr int kBlockTiles = 8;
inline constexpr int kBlockRows = kBlockTiles * gemv::kTileRows;
/// The same with 4-bit tables: more where a token's sums leave the registers for it.
constexpr int table_block_tiles(int tokens) {
  return tokens <= 64 ? 16 : 8;
}
/// Most blocks that share a tile of the result, each with a part of the columns.
inline constexpr int kMostSplits = 8;

struct Plan {
  Args args;
  gemv::DeviceWeights w;
  const unsigned char* panels = nullptr;  // see PanelArgs
  const float* token_scales = nullptr;
  std::int64_t padded = 0;  // tokens of the panels
  int blocks = 0;           // of columns
  int token_tiles = 0;
  int weight_tiles = 0;    // blocks' rows
  int splits = 1;          // blocks of a cluster that share a tile of the result, or
  bool share = false;      // two blocks of a cluster have the same tokens and bring each other half
  float weight_scale = 0;  // int8: quant::kInt8WeightScale
  /// LLM.int8()'s, see MixedPanelArgs.
  const std::uint32_t* listed = nullptr;
  const float* code_scales = nullptr;
  CUtensorMap codes = {};  // [tiles, words], boxes of a chunk of kBlockTiles tiles
};

using Launch = void (*)(const Plan& plan, cudaStream_t stream);

/// For 32, 64, 128 or 256 tokens a block.
Launch dense_launch(gemv::Format format, Operand operand, int tokens);
Launch byte_launch(gemv::Format format, Operand operand, int tokens);
/// int8 with outliers.
Launch mixed_launch(int tokens);
Launch table4_launch(gemv::Format format, int tokens);  // and for 16

}  // namespace plimsoll::kernels::gemm_packed
