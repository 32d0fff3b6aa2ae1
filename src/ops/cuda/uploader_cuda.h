// Weights on their way to the GPU while the next ones are packed.
#pragma once

#include <future>
#include <utility>

namespace plimsoll::ops {

/// One piece of work at a time, on a thread of its own.
class Uploader {
 public:
  /// Starts `work` once the one before is done; throws what that one threw.
  template <class Work>
  void start(Work&& work) {
    wait();
    running_ = std::async(std::launch::async, std::forward<Work>(work));
  }
  /// Until nothing is under way; throws what the last one threw.
  void wait() {
    if (running_.valid()) running_.get();
  }

 private:
  std::future<void> running_;
};

}  // namespace plimsoll::ops
