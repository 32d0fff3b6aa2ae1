#include "text/jinja/text_search.h"

#include <string.h>

namespace plimsoll::jinja {

std::size_t find_text(std::string_view text, std::string_view part, std::size_t from) {
  if (from > text.size()) return std::string_view::npos;
  if (part.empty()) return from;
  // memmem is the two-way algorithm.
  const void* found = memmem(text.data() + from, text.size() - from, part.data(), part.size());
  if (found == nullptr) return std::string_view::npos;
  return static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

std::size_t find_last_text(std::string_view text, std::string_view part) {
  const std::string reversed_text(text.rbegin(), text.rend());
  const std::string reversed_part(part.rbegin(), part.rend());
  const std::size_t found = find_text(reversed_text, reversed_part);
  if (found == std::string_view::npos) return found;
  return text.size() - found - part.size();
}

}  // namespace plimsoll::jinja
