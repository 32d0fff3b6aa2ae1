#include "kernels/attention_decode/attention_decode.h"

#include <array>

#include "core/threads.h"
#include "kernels/attention_tile/attention_tile.h"

namespace plimsoll::kernels {

namespace {

/// Neighbouring KV heads' keys in a block that are read as one run, at most: longer runs fetch
/// faster, but a tile of all of them must stay in the second-level cache.
constexpr std::int64_t kRunBytes = std::int64_t{16} << 10;
/// Merges of a row's parts that are worth a thread.
constexpr std::int64_t kMergeGrain = 128;

/// How many KV heads go through the tiles together: of those that leave the busiest thread least to
/// do, the most.
std::int64_t heads_together(const kv::KvLayout& layout, std::int64_t splits) {
  std::int64_t best = 1, least = 0;
  for (std::int64_t heads = 1; heads <= layout.kv_heads; ++heads) {
    if (layout.kv_heads % heads != 0 || (heads > 1 && heads * layout.head_bytes() > kRunBytes)) {
      continue;
    }
    const std::int64_t items = layout.kv_heads / heads * splits;
    const std::int64_t work = (items + threads() - 1) / threads() * heads;
    if (heads == 1 || work <= least) {
      best = heads;
      least = work;
    }
  }
  return best;
}

void run(const AttentionArgs& args, const AttentionTileKernels& kernels) {
  const AttentionTiles tiles(args, kernels);
  const std::int64_t rows = tiles.rows();
  const std::int64_t heads = args.kv.layout.kv_heads;
  const std::int64_t first_tile = tiles.first_tile(0), last_tile = tiles.last_tile(rows);
  const std::int64_t first_split = first_tile / kAttentionSplitTiles;
  const std::int64_t splits =
      (last_tile + kAttentionSplitTiles - 1) / kAttentionSplitTiles - first_split;
  std::vector<std::byte> q(static_cast<std::size_t>(heads * rows * tiles.packed_bytes()));
  AttentionStates parts;
  parts.resize(heads * splits * rows, tiles.padded_dim());
  parts.clear(heads * splits * rows);
  for (std::int64_t head = 0; head < heads; ++head) {
    tiles.pack(head, 0, rows, q.data() + head * rows * tiles.packed_bytes());
  }
  const std::int64_t together = heads_together(args.kv.layout, splits);
  const std::int64_t items = heads / together * splits;
  parallel_for(items, tiles.grain(items), [&](std::int64_t begin, std::int64_t end) {
    AttentionLookAhead look_ahead;
    for (std::int64_t item = begin; item < end; ++item) {
      const std::int64_t first_head = item / splits * together;
      const std::int64_t split = item % splits;
      const std::int64_t split_tile = (first_split + split) * kAttentionSplitTiles;
      const std::int64_t tile_end = std::min(split_tile + kAttentionSplitTiles, last_tile);
      for (std::int64_t tile = std::max(split_tile, first_tile); tile < tile_end; ++tile) {
        AttentionAhead* const ahead =
            look_ahead.at(args, first_head, together, tile + 1, last_tile);
        for (std::int64_t head = first_head; head < first_head + together; ++head) {
          for (std::int64_t row = 0; row < rows; row += kAttentionRows) {
            tiles.run(head, row, std::min(row + kAttentionRows, rows),
                      q.data() + (head * rows + row) * tiles.packed_bytes(), tile, ahead,
                      parts.at((head * splits + split) * rows + row));
          }
        }
      }
    }
  });
  const std::int64_t grain = std::max<std::int64_t>(1, kMergeGrain / (splits * rows));
  parallel_for(heads, grain, [&](std::int64_t begin, std::int64_t end) {
    AttentionStates total;
    total.resize(rows, tiles.padded_dim());
    for (std::int64_t head = begin; head < end; ++head) {
      total.clear(rows);
      for (std::int64_t split = 0; split < splits; ++split) {
        tiles.merge(total.at(0), parts.at((head * splits + split) * rows), rows);
      }
      tiles.finish(head, 0, rows, total.at(0));
    }
  });
}

const std::array<KernelVariant<AttentionArgs>, 4> kVariants{{
    {"attention_decode_bf16_avx512", Isa::avx512_bf16, attention_dot_takes,
     [](const AttentionArgs& args) { run(args, kAttentionTileAvx512Bf16); }},
    {"attention_decode_avx512", Isa::avx512, attention_tile_takes,
     [](const AttentionArgs& args) { run(args, kAttentionTileAvx512); }},
    {"attention_decode_avx2", Isa::avx2, attention_tile_takes,
     [](const AttentionArgs& args) { run(args, kAttentionTileAvx2); }},
    {"attention_ref", Isa::scalar, nullptr, attention_ref},
}};

}  // namespace

std::span<const KernelVariant<AttentionArgs>> attention_decode_variants() {
  return kVariants;
}

}  // namespace plimsoll::kernels
