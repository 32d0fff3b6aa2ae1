// Text out of ids while they are generated.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "text/tokenizer.h"

namespace plimsoll {

/// Feed it every generated id; print what it returns. The pieces, with finish() last, join to
/// exactly Tokenizer::decode of all the ids, and none ends inside a UTF-8 character. The tokenizer
/// must outlive it.
class StreamingDetokenizer {
 public:
  explicit StreamingDetokenizer(const Tokenizer& tokenizer, bool skip_special = true);
  /// What is certain after this id; empty while a character is incomplete.
  /// InputError for an id outside the vocabulary.
  std::string push(std::int32_t id);
  /// What is left. A new text may follow.
  std::string finish();

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_;
  std::unique_ptr<DecodeStream> stream_;
};

}  // namespace plimsoll
