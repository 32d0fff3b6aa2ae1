// GPT-2's alphabet: every byte is one visible character, so that a vocabulary of bytes can be
// written as text. Bytes that print stay themselves; the others are U+0100 and up, in order.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace plimsoll::byte_level {

/// The character that stands for `byte`, in UTF-8.
std::string_view character(unsigned char byte);
/// The bytes that `text` spells; none when one of its characters stands for no byte.
std::optional<std::string> bytes_of(std::string_view text);

}  // namespace plimsoll::byte_level
