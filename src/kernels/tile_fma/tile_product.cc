#include "kernels/tile_fma/tile_product.h"

#include <algorithm>
#include <vector>

#include "core/threads.h"
#include "quant/codec.h"

namespace plimsoll::kernels {

namespace {

constexpr std::int64_t kTileOutputs = 48;
// Four cache lines: see TileFmaArgs on strides.
constexpr std::int64_t kStridePadding = 64;

}  // namespace

void multiply_decoded_rows(const LinearArgs& args) {
  const quant::Matrix& weight = *args.weight;
  parallel_for(weight.rows, 1, [&](std::int64_t begin, std::int64_t end) {
    std::vector<float> decoded(static_cast<std::size_t>(weight.columns));
    for (std::int64_t n = begin; n < end; ++n) {
      quant::decode_rows(weight, n, n + 1, decoded.data());
      for (std::int64_t r = 0; r < args.rows; ++r) {
        const float* x = args.x + r * weight.columns;
        double sum = 0;
        for (std::int64_t k = 0; k < weight.columns; ++k) {
          sum +=
              static_cast<double>(x[k]) * static_cast<double>(decoded[static_cast<std::size_t>(k)]);
        }
        args.y[r * weight.rows + n] = static_cast<float>(sum);
      }
    }
  });
}

PackedActivations make_packed(std::int64_t rows, std::int64_t columns, std::int64_t group) {
  PackedActivations packed;
  packed.depth = (columns + group - 1) / group * group;
  packed.stride = packed.depth + kStridePadding;
  packed.values = Tensor::zeros(DType::f32, {rows, packed.stride});
  return packed;
}

void multiply_tiles(const PackedActivations& x, std::int64_t rows, std::int64_t outputs,
                    const DecodeTile& decode, TileFma tile_fma, float* y) {
  const std::int64_t panels = (outputs + kTileOutputs - 1) / kTileOutputs;
  const std::int64_t tile_stride = std::min(kTileDepth, x.depth) + kStridePadding;
  parallel_for(panels, 1, [&](std::int64_t first_panel, std::int64_t last_panel) {
    Tensor tile = Tensor::empty(DType::f32, {kTileOutputs, tile_stride});
    for (std::int64_t panel = first_panel; panel < last_panel; ++panel) {
      const std::int64_t begin = panel * kTileOutputs;
      const std::int64_t end = std::min(begin + kTileOutputs, outputs);
      for (std::int64_t r = 0; r < rows; ++r) {
        std::fill(y + r * outputs + begin, y + r * outputs + end, 0.0f);
      }
      for (std::int64_t depth = 0; depth < x.depth; depth += kTileDepth) {
        const std::int64_t depth_end = std::min(depth + kTileDepth, x.depth);
        decode(begin, end, depth, depth_end, tile.data<float>(), tile_stride);
        tile_fma({x.row(0) + depth, x.stride, rows, tile.data<float>(), tile_stride, end - begin,
                  depth_end - depth, y + begin, outputs});
      }
    }
  });
}

}  // namespace plimsoll::kernels
