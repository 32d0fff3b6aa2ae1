// Text on its way through normalisers and pre-tokenisers, which knows where its bytes came from.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace plimsoll {

/// Positions in the text being worked on (a TokenSpan counts bytes of the user's text).
struct Range {
  std::size_t begin = 0;
  std::size_t end = 0;
  std::size_t size() const { return end - begin; }
  bool operator==(const Range&) const = default;
};

/// Keeping an origin for every byte costs 16 bytes each, so that it is done only when spans are
/// asked for or a step of the pipeline needs it.
class AlignedText {
 public:
  /// A copy of `text`, which starts at byte `offset` of the user's text.
  AlignedText(std::string_view text, std::uint64_t offset, bool tracked);

  const std::string& text() const { return text_; }
  std::string_view view(Range range) const {
    return std::string_view(text_).substr(range.begin, range.size());
  }
  /// Bytes of the user's text behind a non-empty range. Meaningful when tracked or not rewritten.
  TokenSpan origin(Range range) const;
  /// A part, with its origins.
  AlignedText slice(Range range) const;

 private:
  friend class Rewriter;
  AlignedText() = default;

  std::string text_;
  std::uint64_t offset_ = 0;
  bool tracked_ = false;
  std::vector<TokenSpan> origins_;  // of each byte, when tracked
};

/// Makes a new text from an old one, front to back.
class Rewriter {
 public:
  explicit Rewriter(const AlignedText& from);
  /// The next `count` bytes as they are.
  void keep(std::size_t count);
  /// `with` in place of the next `count` bytes, all of which its bytes stand for; with count 0 they
  /// stand for the empty place before the next byte.
  void replace(std::size_t count, std::string_view with);
  std::size_t read() const { return read_; }                // bytes of the old text consumed
  std::size_t written() const { return to_.text_.size(); }  // bytes of the new text
  /// Keeps the rest and returns the new text.
  AlignedText finish();

 private:
  const AlignedText& from_;
  AlignedText to_;
  std::size_t read_ = 0;
};

}  // namespace plimsoll
