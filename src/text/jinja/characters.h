// What str's methods need to know of characters: positions by code point, classes, cases. All texts
// are valid UTF-8.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace plimsoll::jinja {

std::size_t count_code_points(std::string_view text);
/// The byte where code point number `index` starts; the size when there are fewer.
std::size_t byte_offset(std::string_view text, std::size_t index);
/// The byte where the last code point of `text`, which must not be empty, starts.
std::size_t last_start(std::string_view text);
/// The bytes of the code point that starts at `position`.
std::string_view code_point_at(std::string_view text, std::size_t position);
/// The code point at byte `*position`, which moves behind it.
char32_t next_code_point(std::string_view text, std::size_t* position);

/// str.isspace() of one character.
bool is_space(char32_t code_point);
/// repr() shows the character as it is.
bool is_printable(char32_t code_point);

enum class TextClass { alpha, digit, decimal, numeric, alnum, upper, lower, space, identifier };
/// str.isalpha() and its like: false for an empty text.
bool is_all(TextClass text_class, std::string_view text);
/// Matches of \w+.
std::size_t count_words(std::string_view text);

// Unicode's mappings of one code point to one, with the sharp s as the exception: in upper case SS.
std::string to_upper(std::string_view text);
std::string to_lower(std::string_view text);
/// str.capitalize(): the first character in upper case, the others in lower.
std::string capitalize(std::string_view text);
/// str.title(): upper case after anything that has no case.
std::string title_of_letters(std::string_view text);
/// Jinja's filter: upper case after white space, a dash or an opening bracket.
std::string title_of_words(std::string_view text);

}  // namespace plimsoll::jinja
