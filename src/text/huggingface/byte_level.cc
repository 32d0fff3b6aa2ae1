#include "text/huggingface/byte_level.h"

#include <array>

#include "text/utf8.h"

namespace plimsoll::byte_level {

namespace {

struct Tables {
  std::array<std::string, 256> characters;
  std::array<short, 0x144> bytes;  // by code point; -1: none

  Tables() {
    bytes.fill(-1);
    char32_t next = 0x100;
    for (unsigned byte = 0; byte < 256; ++byte) {
      const bool visible = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte != 0xAD);
      const char32_t code_point = visible ? byte : next++;
      utf8::append(characters[byte], code_point);
      bytes[code_point] = static_cast<short>(byte);
    }
  }
};

const Tables& tables() {
  static const Tables tables;
  return tables;
}

}  // namespace

std::string_view character(unsigned char byte) {
  return tables().characters[byte];
}

std::optional<std::string> bytes_of(std::string_view text) {
  const auto& bytes = tables().bytes;
  std::string result;
  while (!text.empty()) {
    const utf8::Step step = utf8::next(text);
    if (step.code_point >= bytes.size() || bytes[step.code_point] < 0) return std::nullopt;
    result.push_back(static_cast<char>(bytes[step.code_point]));
    text.remove_prefix(step.length);
  }
  return result;
}

}  // namespace plimsoll::byte_level
