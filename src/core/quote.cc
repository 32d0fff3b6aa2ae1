#include "core/quote.h"

#include <fmt/format.h>

#include <cstdint>
#include <iterator>

namespace plimsoll {

namespace {

/// Bytes of the well-formed UTF-8 sequence that `text` begins with (Unicode 15, table 3-7), its
/// code point in `code_point`; 0 when there is none.
std::size_t decode_utf8(std::string_view text, std::uint32_t& code_point) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t lead = byte(0);
  if (lead < 0x80) {
    code_point = lead;
    return 1;
  }
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return 0;
  code_point = lead & (0x7Fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
    code_point = code_point << 6 | (byte(i) & 0x3Fu);
  }
  const bool overlong =
      (length == 3 && code_point < 0x800) || (length == 4 && code_point < 0x10000);
  const bool surrogate = 0xD800 <= code_point && code_point <= 0xDFFF;
  return overlong || surrogate || code_point > 0x10FFFF ? 0 : length;
}

/// What could forge or garble a line on a terminal: C1 controls, marks and overrides of the writing
/// direction, line and paragraph separators, the byte order mark.
bool is_deceptive(std::uint32_t code_point) {
  const auto within = [&](std::uint32_t first, std::uint32_t last) {
    return first <= code_point && code_point <= last;
  };
  return within(0x7F, 0x9F) || code_point == 0x61C || within(0x200B, 0x200F) ||
         within(0x2028, 0x202E) || within(0x2060, 0x206F) || code_point == 0xFEFF;
}

}  // namespace

std::string quote(std::string_view text, std::size_t limit) {
  std::string result = "\"";
  const auto out = std::back_inserter(result);
  std::size_t shown = 0;
  while (shown < text.size()) {
    std::uint32_t code_point = 0;
    const std::size_t length = decode_utf8(text.substr(shown), code_point);
    if (shown + (length == 0 ? 1 : length) > limit) break;
    if (length == 0) {
      fmt::format_to(out, "\\x{:02x}", static_cast<std::uint8_t>(text[shown]));
    } else if (code_point == '"' || code_point == '\\') {
      fmt::format_to(out, "\\{}", static_cast<char>(code_point));
    } else if (code_point == '\n') {
      result += "\\n";
    } else if (code_point == '\t') {
      result += "\\t";
    } else if (code_point < 0x20 || is_deceptive(code_point)) {
      fmt::format_to(out, "\\u{:04x}", code_point);
    } else {
      result += text.substr(shown, length);
    }
    shown += length == 0 ? 1 : length;
  }
  if (shown < text.size()) return fmt::format("{}...\" ({} bytes)", result, text.size());
  return result + '"';
}

}  // namespace plimsoll
