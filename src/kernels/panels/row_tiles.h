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

/// Panels that a thread takes at a time: a few that stay in L2 for all tiles. With one tile they
/// are a stream, in pieces that pay for fetching the next (waking another thread costs what 64 KiB
/// take to read) and of which each thread has several.
inline std::int64_t panels_at_once(std::int64_t panels, std::int64_t panel_bytes,
                                   std::size_t tiles) {
  constexpr std::int64_t kPieceBytes = 64 << 10;
  const auto share = [&](std::int64_t pieces) {
    return std::max<std::int64_t>(1, panels / (pieces * threads()));
  };
  if (tiles > 1) return std::clamp<std::int64_t>(kCachedPanelBytes / panel_bytes, 1, share(4));
  return std::max(share(16), (kPieceBytes + panel_bytes - 1) / panel_bytes);
}

/// body(panel, tile) for every pair, panels in parallel: few panels at a time, each read from
/// memory once whatever the number of tiles.
template <class Body>
void for_each_tile(const RowTiles& x, std::int64_t panels, std::int64_t panel_bytes,
                   const Body& body) {
  const std::int64_t group = panels_at_once(panels, panel_bytes, x.tiles().size());
  parallel_for_free(panels, group, [&](std::int64_t begin, std::int64_t end) {
    for (const RowTile& tile : x.tiles()) {
      for (std::int64_t panel = begin; panel < end; ++panel) body(panel, tile);
    }
  });
}

}  // namespace plimsoll::kernels
