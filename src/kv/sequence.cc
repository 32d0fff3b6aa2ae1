#include "kv/sequence.h"

#include <algorithm>
#include <utility>

namespace plimsoll::kv {

Sequence::Sequence(Sequence&& other) noexcept
    : pool_(other.pool_),
      table_(std::exchange(other.table_, {})),
      dropped_(std::exchange(other.dropped_, 0)),
      length_(std::exchange(other.length_, 0)) {}

Sequence& Sequence::operator=(Sequence&& other) noexcept {
  if (this != &other) {
    truncate(0);
    pool_ = other.pool_;
    table_ = std::exchange(other.table_, {});
    dropped_ = std::exchange(other.dropped_, 0);
    length_ = std::exchange(other.length_, 0);
  }
  return *this;
}

Sequence Sequence::fork() const {
  Sequence child(*pool_);
  child.table_ = table_;
  child.dropped_ = dropped_;
  child.length_ = length_;
  for (std::size_t i = dropped_; i < table_.size(); ++i) pool_->share(table_[i]);
  return child;
}

std::int64_t Sequence::reach(std::int64_t position) const {
  const std::int64_t window = pool_->shape().window;
  return window == 0 ? 0 : std::max<std::int64_t>(0, position - window + 1);
}

void Sequence::extend(std::int64_t tokens) {
  PLIMSOLL_CHECK(tokens >= 0);
  if (tokens == 0) return;
  // All is counted before anything changes.
  const auto droppable = static_cast<std::size_t>(reach(length_) / kBlockTokens);
  std::int64_t needed = blocks_for(length_ + tokens) - blocks_for(length_);
  for (std::size_t i = dropped_; i < droppable; ++i) needed -= pool_->is_shared(table_[i]) ? 0 : 1;
  const bool copies = length_ % kBlockTokens != 0 && pool_->is_shared(table_.back());
  pool_->require_free(needed + (copies ? 1 : 0));

  for (; dropped_ < droppable; ++dropped_) {
    pool_->give_back(std::exchange(table_[dropped_], -1));
  }
  if (copies) {
    const std::int32_t own = pool_->take(table_.back());
    pool_->copy(table_.back(), own);
    pool_->give_back(std::exchange(table_.back(), own));
  }
  length_ += tokens;
  while (static_cast<std::int64_t>(table_.size()) < blocks_for(length_)) {
    table_.push_back(pool_->take(table_.empty() ? -1 : table_.back()));
  }
}

bool Sequence::can_truncate(std::int64_t length) const {
  return length == 0 || (length <= length_ && first() <= reach(length));
}

void Sequence::truncate(std::int64_t length) {
  PLIMSOLL_CHECK(length >= 0 && can_truncate(length), "{} of {}, from {} on", length, length_,
                 first());
  while (static_cast<std::int64_t>(table_.size()) > blocks_for(length)) {
    if (table_.back() >= 0) pool_->give_back(table_.back());
    table_.pop_back();
  }
  dropped_ = std::min(dropped_, table_.size());
  length_ = length;
}

KvView Sequence::view(std::int64_t layer) const {
  KvView view = pool_->layer(layer);
  view.table = table_.data();
  view.first = first();
  view.length = length_;
  return view;
}

}  // namespace plimsoll::kv
