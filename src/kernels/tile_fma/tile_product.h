// y = x W^T for weights that are decoded on the way: what the quantised linear kernels share.
#pragma once

#include <cstdint>
#include <functional>

#include "core/tensor.h"
#include "kernels/linear_args.h"
#include "kernels/tile_fma/tile_fma.h"

namespace plimsoll::kernels {

/// The oracle of the formats whose product is defined by their decoded weights: every weight row
/// decoded by quant::decode_rows and multiplied in double precision. Takes all that the contract
/// allows; in parallel over the output rows.
void multiply_decoded_rows(const LinearArgs& args);

/// Activations rearranged as a kernel wants them: `depth` (the columns, padded with zeros) fp32 a
/// row.
struct PackedActivations {
  Tensor values;            // f32 [rows, stride]
  std::int64_t depth = 0;   // a multiple of kTileLanes
  std::int64_t stride = 0;  // depth and a little, see TileFmaArgs
  const float* row(std::int64_t r) const { return values.data<float>() + r * stride; }
};

/// Zero-filled, with `columns` rounded up to a multiple of `group`; the caller fills it.
PackedActivations make_packed(std::int64_t rows, std::int64_t columns, std::int64_t group);

/// Decodes weights of outputs [begin, end) at packed positions [depth_begin, depth_end) into
/// tile[n - begin][k - depth_begin], in the order in which the activations are packed and zero
/// where they are padding. depth_begin is a multiple of kTileDepth.
using DecodeTile =
    std::function<void(std::int64_t begin, std::int64_t end, std::int64_t depth_begin,
                       std::int64_t depth_end, float* tile, std::int64_t tile_stride)>;

inline constexpr std::int64_t kTileDepth = 2048;

/// y [rows, outputs] = x W^T, tile by tile: a thread decodes kTileOutputs x kTileDepth weights into
/// a buffer that fits half an L2 and multiplies all rows by it. In parallel over outputs.
void multiply_tiles(const PackedActivations& x, std::int64_t rows, std::int64_t outputs,
                    const DecodeTile& decode, TileFma tile_fma, float* y);

}  // namespace plimsoll::kernels
