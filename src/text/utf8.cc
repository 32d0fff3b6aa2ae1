#include "text/utf8.h"

#include "core/error.h"

namespace plimsoll::utf8 {

namespace {

/// What may follow a lead byte (Unicode 15, table 3-7): the range of the second byte rules out
/// overlong forms, surrogates and values above U+10FFFF.
struct Lead {
  std::size_t length = 0;  // 0: no character starts with this byte
  unsigned char second_min = 0x80, second_max = 0xBF;
};

constexpr Lead lead_of(unsigned char byte) {
  if (byte < 0x80) return {.length = 1};
  if (byte < 0xC2) return {};
  if (byte < 0xE0) return {.length = 2};
  if (byte == 0xE0) return {.length = 3, .second_min = 0xA0};
  if (byte == 0xED) return {.length = 3, .second_max = 0x9F};
  if (byte < 0xF0) return {.length = 3};
  if (byte == 0xF0) return {.length = 4, .second_min = 0x90};
  if (byte < 0xF4) return {.length = 4};
  if (byte == 0xF4) return {.length = 4, .second_max = 0x8F};
  return {};
}

}  // namespace

Step next(std::string_view bytes) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const Lead lead = lead_of(byte(0));
  if (lead.length == 1) return {byte(0), 1, Step::Kind::character};
  if (lead.length == 0) return {0, 1, Step::Kind::invalid};
  char32_t code_point = byte(0) & (0x7Fu >> lead.length);
  for (std::size_t i = 1; i < lead.length; ++i) {
    if (i == bytes.size()) return {0, i, Step::Kind::truncated};
    const unsigned char min = i == 1 ? lead.second_min : 0x80;
    const unsigned char max = i == 1 ? lead.second_max : 0xBF;
    if (byte(i) < min || byte(i) > max) return {0, i, Step::Kind::invalid};
    code_point = code_point << 6 | (byte(i) & 0x3Fu);
  }
  return {code_point, lead.length, Step::Kind::character};
}

char32_t first(std::string_view text) {
  PLIMSOLL_CHECK(!text.empty());
  return next(text).code_point;
}

std::size_t length(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

void append(std::string& text, char32_t code_point) {
  const auto put = [&](char32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xC0 | code_point >> 6);
    put(0x80 | (code_point & 0x3F));
  } else if (code_point < 0x10000) {
    put(0xE0 | code_point >> 12);
    put(0x80 | (code_point >> 6 & 0x3F));
    put(0x80 | (code_point & 0x3F));
  } else {
    put(0xF0 | code_point >> 18);
    put(0x80 | (code_point >> 12 & 0x3F));
    put(0x80 | (code_point >> 6 & 0x3F));
    put(0x80 | (code_point & 0x3F));
  }
}

std::optional<std::size_t> find_invalid(std::string_view bytes) {
  for (std::size_t i = 0; i < bytes.size();) {
    if (static_cast<unsigned char>(bytes[i]) < 0x80) {
      ++i;
      continue;
    }
    const Step step = next(bytes.substr(i));
    if (step.kind != Step::Kind::character) return i;
    i += step.length;
  }
  return std::nullopt;
}

void append_lossy(std::string& text, std::string_view bytes) {
  while (!bytes.empty()) {
    const Step step = next(bytes);
    text += step.kind == Step::Kind::character ? bytes.substr(0, step.length) : kReplacement;
    bytes.remove_prefix(step.length);
  }
}

}  // namespace plimsoll::utf8
