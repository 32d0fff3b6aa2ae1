// Pieces and their ids.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace plimsoll {

/// Lets a map of strings be asked with a view.
struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
  }
};
template <class Value>
using StringMap = std::unordered_map<std::string, Value, StringHash, std::equal_to<>>;

/// One to one; ids may have holes.
class Vocabulary {
 public:
  /// Ids stay below this: a broken file must not cost gigabytes.
  static constexpr std::int64_t kMaxSize = 1 << 22;

  /// InputError naming `where` when the id is out of range or either is taken by another.
  void add(std::string_view piece, std::int64_t id, std::string_view where);

  Vocabulary() = default;
  Vocabulary(Vocabulary&&) = default;  // a copy would point into the original
  Vocabulary& operator=(Vocabulary&&) = default;

  std::optional<std::int32_t> id_of(std::string_view piece) const;
  /// Null where there is none.
  const std::string* piece(std::int64_t id) const;
  /// Largest id + 1.
  std::int64_t size() const { return static_cast<std::int64_t>(pieces_.size()); }

 private:
  StringMap<std::int32_t> ids_;
  std::vector<const std::string*> pieces_;  // keys of ids_
};

}  // namespace plimsoll
