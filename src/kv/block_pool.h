// Memory for keys and values: fixed-size blocks, lent to sequences and taken back.
#pragma once

#include <cstdint>
#include <vector>

#include "core/tensor.h"
#include "kv/kv_view.h"

namespace plimsoll::kv {

inline std::int64_t blocks_for(std::int64_t tokens) {
  return (tokens + kBlockTokens - 1) / kBlockTokens;
}

/// What a model's cache looks like.
struct KvShape {
  std::int64_t layers = 0;
  std::int64_t kv_heads = 0;
  std::int64_t head_dim = 0;
  KvFormat format = KvFormat::f32;
  /// Keys that a query sees at most, itself included, in every layer: what lies before is dropped.
  /// 0: nothing may be dropped.
  std::int64_t window = 0;

  KvLayout layout() const { return {format, kv_heads, head_dim}; }
  /// Bytes that one token takes over all layers: keys, values and their scales.
  std::int64_t bytes_per_token() const;
  /// Tokens that a sequence has in the pool at most while it grows to `length`, by `step` tokens at
  /// a time at most.
  std::int64_t tokens_held(std::int64_t length, std::int64_t step) const;
};

/// Blocks are counted by their owners: sequences with a common prefix share its blocks. Not
/// thread-safe: one engine owns it. Sequences must not outlive it.
class BlockPool {
 public:
  /// Room for `tokens` tokens (rounded up to blocks), in a GPU's memory where one is given, else in
  /// the host's. InputError when there is not enough.
  BlockPool(const KvShape& shape, std::int64_t tokens, DeviceMemory* memory = nullptr);

  const KvShape& shape() const { return shape_; }
  std::int64_t capacity_tokens() const { return blocks_ * kBlockTokens; }
  std::int64_t free_blocks() const { return free_; }

  /// InputError saying how many tokens fit when fewer than `blocks` are free.
  void require_free(std::int64_t blocks) const;
  /// A block with one owner: the one behind `after`, a sequence's last (or -1), where that is free,
  /// so that a sequence mostly lies in one run, which memory reads faster. InputError as above when
  /// none is free.
  std::int32_t take(std::int32_t after = -1);
  /// One owner more, one owner less; without any the block is free.
  void share(std::int32_t block);
  void give_back(std::int32_t block);
  bool is_shared(std::int32_t block) const;
  /// Copies keys, values and scales of every layer.
  void copy(std::int32_t from, std::int32_t to);

  /// The layer's part of a view: layout and memory, no table. On a GPU the blocks are as large and
  /// lie as device_kv_cuda.h says.
  KvView layer(std::int64_t layer);
  std::int64_t blocks() const { return blocks_; }
  DeviceMemory* memory() const { return memory_; }

 private:
  /// Where a run can begin that will grow: the middle of the longest free run, or its begin where
  /// no block in use lies before it and may want to go on there.
  std::int32_t begin_of_run() const;

  struct Layer {
    Tensor codes;                     // u8 [blocks, layout().block_bytes()]: keys, then values
    Tensor key_scales, value_scales;  // f32 [blocks, layout().block_scales()]
  };

  KvShape shape_;
  std::int64_t blocks_;
  DeviceMemory* memory_;
  std::vector<Layer> layers_;
  std::vector<std::int32_t> owners_;  // of each block
  std::int64_t free_;
};

}  // namespace plimsoll::kv
