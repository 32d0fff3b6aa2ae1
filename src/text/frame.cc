#include "text/frame.h"

#include "core/error.h"
#include "core/quote.h"

namespace plimsoll {

std::optional<std::int32_t> find_special(
    const std::optional<std::string>& named, std::initializer_list<std::string_view> usual,
    const std::function<std::optional<std::int32_t>(std::string_view)>& id_of,
    const std::string& where) {
  if (named) {
    if (const auto id = id_of(*named)) return id;
    throw InputError(where, "special token", quote(*named), "a piece of the vocabulary");
  }
  for (const std::string_view piece : usual) {
    if (const auto id = id_of(piece)) return id;
  }
  return std::nullopt;
}

}  // namespace plimsoll
