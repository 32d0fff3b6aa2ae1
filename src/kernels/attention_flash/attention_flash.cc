#include "kernels/attention_flash/attention_flash.h"

#include <array>

#include "core/threads.h"
#include "kernels/attention_tile/attention_tile.h"

namespace plimsoll::kernels {

namespace {

// Rows that walk the keys together: a split's keys and values are then read from memory once for
// 64 rows and stay in the second-level cache for the groups of eight.
constexpr std::int64_t kTileRows = 64;

/// A thread keeps it from one call to the next: asking for memory takes longer than attention of a
/// token that sees few others.
struct Scratch {
  std::vector<std::byte> q;
  AttentionStates total, part;
};

/// The index-th in 0, n-1, 1, n-2, ...: early queries see few keys and late ones many, so that any
/// run of such pairs is the same work.
std::int64_t balanced(std::int64_t index, std::int64_t n) {
  return index % 2 == 0 ? index / 2 : n - 1 - index / 2;
}

void run(const AttentionArgs& args, const AttentionTileKernels& kernels) {
  const AttentionTiles tiles(args, kernels);
  const std::int64_t count = (tiles.rows() + kTileRows - 1) / kTileRows;
  const std::int64_t items = args.kv.layout.kv_heads * count;
  parallel_for(items, tiles.grain(items), [&](std::int64_t first, std::int64_t last) {
    thread_local Scratch scratch;
    auto& [q, total, part] = scratch;
    const std::int64_t most = std::min(kTileRows, tiles.rows());
    q.resize(static_cast<std::size_t>(most * tiles.packed_bytes()));
    total.resize(most, tiles.padded_dim());
    part.resize(kAttentionRows, tiles.padded_dim());
    AttentionLookAhead ahead;
    for (std::int64_t item = first; item < last; ++item) {
      const std::int64_t head = item / count;
      const std::int64_t begin = balanced(item % count, count) * kTileRows;
      const std::int64_t end = std::min(begin + kTileRows, tiles.rows());
      tiles.pack(head, begin, end, q.data());
      total.clear(end - begin);
      const std::int64_t first_tile = tiles.first_tile(begin), last_tile = tiles.last_tile(end);
      for (std::int64_t tile = first_tile; tile < last_tile;) {
        const std::int64_t split_end =
            std::min((tile / kAttentionSplitTiles + 1) * kAttentionSplitTiles, last_tile);
        for (std::int64_t row = begin; row < end; row += kAttentionRows) {
          const std::int64_t row_end = std::min(row + kAttentionRows, end);
          // What the first split leaves is the total: adding it to no keys' would change no bit.
          const bool direct = tile == first_tile;
          const AttentionState state = direct ? total.at(row - begin) : part.at(0);
          if (!direct) part.clear(row_end - row);
          for (std::int64_t t = tile; t < split_end; ++t) {
            // The first rows fetch for all.
            AttentionAhead* const next =
                row == begin ? ahead.at(args, head, 1, t + 1, last_tile) : nullptr;
            tiles.run(head, row, row_end, q.data() + (row - begin) * tiles.packed_bytes(), t, next,
                      state);
          }
          if (!direct) tiles.merge(total.at(row - begin), state, row_end - row);
        }
        tile = split_end;
      }
      tiles.finish(head, begin, end, total.at(0));
    }
  });
}

const std::array<KernelVariant<AttentionArgs>, 4> kVariants{{
    {"attention_flash_bf16_avx512", Isa::avx512_bf16, attention_dot_takes,
     [](const AttentionArgs& args) { run(args, kAttentionTileAvx512Bf16); }},
    {"attention_flash_avx512", Isa::avx512, attention_tile_takes,
     [](const AttentionArgs& args) { run(args, kAttentionTileAvx512); }},
    {"attention_flash_avx2", Isa::avx2, attention_tile_takes,
     [](const AttentionArgs& args) { run(args, kAttentionTileAvx2); }},
    {"attention_ref", Isa::scalar, nullptr, attention_ref},
}};

}  // namespace

std::span<const KernelVariant<AttentionArgs>> attention_flash_variants() {
  return kVariants;
}

}  // namespace plimsoll::kernels
