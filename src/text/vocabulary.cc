#include "text/vocabulary.h"

#include "core/error.h"
#include "core/quote.h"

namespace plimsoll {

void Vocabulary::add(std::string_view piece, std::int64_t id, std::string_view where) {
  if (id < 0 || id >= kMaxSize) {
    throw InputError(where, quote(piece), fmt::format("id {}", id),
                     fmt::format("0 to {}", kMaxSize - 1));
  }
  if (const auto known = id_of(piece)) {
    if (*known == id) return;
    throw InputError(where, quote(piece), fmt::format("ids {} and {}", *known, id), "one id");
  }
  if (const std::string* other = this->piece(id)) {
    throw InputError(where, quote(piece), fmt::format("id {}, which {} has", id, quote(*other)),
                     "an id of its own");
  }
  const auto entry = ids_.emplace(piece, static_cast<std::int32_t>(id)).first;
  if (id >= size()) pieces_.resize(static_cast<std::size_t>(id) + 1, nullptr);
  pieces_[static_cast<std::size_t>(id)] = &entry->first;
}

std::optional<std::int32_t> Vocabulary::id_of(std::string_view piece) const {
  const auto found = ids_.find(piece);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

const std::string* Vocabulary::piece(std::int64_t id) const {
  return id >= 0 && id < size() ? pieces_[static_cast<std::size_t>(id)] : nullptr;
}

}  // namespace plimsoll
