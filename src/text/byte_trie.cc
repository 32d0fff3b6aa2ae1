#include "text/byte_trie.h"

#include <utility>

namespace plimsoll {

void ByteTrie::insert(std::string_view text, std::uint32_t value) {
  std::uint32_t node = kRoot;
  for (const char byte : text) {
    std::uint32_t next = child(node, byte);
    if (next == kNone) {
      if (2 * values_.size() >= slots_.size()) grow();
      next = static_cast<std::uint32_t>(values_.size());
      values_.push_back(kNone);
      slots_[find(key(node, byte))] = {key(node, byte), next};
    }
    node = next;
  }
  if (values_[node] == kNone) values_[node] = value;
}

void ByteTrie::grow() {
  const std::vector<Slot> old = std::exchange(slots_, std::vector<Slot>(2 * slots_.size()));
  for (const Slot& slot : old) {
    if (slot.key != kFree) slots_[find(slot.key)] = slot;
  }
}

}  // namespace plimsoll
