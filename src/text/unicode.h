// Unicode properties and normalisation forms, from utf8proc.
#pragma once

#include <string>
#include <string_view>

namespace plimsoll::unicode {

bool is_white_space(char32_t c);  // the property White_Space
bool is_number(char32_t c);       // general category N
bool is_punctuation(char32_t c);  // general category P, and the ASCII symbols $+<=>^`|~
bool is_mark(char32_t c);         // general category M

/// Appends the full lower-case mapping of one character, without context.
void append_lower(std::string& text, char32_t c);

enum class Form { nfc, nfd, nfkc, nfkd };
/// InputError when there is not the memory.
std::string normalized(std::string_view text, Form form);

}  // namespace plimsoll::unicode
