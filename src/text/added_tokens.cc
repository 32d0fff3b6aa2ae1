#include "text/added_tokens.h"

#include <algorithm>

#include "core/error.h"
#include "text/regex.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace plimsoll {

namespace {

bool is_word(std::string_view character) {
  static const Regex word(fmt::format("[{}]", kRustWord), "added_tokens");
  return word.find(character).has_value();
}

/// Start of the last character of non-empty UTF-8.
std::size_t last_character(std::string_view text) {
  std::size_t at = text.size() - 1;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  return at;
}

/// Start of the white space that ends `text`.
std::size_t trailing_space(std::string_view text) {
  while (!text.empty()) {
    const std::size_t at = last_character(text);
    if (!unicode::is_white_space(utf8::first(text.substr(at)))) break;
    text = text.substr(0, at);
  }
  return text.size();
}

/// End of the white space that starts `text`.
std::size_t leading_space(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const utf8::Step step = utf8::next(text.substr(at));
    if (!unicode::is_white_space(step.code_point)) break;
    at += step.length;
  }
  return at;
}

}  // namespace

AddedTokenMatcher::AddedTokenMatcher(std::vector<AddedToken> tokens,
                                     const std::vector<std::string>& spellings)
    : tokens_(std::move(tokens)) {
  PLIMSOLL_CHECK(tokens_.size() == spellings.size());
  for (std::size_t i = 0; i < tokens_.size(); ++i) {
    if (spellings[i].empty()) continue;
    may_start_[static_cast<unsigned char>(spellings[i].front())] = true;
    spellings_.insert(spellings[i], static_cast<std::uint32_t>(i));
  }
}

std::optional<AddedTokenMatcher::Match> AddedTokenMatcher::match_at(std::string_view text,
                                                                    std::size_t at) const {
  if (!may_start_[static_cast<unsigned char>(text[at])]) return std::nullopt;
  std::optional<Match> longest;
  std::uint32_t node = ByteTrie::kRoot;
  for (std::size_t end = at; end < text.size();) {
    node = spellings_.child(node, text[end++]);
    if (node == ByteTrie::kNone) break;
    if (spellings_.value(node) != ByteTrie::kNone) longest = Match{spellings_.value(node), end};
  }
  return longest;
}

bool AddedTokenMatcher::touches_word(std::string_view text, Range range) const {
  if (range.begin > 0) {
    const std::string_view before = text.substr(0, range.begin);
    if (is_word(before.substr(last_character(before)))) return true;
  }
  const std::string_view after = text.substr(range.end);
  return !after.empty() && is_word(after.substr(0, utf8::length(after.front())));
}

// The order of the tests is that of Hugging Face's AddedVocabulary::find_matches: a match that is
// discarded still consumes its text, and the search goes on behind the match, not behind the white
// space that it took, so that a token of white space may be found there again.
std::vector<AddedTokenMatcher::Part> AddedTokenMatcher::split(std::string_view text,
                                                              bool parse_special) const {
  std::vector<Part> parts;
  std::size_t done = 0;
  std::size_t space_end = 0;  // of the white space last looked at: runs are scanned only once
  for (std::size_t at = 0; at < text.size();) {
    const std::optional<Match> match = match_at(text, at);
    if (!match) {
      ++at;
      continue;
    }
    Range range{at, match->end};
    at = match->end;
    const AddedToken& token = tokens_[match->token];
    if (token.special && !parse_special) continue;
    if (token.single_word && touches_word(text, range)) continue;
    if (token.lstrip) {
      range.begin = done < range.begin
                        ? done + trailing_space(text.substr(done, range.begin - done))
                        : std::min(done, range.end);
    }
    if (token.rstrip) {
      if (range.end >= space_end) space_end = range.end + leading_space(text.substr(range.end));
      range.end = space_end;
    }
    if (done < range.begin) parts.push_back({{done, range.begin}, std::nullopt});
    parts.push_back({range, token.id});
    done = range.end;
  }
  if (done < text.size()) parts.push_back({{done, text.size()}, std::nullopt});
  return parts;
}

}  // namespace plimsoll
