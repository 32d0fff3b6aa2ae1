// A tokenizer.json of Hugging Face's tokenizers library, and vocab.json with merges.txt, which is
// the older spelling of some of them.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "text/added_tokens.h"
#include "text/huggingface/decoder.h"
#include "text/huggingface/normalizer.h"
#include "text/huggingface/post_processor.h"
#include "text/huggingface/pre_tokenizer.h"
#include "text/tokenizer.h"
#include "text/tokenizer_settings.h"
#include "text/word_model.h"

namespace plimsoll {

/// The parts of a tokenizer.json.
struct TokenizerParts {
  std::vector<AddedToken> added_tokens;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  std::unique_ptr<const WordModel> model;
  PostProcessor post_processor;
  Decoder decoder;
};

/// InputError naming `where` for whatever the program cannot do exactly as the library does.
TokenizerParts read_tokenizer_json(const Json& json, const std::string& where);

/// The parts that the class of a byte-level tokenizer implies; `class_name` is GPT2Tokenizer or
/// Qwen2Tokenizer. InputError for another one.
TokenizerParts byte_level_parts(const Json& vocab, std::string_view merges,
                                const std::string& class_name, const std::string& where);

class JsonTokenizer final : public Tokenizer {
 public:
  JsonTokenizer(TokenizerParts parts, const TokenizerSettings& settings, const std::string& where);

  std::unique_ptr<DecodeStream> decode_stream(bool skip_special) const override;
  std::string piece(std::int32_t id) const override;
  std::optional<std::int32_t> id_of(std::string_view piece) const override;
  std::int64_t vocab_size() const override;
  bool is_special(std::int32_t id) const override;

 protected:
  void encode_text(std::string_view text, bool parse_special, bool with_spans,
                   Encoding& encoding) const override;

 private:
  class Stream;
  struct Work;

  void add_section(std::string_view part, std::uint64_t offset, bool parse_special, bool tracked,
                   Work& work) const;
  /// Null where the vocabulary has a hole.
  const std::string* find_piece(std::int32_t id) const;

  TokenizerParts parts_;
  Vocabulary added_;  // by content and id
  std::vector<bool> special_;
  AddedTokenMatcher raw_tokens_, normalized_tokens_;
};

}  // namespace plimsoll
