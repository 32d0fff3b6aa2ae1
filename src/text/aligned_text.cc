#include "text/aligned_text.h"

#include "core/error.h"

namespace plimsoll {

AlignedText::AlignedText(std::string_view text, std::uint64_t offset, bool tracked)
    : text_(text), offset_(offset), tracked_(tracked) {
  if (!tracked) return;
  origins_.reserve(text.size());
  for (std::uint64_t i = 0; i < text.size(); ++i) origins_.push_back({offset + i, offset + i + 1});
}

TokenSpan AlignedText::origin(Range range) const {
  PLIMSOLL_CHECK(range.begin < range.end && range.end <= text_.size());
  if (!tracked_) return {offset_ + range.begin, offset_ + range.end};
  return {origins_[range.begin].begin, origins_[range.end - 1].end};
}

AlignedText AlignedText::slice(Range range) const {
  AlignedText part;
  part.text_ = view(range);
  part.offset_ = offset_ + range.begin;
  part.tracked_ = tracked_;
  if (tracked_) {
    const auto first = origins_.begin() + static_cast<std::ptrdiff_t>(range.begin);
    part.origins_.assign(first, first + static_cast<std::ptrdiff_t>(range.size()));
  }
  return part;
}

Rewriter::Rewriter(const AlignedText& from) : from_(from) {
  to_.offset_ = from.offset_;
  to_.tracked_ = from.tracked_;
  to_.text_.reserve(from.text_.size() + from.text_.size() / 4);
}

void Rewriter::keep(std::size_t count) {
  PLIMSOLL_CHECK(count <= from_.text_.size() - read_);
  to_.text_.append(from_.text_, read_, count);
  if (from_.tracked_) {
    const auto first = from_.origins_.begin() + static_cast<std::ptrdiff_t>(read_);
    to_.origins_.insert(to_.origins_.end(), first, first + static_cast<std::ptrdiff_t>(count));
  }
  read_ += count;
}

void Rewriter::replace(std::size_t count, std::string_view with) {
  PLIMSOLL_CHECK(count <= from_.text_.size() - read_);
  to_.text_.append(with);
  if (from_.tracked_) {
    TokenSpan origin;
    if (count > 0) {
      origin = from_.origin({read_, read_ + count});
    } else if (read_ < from_.origins_.size()) {
      origin = {from_.origins_[read_].begin, from_.origins_[read_].begin};
    } else if (!from_.origins_.empty()) {
      origin = {from_.origins_.back().end, from_.origins_.back().end};
    }
    to_.origins_.insert(to_.origins_.end(), with.size(), origin);
  }
  read_ += count;
}

AlignedText Rewriter::finish() {
  keep(from_.text_.size() - read_);
  return std::move(to_);
}

}  // namespace plimsoll
