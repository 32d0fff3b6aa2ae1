// The other side of a panel product: rows of x in tiles, and the walk over panels and tiles.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/tensor.h"
#include "core/threads.h"
#include "kernels/panels/panels.h"

namespace plimsoll::kernels {

/// Up to `size` rows of x, interleaved: words [count][size], word w of row r at w * size + r.
struct RowTile {
  std::int64_t first;          // row
  std::int64_t rows;           // that exist; the tile's others are zero
  std::size_t kernel;          // place of `size` in the list of sizes
  const std::uint32_t* words;  // [count][size]
};

/// Rows of x as a kernel wants them, `count` words each.
class RowTiles {
 public:
  /// Writes one row's words; rows come in any order, from several threads.
  using Prepare = std::function<void(std::int64_t row, std::uint32_t* words)>;

  /// Whole tiles of the largest of `sizes` (ascending, the first is 1) and one of the least that
  /// holds the rest.
  RowTiles(std::int64_t rows, std::int64_t count, std::span<const int> sizes,
           const Prepare& prepare);

  std::span<const RowTile> tiles() const { return tiles_; }

 private:
  Tensor words_;
  std::vector<RowTile> tiles_;
};

/// Bytes of panels that stay in a core's L2 while all tiles pass over them.
inline constexpr std::int64_t kCachedPanelBytes = 384 << 10;

/// body(panel, tile) for every pair, panels in parallel: few panels at a time, each read from
/// memory once whatever the number of tiles.
template <class Body>
void for_each_tile(const RowTiles& x, std::int64_t panels, std::int64_t panel_bytes,
                   const Body& body) {
  // Waking another thread costs a few microseconds: what 128 KiB take to read.
  const std::int64_t grain = 1 + (128 << 10) / panel_bytes;
  const std::int64_t group = std::max<std::int64_t>(1, kCachedPanelBytes / panel_bytes);
  parallel_for(panels, x.tiles().size() > 1 ? 1 : grain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t first = begin; first < end; first += group) {
      const std::int64_t last = std::min(first + group, end);
      for (const RowTile& tile : x.tiles()) {
        for (std::int64_t panel = first; panel < last; ++panel) body(panel, tile);
      }
    }
  });
}

}  // namespace plimsoll::kernels
