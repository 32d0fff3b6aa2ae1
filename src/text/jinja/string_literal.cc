#include "text/jinja/string_literal.h"

#include <fmt/format.h>

#include <charconv>

#include "text/jinja/characters.h"
#include "text/jinja/lexer.h"
#include "text/utf8.h"

namespace plimsoll::jinja {

namespace {

/// A character from `count` digits at `at`, which moves behind them.
char32_t numeric_escape(std::string_view literal, std::size_t* at, std::size_t count, int base,
                        int line) {
  const std::string_view digits = literal.substr(*at, count);
  std::uint32_t code = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), code, base);
  const bool whole = digits.size() == count && end == digits.data() + digits.size();
  if (error != std::errc() || !whole) throw SyntaxError(line, "a broken escape in a string");
  if (code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) {
    throw SyntaxError(line, fmt::format("an escape for U+{:04X}, which is no character", code));
  }
  *at += count;
  return static_cast<char32_t>(code);
}

std::size_t octal_digits(std::string_view literal, std::size_t at) {
  std::size_t count = 0;
  while (count < 3 && at + count < literal.size() && literal[at + count] >= '0' &&
         literal[at + count] <= '7') {
    ++count;
  }
  return count;
}

}  // namespace

std::string unescaped(std::string_view literal, int line) {
  constexpr std::string_view kPlain = "\\'\"abfnrtv";
  constexpr std::string_view kPlainValues = "\\'\"\a\b\f\n\r\t\v";
  std::string text;
  for (std::size_t at = 0; at < literal.size();) {
    if (literal[at] != '\\' || at + 1 == literal.size()) {
      text += literal[at++];
      continue;
    }
    const char c = literal[at + 1];
    at += 2;
    if (const std::size_t plain = kPlain.find(c); plain != std::string_view::npos) {
      text += kPlainValues[plain];
    } else if (c == '\n') {
      // A backslash at the line's end joins the lines.
    } else if (c == 'x') {
      utf8::append(text, numeric_escape(literal, &at, 2, 16, line));
    } else if (c == 'u') {
      utf8::append(text, numeric_escape(literal, &at, 4, 16, line));
    } else if (c == 'U') {
      utf8::append(text, numeric_escape(literal, &at, 8, 16, line));
    } else if (c >= '0' && c <= '7') {
      --at;
      utf8::append(text, numeric_escape(literal, &at, octal_digits(literal, at), 8, line));
    } else if (c == 'N') {
      throw SyntaxError(line, "\\N{...} in a string is not supported");
    } else {
      text += '\\';
      text += c;
    }
  }
  return text;
}

}  // namespace plimsoll::jinja
