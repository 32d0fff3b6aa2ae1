// What a study shows while it runs: on a terminal the table of variants as it fills, with the time
// that is left; otherwise a line now and then.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "study/results.h"

namespace plimsoll::cli {

/// Draws on standard error. Leaves a clean terminal behind.
class StudyScreen {
 public:
  StudyScreen();
  ~StudyScreen();
  StudyScreen(const StudyScreen&) = delete;
  StudyScreen& operator=(const StudyScreen&) = delete;

  /// Progress of the whole; false once the user has pressed Ctrl-C.
  bool progress(const std::string& what, std::int64_t done, std::int64_t total);
  /// A part is finished.
  void show(const study::Results& results);
  /// Nothing is shown any more: results go to standard output.
  void close();

 private:
  using Clock = std::chrono::steady_clock;
  void draw(Clock::time_point now);
  void erase();

  bool terminal_;
  std::string table_, what_;
  std::int64_t done_ = 0, total_ = 0;
  std::int64_t begun_with_ = 0;  // done when the clock started
  std::int64_t lines_ = 0;       // on the screen
  Clock::time_point started_ = Clock::now(), drawn_;
};

}  // namespace plimsoll::cli
