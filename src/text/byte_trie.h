// Strings by their prefixes.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace plimsoll {

class ByteTrie {
 public:
  static constexpr std::uint32_t kRoot = 0;
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;

  ByteTrie() : slots_(64), values_(1, kNone) {}

  /// The first value that a string gets stays.
  void insert(std::string_view text, std::uint32_t value);
  /// The node one byte further, or kNone.
  std::uint32_t child(std::uint32_t node, char byte) const {
    const Slot& slot = slots_[find(key(node, byte))];
    return slot.key == kFree ? kNone : slot.child;
  }
  /// The value of the string that ends at `node`, or kNone.
  std::uint32_t value(std::uint32_t node) const { return values_[node]; }

 private:
  static constexpr std::uint64_t kFree = ~std::uint64_t{0};
  struct Slot {
    std::uint64_t key = kFree;
    std::uint32_t child = kNone;
  };

  static std::uint64_t key(std::uint32_t node, char byte) {
    return std::uint64_t{node} << 8 | static_cast<unsigned char>(byte);
  }
  /// The slot that has `key`, or the free one where it belongs.
  std::size_t find(std::uint64_t key) const {
    std::size_t slot = (key * 0x9E3779B97F4A7C15u >> 20) & (slots_.size() - 1);
    while (slots_[slot].key != key && slots_[slot].key != kFree) {
      slot = (slot + 1) & (slots_.size() - 1);
    }
    return slot;
  }
  void grow();

  std::vector<Slot> slots_;  // open addressing, a power of two, at most half full
  std::vector<std::uint32_t> values_;
};

}  // namespace plimsoll
