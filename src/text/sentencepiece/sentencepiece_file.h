// What a SentencePiece model file says, read from its protocol buffer
// (https://github.com/google/sentencepiece/blob/master/src/sentencepiece_model.proto) and checked
// before SentencePiece itself sees it: that library trusts the tables of a file.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll {

struct SentencePieceFile {
  enum class Type { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };
  enum class Algorithm { unigram = 1, bpe = 2, word = 3, character = 4 };
  struct Piece {
    std::string text;
    Type type = Type::normal;
  };

  std::vector<Piece> pieces;  // by id
  Algorithm algorithm = Algorithm::unigram;
  bool add_dummy_prefix = true;
  bool remove_extra_whitespaces = true;
  bool escape_whitespaces = true;
  bool whitespace_is_suffix = false;
  bool has_character_map = false;                  // the normaliser changes characters
  std::string unknown_surface = " \xE2\x81\x87 ";  // what an unknown piece decodes to
  std::string model;                               // the file without its self test
  std::string continued;  // the same, for text that follows other text: no dummy prefix

  /// InputError naming `where` when the bytes are no model, or one that cannot be trusted.
  static SentencePieceFile parse(std::string_view bytes, const std::string& where);
};

}  // namespace plimsoll
