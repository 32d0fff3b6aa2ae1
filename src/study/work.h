// How much of a study is done, over all its parts, in units of about a decoded token's time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "core/progress.h"

namespace plimsoll::study {

class Work {
 public:
  explicit Work(Progress whole) : whole_(std::move(whole)) {}

  void expect(std::int64_t units) { total_ += units; }
  /// Tells of a part that takes `units` of what was expected. Valid until the next begin().
  Progress begin(std::int64_t units) {
    done_ += part_;
    part_ = units;
    return [this](const std::string& what, std::int64_t done, std::int64_t total) {
      const std::int64_t of_part = total > 0 ? part_ * done / total : 0;
      return !whole_ || whole_(what, std::min(done_ + of_part, total_), total_);
    };
  }

 private:
  Progress whole_;
  std::int64_t done_ = 0, part_ = 0, total_ = 0;
};

}  // namespace plimsoll::study
