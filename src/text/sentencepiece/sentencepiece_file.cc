#include "text/sentencepiece/sentencepiece_file.h"

#include <optional>

#include "core/error.h"
#include "core/quote.h"
#include "text/utf8.h"

namespace plimsoll {

namespace {

/// The fields of one message (https://protobuf.dev/programming-guides/encoding/).
class MessageReader {
 public:
  struct Field {
    std::uint64_t number = 0;
    std::uint64_t value = 0;   // of a varint
    std::string_view bytes;    // of a string or message
    std::string_view encoded;  // the field as it stands, tag included
  };

  MessageReader(std::string_view message, const std::string& where)
      : message_(message), where_(where) {}

  std::optional<Field> next() {
    if (at_ == message_.size()) return std::nullopt;
    const std::size_t begin = at_;
    const std::uint64_t tag = varint();
    Field field;
    field.number = tag >> 3;
    switch (tag & 7) {
      case 0:
        field.value = varint();
        break;
      case 1:
        field.bytes = take(8);
        break;
      case 2:
        field.bytes = take(varint());
        break;
      case 5:
        field.bytes = take(4);
        break;
      default:
        refuse(fmt::format("wire type {}", tag & 7));
    }
    if (field.number == 0) refuse("field number 0");
    field.encoded = message_.substr(begin, at_ - begin);
    return field;
  }

 private:
  [[noreturn]] void refuse(const std::string& found) const {
    throw InputError(where_, fmt::format("byte {} of a message of {}", at_, message_.size()), found,
                     "a SentencePiece model");
  }

  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == message_.size()) refuse("the end");
      const auto byte = static_cast<unsigned char>(message_[at_++]);
      value |= std::uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return value;
    }
    refuse("a number of more than 64 bits");
  }

  std::string_view take(std::uint64_t size) {
    if (size > message_.size() - at_) refuse("the end");
    at_ += size;
    return message_.substr(at_ - size, size);
  }

  std::string_view message_;
  const std::string& where_;
  std::size_t at_ = 0;
};

std::uint32_t little_endian(std::string_view bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 4; i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

/// A precompiled character map: the size of a double-array trie, the trie, and the replacements,
/// each ended by a zero, that its values point to. SentencePiece walks it without looking at the
/// bounds. Unit i leads to units (i ^ offset) ^ c for bytes c, which must all be there; a unit with
/// bit 31 is a value (https://github.com/s-yata/darts-clone).
void check_character_map(std::string_view map, const std::string& where) {
  const auto refuse = [&](std::string_view found) {
    throw InputError(where, "normalizer_spec.precompiled_charsmap", found, "a valid table");
  };
  if (map.empty()) return;
  if (map.size() <= 4) refuse(fmt::format("{} bytes", map.size()));
  const std::uint32_t trie_size = little_endian(map);
  if (trie_size >= map.size() - 4 || trie_size % 4 != 0 || trie_size == 0) {
    refuse(fmt::format("a trie of {} bytes in {}", trie_size, map.size()));
  }
  const std::string_view replacements = map.substr(4 + trie_size);
  if (replacements.back() != '\0') refuse("a replacement without an end");
  const std::uint32_t units = trie_size / 4;
  for (std::uint32_t i = 0; i < units; ++i) {
    const std::uint32_t unit = little_endian(map.substr(4 + 4 * std::size_t{i}));
    if (unit >> 31 != 0) {
      if ((unit & 0x7FFFFFFF) >= replacements.size()) refuse("a value beyond the replacements");
      continue;
    }
    const std::uint32_t offset = (unit >> 10) << ((unit & (1u << 9)) >> 6);
    if (((i ^ offset) | 0xFF) >= units) refuse("a way out of the trie");
  }
}

SentencePieceFile::Piece read_piece(std::string_view message, std::size_t id,
                                    const std::string& where) {
  SentencePieceFile::Piece piece;
  MessageReader reader(message, where);
  while (const auto field = reader.next()) {
    if (field->number == 1) piece.text = field->bytes;
    if (field->number == 3) {
      if (field->value < 1 || field->value > 6) {
        throw InputError(where, fmt::format("piece {}", id), fmt::format("type {}", field->value),
                         "1 to 6");
      }
      piece.type = static_cast<SentencePieceFile::Type>(field->value);
    }
  }
  const bool has_zero = piece.text.find('\0') != std::string::npos;
  if (piece.text.empty() || has_zero || utf8::find_invalid(piece.text)) {
    throw InputError(where, fmt::format("piece {}", id), quote(piece.text),
                     "text in UTF-8 without zeros");
  }
  return piece;
}

void read_trainer(std::string_view message, const std::string& where, SentencePieceFile& file) {
  MessageReader reader(message, where);
  while (const auto field = reader.next()) {
    if (field->number == 3) {
      if (field->value < 1 || field->value > 4) {
        throw InputError(where, "trainer_spec.model_type", fmt::format("{}", field->value),
                         "1 to 4");
      }
      file.algorithm = static_cast<SentencePieceFile::Algorithm>(field->value);
    }
    if (field->number == 24) file.whitespace_is_suffix = field->value != 0;
    if (field->number == 44) file.unknown_surface = field->bytes;
  }
  if (utf8::find_invalid(file.unknown_surface)) {
    throw InputError(where, "trainer_spec.unk_surface", quote(file.unknown_surface), "UTF-8");
  }
}

void read_normalizer(std::string_view message, const std::string& where, SentencePieceFile& file) {
  MessageReader reader(message, where);
  while (const auto field = reader.next()) {
    if (field->number == 2) {
      check_character_map(field->bytes, where);
      file.has_character_map = !field->bytes.empty();
    }
    if (field->number == 3) file.add_dummy_prefix = field->value != 0;
    if (field->number == 4) file.remove_extra_whitespaces = field->value != 0;
    if (field->number == 5) file.escape_whitespaces = field->value != 0;
  }
}

void refuse_denormalizer(std::string_view message, const std::string& where) {
  MessageReader reader(message, where);
  while (const auto field = reader.next()) {
    if (field->number == 2 && !field->bytes.empty()) {
      throw InputError(where, "denormalizer_spec", "a character map", "none: it is not supported");
    }
  }
}

}  // namespace

SentencePieceFile SentencePieceFile::parse(std::string_view bytes, const std::string& where) {
  SentencePieceFile file;
  MessageReader reader(bytes, where);
  while (const auto field = reader.next()) {
    constexpr std::uint64_t kSelfTest = 4;
    if (field->number == kSelfTest) continue;
    file.model += field->encoded;
    if (field->number == 1) {
      file.pieces.push_back(read_piece(field->bytes, file.pieces.size(), where));
    } else if (field->number == 2) {
      read_trainer(field->bytes, where, file);
    } else if (field->number == 3) {
      read_normalizer(field->bytes, where, file);
    } else if (field->number == 5) {
      refuse_denormalizer(field->bytes, where);
    }
  }
  if (file.pieces.empty()) throw InputError(where, "pieces", "none", "a SentencePiece model");
  // Messages that follow one another merge, and of a field the last value counts:
  // normalizer_spec { add_dummy_prefix: false }.
  constexpr std::string_view kNoDummyPrefix("\x1A\x02\x18\x00", 4);
  file.continued = file.model;
  file.continued += kNoDummyPrefix;
  return file;
}

}  // namespace plimsoll
