// Many words to ids at once.
#pragma once

#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"
#include "text/word_model.h"

namespace plimsoll {

/// One after another they make the text: words, and tokens that were found in the text itself.
struct Unit {
  Range range;  // where the word is, in whatever `source` names
  std::uint32_t source = 0;
  std::int32_t id = -1;  // of a token that was found; -1: a word
};

struct UnitReader {
  std::function<std::unique_ptr<WordModel::Worker>()> worker;
  std::function<std::string_view(const Unit&)> word;
  /// The user's text behind a token of a word, or behind a unit that is a token.
  std::function<TokenSpan(const Unit&, const WordToken&)> span;
};

/// Appends the ids of `units`, and with `with_spans` their spans. Words do not see each other: each
/// thread takes a run of them.
void encode_units(const std::vector<Unit>& units, const UnitReader& reader, bool with_spans,
                  Encoding& encoding);

}  // namespace plimsoll
