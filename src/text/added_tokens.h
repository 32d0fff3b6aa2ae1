// Tokens that are found in the text itself, before it is normalised and split: "</s>",
// "<|im_start|>".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/aligned_text.h"
#include "text/byte_trie.h"

namespace plimsoll {

struct AddedToken {
  std::int32_t id = 0;
  std::string content;  // not empty
  bool special = false;
  bool normalized = false;   // looked for in the normalised text
  bool single_word = false;  // only where no word character touches it
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // takes the white space behind it
};

/// Finds added tokens in a text: the leftmost first, and the longest of those that start there.
class AddedTokenMatcher {
 public:
  AddedTokenMatcher() = default;
  /// `spellings[i]` is what to look for in place of `tokens[i]`; an empty one is never found.
  AddedTokenMatcher(std::vector<AddedToken> tokens, const std::vector<std::string>& spellings);

  struct Part {
    Range range;
    std::optional<std::int32_t> id;  // none: text between tokens
  };
  /// All of `text` in order. Parts overlap only where one token took the white space that is itself
  /// the next token. Without `parse_special` a special token's spelling is
  /// text, and so is any other token's inside it.
  std::vector<Part> split(std::string_view text, bool parse_special) const;

 private:
  struct Match {
    std::size_t token;  // index into tokens_
    std::size_t end;
  };
  std::optional<Match> match_at(std::string_view text, std::size_t at) const;
  bool touches_word(std::string_view text, Range range) const;

  std::vector<AddedToken> tokens_;
  std::vector<bool> may_start_ = std::vector<bool>(256);
  ByteTrie spellings_;  // values index tokens_
};

}  // namespace plimsoll
