// UTF-8 as Unicode defines it: no overlong forms, no surrogates, nothing above U+10FFFF.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace plimsoll::utf8 {

inline constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

/// How the bytes at the front of `bytes` go on.
struct Step {
  char32_t code_point = 0;
  std::size_t length = 0;  // of the character, or of the longest prefix that could have become one
  enum class Kind { character, invalid, truncated } kind = Kind::character;
};

/// The first character of `bytes`, which must not be empty. `truncated`: `bytes` ends inside a
/// character that may still become valid. An `invalid` or `truncated` step has the length that one
/// U+FFFD stands for (Unicode 15, section 3.9, "substitution of maximal subparts").
Step next(std::string_view bytes);

/// The first code point of valid, non-empty UTF-8.
char32_t first(std::string_view text);
/// Bytes of the character that starts with `lead`, in valid UTF-8.
std::size_t length(char lead);

void append(std::string& text, char32_t code_point);

/// Position of the first byte that is not part of valid UTF-8.
std::optional<std::size_t> find_invalid(std::string_view bytes);

/// Appends `bytes` with U+FFFD for each maximal subpart that is no character.
void append_lossy(std::string& text, std::string_view bytes);

}  // namespace plimsoll::utf8

namespace plimsoll {
/// Position of the first byte of `bytes` that is not part of valid UTF-8.
inline std::optional<std::size_t> find_invalid_utf8(std::string_view bytes) {
  return utf8::find_invalid(bytes);
}
}  // namespace plimsoll
