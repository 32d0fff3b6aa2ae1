// Where a text may be cut so that its parts, encoded one by one, give the ids of the whole.
//
// Byte-pair encoding only ever joins neighbours into a piece of the vocabulary. A token that
// crossed the place between the characters x and y would be a piece with y right behind x inside
// it: where no piece has that, no merge crosses, and the two sides never see each other.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace plimsoll {

class CutFinder {
 public:
  CutFinder() : forbidden_(kBits / 64) {}

  /// Every place inside `piece` is one that a merge may cross.
  void add_piece(std::string_view piece);
  /// Whether no piece has `after` right behind `before`. A set of hashes answers: it may say no
  /// where yes were true, never the reverse.
  bool allows(char32_t before, char32_t after) const {
    const std::uint64_t bit = hash(before, after);
    return (forbidden_[bit / 64] >> bit % 64 & 1) == 0;
  }

 private:
  static constexpr std::uint64_t kBits = 1 << 20;  // 128 KiB; real vocabularies set some 30,000

  static std::uint64_t hash(char32_t before, char32_t after) {
    const std::uint64_t pair = static_cast<std::uint64_t>(before) << 32 | after;
    return pair * 0x9E3779B97F4A7C15u >> 44;
  }

  std::vector<std::uint64_t> forbidden_;
};

}  // namespace plimsoll
