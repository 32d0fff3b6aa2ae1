// What becomes of the matches when a word is cut at them.
#pragma once

#include <string>
#include <vector>

#include "storage/json.h"
#include "text/aligned_text.h"

namespace plimsoll {

/// Hugging Face's SplitDelimiterBehavior.
enum class SplitBehaviour { removed, isolated, merged_with_previous, merged_with_next, contiguous };

/// The field "behavior".
SplitBehaviour read_split_behaviour(const Json& part, const std::string& where);

/// A part of a word, and whether it is a match.
struct Piece {
  Range range;
  bool is_match = false;
};

/// Appends the words that `pieces`, which follow one another without gaps, make. Empty ones are
/// left out.
void join_pieces(const std::vector<Piece>& pieces, SplitBehaviour behaviour,
                 std::vector<Range>& words);

}  // namespace plimsoll
