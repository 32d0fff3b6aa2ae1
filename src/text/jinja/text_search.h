// Finding one text in another in linear time, whatever the texts are: std::string::find is
// quadratic on "aaa...ab", which a hostile template would make use of.
#pragma once

#include <string>
#include <string_view>

namespace plimsoll::jinja {

/// Byte of the first occurrence at or after `from`; npos when there is none.
std::size_t find_text(std::string_view text, std::string_view part, std::size_t from = 0);
/// Byte of the last occurrence; npos when there is none.
std::size_t find_last_text(std::string_view text, std::string_view part);

}  // namespace plimsoll::jinja
