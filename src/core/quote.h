// Text from files in messages: never raw, never long.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace plimsoll {

/// `text` in double quotes, safe on a terminal and on one line: control characters, direction
/// overrides, line separators and bytes that are not UTF-8 are escaped; of a text longer than
/// `limit` bytes the beginning is shown, with the length behind it: "abc..." (70000 bytes).
std::string quote(std::string_view text, std::size_t limit = 80);

}  // namespace plimsoll
