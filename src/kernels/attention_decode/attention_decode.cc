#include "kernels/attention_decode/attention_decode.h"

#include <array>

#include "core/threads.h"
#include "kernels/attention_tile/attention_tile.h"

namespace plimsoll::kernels {

namespace {

void run(const AttentionArgs& args, const AttentionTileKernels& kernels) {
  const AttentionTiles tiles(args, kernels);
  const std::int64_t rows = tiles.rows();
  const std::int64_t heads = args.kv.layout.kv_heads;
  const std::int64_t first = tiles.first_split(0);
  const std::int64_t splits = tiles.last_split(rows) - first;
  std::vector<std::byte> q(static_cast<std::size_t>(heads * rows * tiles.packed_bytes()));
  AttentionStates parts(heads * splits * rows, tiles.padded_dim());
  for (std::int64_t head = 0; head < heads; ++head) {
    tiles.pack(head, 0, rows, q.data() + head * rows * tiles.packed_bytes());
  }
  parallel_for(heads * splits, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t item = begin; item < end; ++item) {
      const std::int64_t head = item / splits;
      for (std::int64_t row = 0; row < rows; row += kAttentionRows) {
        // A part that sees nothing stays that of no keys.
        tiles.run(head, row, std::min(row + kAttentionRows, rows),
                  q.data() + (head * rows + row) * tiles.packed_bytes(), first + item % splits,
                  row == 0, parts.at(item * rows + row));
      }
    }
  });
  AttentionStates total(rows, tiles.padded_dim());
  for (std::int64_t head = 0; head < heads; ++head) {
    total.clear();
    for (std::int64_t split = 0; split < splits; ++split) {
      tiles.merge(total.at(0), parts.at((head * splits + split) * rows), rows);
    }
    tiles.finish(head, 0, rows, total.at(0));
  }
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
