#include "text/huggingface/split_behaviour.h"

#include <algorithm>
#include <map>

namespace plimsoll {

SplitBehaviour read_split_behaviour(const Json& part, const std::string& where) {
  static const std::map<std::string_view, SplitBehaviour> kNames = {
      {"Removed", SplitBehaviour::removed},
      {"Isolated", SplitBehaviour::isolated},
      {"MergedWithPrevious", SplitBehaviour::merged_with_previous},
      {"MergedWithNext", SplitBehaviour::merged_with_next},
      {"Contiguous", SplitBehaviour::contiguous}};
  const std::string& name = require_string(part, "behavior", where);
  const auto found = kNames.find(name);
  if (found == kNames.end()) {
    throw InputError(where, "behavior", quote(name), "a behaviour that this program knows");
  }
  return found->second;
}

void join_pieces(const std::vector<Piece>& pieces, SplitBehaviour behaviour,
                 std::vector<Range>& words) {
  std::vector<Range> joined;
  bool previous_is_match = false;
  const auto visit = [&](const Piece& piece) {
    bool join = false;
    switch (behaviour) {
      case SplitBehaviour::removed:
        if (piece.is_match) return;
        break;
      case SplitBehaviour::isolated:
        break;
      case SplitBehaviour::contiguous:
        join = piece.is_match == previous_is_match;
        break;
      case SplitBehaviour::merged_with_previous:
      case SplitBehaviour::merged_with_next:
        join = piece.is_match && !previous_is_match;
        break;
    }
    previous_is_match = piece.is_match;
    if (!join || joined.empty()) {
      joined.push_back(piece.range);
    } else if (behaviour == SplitBehaviour::merged_with_next) {
      joined.back().begin = piece.range.begin;
    } else {
      joined.back().end = piece.range.end;
    }
  };
  if (behaviour == SplitBehaviour::merged_with_next) {
    std::for_each(pieces.rbegin(), pieces.rend(), visit);
    std::reverse(joined.begin(), joined.end());
  } else {
    std::for_each(pieces.begin(), pieces.end(), visit);
  }
  for (const Range& word : joined) {
    if (word.size() > 0) words.push_back(word);
  }
}

}  // namespace plimsoll
