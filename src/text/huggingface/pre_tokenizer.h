// The "pre_tokenizer" of a tokenizer.json: cuts a text into words, none of which a token crosses,
// and respells them in the model's alphabet.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "storage/json.h"
#include "text/aligned_text.h"

namespace plimsoll {

/// A text and the words in it: not empty, in order, without overlap; what no word covers is
/// dropped.
struct WordList {
  AlignedText text;
  std::vector<Range> words;
};

class PreTokenizerStep {
 public:
  virtual ~PreTokenizerStep() = default;
  virtual WordList apply(WordList list) const = 0;
  /// Whether it looks at where in the user's text a word comes from.
  virtual bool needs_origin() const { return false; }
  /// Whether it changes the text itself.
  virtual bool rewrites() const { return false; }
};

class PreTokenizer {
 public:
  PreTokenizer() = default;
  /// Sequence, ByteLevel, Metaspace, Split, Digits, Whitespace, WhitespaceSplit and Punctuation.
  /// InputError for any other type.
  PreTokenizer(const Json& json, const std::string& where);

  /// All of `text` is one word at first.
  WordList apply(AlignedText text) const;
  /// Whether the ids depend on origins that earlier steps may have moved: `text` must be tracked
  /// then.
  bool needs_tracking(bool text_was_normalized) const;

 private:
  std::vector<std::shared_ptr<const PreTokenizerStep>> steps_;
};

}  // namespace plimsoll
