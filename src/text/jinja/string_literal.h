#pragma once

#include <string>
#include <string_view>

namespace plimsoll::jinja {

/// The value of a string literal from what is between its quotes: Python's escapes. SyntaxError for
/// a broken escape, for a surrogate and for \N{...}.
std::string unescaped(std::string_view literal, int line);

}  // namespace plimsoll::jinja
