// Patterns of tokenizer.json: a string, or a regular expression of Oniguruma's dialect (which
// Hugging Face's tokenizers library runs), here run by PCRE2.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "text/aligned_text.h"

namespace plimsoll {

/// A compiled pattern; any number of threads may use one.
class Regex {
 public:
  /// InputError naming `where` when the pattern does not compile. Unicode throughout; `^` and `$`
  /// match at lines.
  Regex(std::string_view pcre_pattern, std::string_view where);

  /// The leftmost match that starts at `from` or later, in valid UTF-8. Look-behind sees the bytes
  /// before `from`. InputError when PCRE2 gives up: text is never skipped in silence.
  std::optional<Range> find(std::string_view text, std::size_t from = 0) const;

 private:
  std::string name_;  // for messages
  std::shared_ptr<const void> code_;
};

/// The same pattern for PCRE2. InputError for a construct whose meaning would differ: nested and
/// intersected character classes, options other than `i`, callouts, back-references, byte escapes.
std::string oniguruma_to_pcre(std::string_view pattern, std::string_view where);

/// What tokenizer.json calls a pattern.
class Pattern {
 public:
  static Pattern literal(std::string_view text);
  static Pattern regex(Regex regex);

  /// Matches front to back, without overlap; an empty one never directly behind another match.
  void for_each_match(std::string_view text, const std::function<void(Range)>& visit) const;

 private:
  Pattern() = default;
  std::string literal_;  // used when there is no regex
  std::optional<Regex> regex_;
};

/// The characters that \w matches in Rust's regex crate, which is what "a word" means to added
/// tokens and to the Whitespace pre-tokeniser.
inline constexpr std::string_view kRustWord = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control})";

}  // namespace plimsoll
