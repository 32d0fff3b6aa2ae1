// What attention_flash and attention_decode share: the softmax of some query rows over a part of
// the keys, with the score matrix never larger than a tile, and the merging of such parts.
//
// Online softmax (Milakov & Gimelshein, arXiv:1805.02867; FlashAttention-2, arXiv:2307.08691), in
// this order for every row:
//   split    512 tokens; splits are merged in their order, first to last
//   tile     64 tokens within a split, in their order: scores, running maximum, weights, output
// Both begin at multiples of their size, counted from the sequence's first token, and within them
// each sum is added in one order (attention_tile_impl.h). Which rows are computed together, on
// which thread, or what else a block holds, changes nothing: a row gets the same bits alone and in
// a prompt, from attention_flash and from attention_decode.
#pragma once

#include <array>
#include <vector>

#include "core/tensor.h"
#include "kernels/attention/attention.h"
#include "kernels/attention_tile/attention_tile_isa.h"

namespace plimsoll::kernels {

/// Rows of a KV head are its queries' heads: row r is query r / group, head r % group of the group.
class AttentionTiles {
 public:
  AttentionTiles(const AttentionArgs& args, const AttentionTileKernels& kernels);

  std::int64_t rows() const { return args_.q_len * args_.group(); }
  std::int64_t padded_dim() const { return args_.kv.layout.padded_dim(); }
  /// Bytes of a packed row.
  std::int64_t packed_bytes() const { return padded_dim() * packed_element_bytes_; }
  /// Of `count` items that split all rows and keys of all KV heads evenly: how many are worth a
  /// thread.
  std::int64_t grain(std::int64_t count) const;
  /// Tiles [first, last) that rows [begin, end) see any of.
  std::int64_t first_tile(std::int64_t begin) const;
  std::int64_t last_tile(std::int64_t end) const;

  /// Rows [begin, end) of KV head `head`, scaled and in the products' dtype.
  void pack(std::int64_t head, std::int64_t begin, std::int64_t end, std::byte* target) const;
  /// Adds the tile to the state of rows [begin, end), at most kAttentionRows, which holds the tiles
  /// of its split before this one; q as packed. `ahead` may be null.
  void run(std::int64_t head, std::int64_t begin, std::int64_t end, const std::byte* q,
           std::int64_t tile, AttentionAhead* ahead, const AttentionState& state) const;
  /// Part of the state of all of their keys, split after split.
  void merge(const AttentionState& total, const AttentionState& part, std::int64_t rows) const {
    kernels_.merge(total, part, rows, padded_dim());
  }
  /// The results of rows [begin, end) to where the arguments want them.
  void finish(std::int64_t head, std::int64_t begin, std::int64_t end,
              const AttentionState& total) const;

 private:
  const AttentionArgs& args_;
  const AttentionTileKernels& kernels_;
  AttentionPartKernel kernel_ = nullptr;
  std::int64_t packed_element_bytes_ = 4;
};

/// Keys and values of some neighbouring KV heads in a tile, as what to fetch ahead.
class AttentionLookAhead {
 public:
  /// Nothing, for a tile that is not before `last`.
  AttentionAhead* at(const AttentionArgs& args, std::int64_t first_head, std::int64_t heads,
                     std::int64_t tile, std::int64_t last);

 private:
  std::array<const std::byte*, 2 * kAttentionTile / kv::kBlockTokens> pieces_{};
  AttentionAhead ahead_;
};

/// Memory for the state of some rows.
class AttentionStates {
 public:
  /// Room for `rows`, uninitialised. Keeps the memory that it has where that is enough.
  void resize(std::int64_t rows, std::int64_t padded_dim);
  /// From `row` on.
  AttentionState at(std::int64_t row);
  /// The first `rows` as the state of no keys.
  void clear(std::int64_t rows);

 private:
  std::int64_t rows_ = 0, padded_dim_ = 0;
  Tensor memory_;  // f32: outputs, totals, maxima; each row's on cache lines
};

/// The variants' common conditions: head dim, and for the bf16 dot product compute and format.
Support attention_tile_takes(const AttentionArgs& args);
Support attention_dot_takes(const AttentionArgs& args);

}  // namespace plimsoll::kernels
