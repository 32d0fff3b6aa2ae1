// One sequence's place in the cache: its block table and its length.
//
//   position   0       16      32      48      64
//   table      [  -1  |  -1   |   7   |   3   ]        window 20, 59 tokens
//                              ^first          ^length
//
// Where the pool's shape has a window, blocks that no query will reach again are given back when
// the sequence grows; the table keeps its absolute index.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kv/block_pool.h"

namespace plimsoll::kv {

class Sequence {
 public:
  explicit Sequence(BlockPool& pool) : pool_(&pool) {}
  ~Sequence() { truncate(0); }
  Sequence(Sequence&& other) noexcept;
  Sequence& operator=(Sequence&& other) noexcept;
  Sequence(const Sequence&) = delete;
  Sequence& operator=(const Sequence&) = delete;

  /// A second sequence with the same tokens. Both share the blocks; whichever grows first in a
  /// block that is shared and not full gets a copy of it (copy on write).
  Sequence fork() const;

  /// Tokens read (or about to be written by the step in progress), the dropped ones too.
  std::int64_t length() const { return length_; }
  /// Those before it are dropped.
  std::int64_t first() const { return static_cast<std::int64_t>(dropped_) * kBlockTokens; }
  /// Makes room for `tokens` more. InputError when the pool is full; the sequence is then as
  /// before.
  void extend(std::int64_t tokens);
  /// Whether the keys that the token after the first `length` would see are all held.
  bool can_truncate(std::int64_t length) const;
  /// Forgets all but the first `length` tokens, for which can_truncate() must hold.
  void truncate(std::int64_t length);

  BlockPool& pool() { return *pool_; }
  /// Block ids by absolute position; -1: dropped. Valid until the sequence changes.
  std::span<const std::int32_t> table() const { return table_; }
  /// Valid until the sequence changes.
  KvView view(std::int64_t layer) const;

 private:
  /// The first position that a query at `position` sees.
  std::int64_t reach(std::int64_t position) const;

  BlockPool* pool_;
  std::vector<std::int32_t> table_;  // -1: dropped
  std::size_t dropped_ = 0;          // blocks at the front
  std::int64_t length_ = 0;
};

}  // namespace plimsoll::kv
