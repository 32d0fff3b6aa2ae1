#include "cli/study_screen.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "cli/command.h"
#include "study/tables.h"

namespace plimsoll::cli {

namespace {

double seconds_between(std::chrono::steady_clock::time_point from,
                       std::chrono::steady_clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

struct Size {
  std::int64_t rows = 24, columns = 80;
};

Size terminal_size() {
  winsize found{};
  Size size;
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &found) == 0 && found.ws_row > 0 && found.ws_col > 0) {
    size = {found.ws_row, found.ws_col};
  }
  return size;
}

std::string time_text(double seconds) {
  const std::int64_t whole = std::lround(seconds);
  constexpr std::int64_t kMinute = 60;
  if (whole < kMinute) return fmt::format("{} s", whole);
  return fmt::format("{} min {} s", whole / kMinute, whole % kMinute);
}

}  // namespace

StudyScreen::StudyScreen() : terminal_(isatty(STDERR_FILENO) == 1) {}

StudyScreen::~StudyScreen() {
  close();
}

bool StudyScreen::progress(const std::string& what, std::int64_t done, std::int64_t total) {
  const Clock::time_point now = Clock::now();
  if (total != total_ || done < done_) {  // other work: the clock starts anew
    started_ = now;
    begun_with_ = done;
  }
  what_ = what;
  done_ = done;
  total_ = total;
  const double interval = terminal_ ? 0.1 : 10;
  // What is over in a moment needs no table.
  constexpr double kPatience = 0.5;
  if (seconds_between(started_, now) > kPatience && seconds_between(drawn_, now) >= interval) {
    draw(now);
  }
  return !interrupted();
}

void StudyScreen::show(const study::Results& results) {
  table_ = study::variant_table(results, study::TableStyle::plain,
                                static_cast<std::size_t>(terminal_size().columns));
}

void StudyScreen::draw(Clock::time_point now) {
  drawn_ = now;
  const double share = total_ > 0 ? static_cast<double>(done_) / static_cast<double>(total_) : 0;
  std::string line = what_;
  if (total_ > 0) line += fmt::format(", {:.0f} %", 100 * share);
  // Of less than a hundredth nothing can be told.
  if (100 * (done_ - begun_with_) >= total_ && done_ > begun_with_) {
    const double rate = static_cast<double>(done_ - begun_with_) / seconds_between(started_, now);
    line += fmt::format(", about {} left", time_text(static_cast<double>(total_ - done_) / rate));
  }
  if (!terminal_) {
    std::fputs((line + "\n").c_str(), stderr);
    return;
  }
  erase();
  const std::int64_t rows = std::ranges::count(table_, '\n');
  const std::string table = rows + 2 <= terminal_size().rows ? table_ : "";
  // Lines that are too long are cut rather than wrapped, so that the count of lines holds.
  std::fputs(("\033[?7l" + table + line + "\033[?7h").c_str(), stderr);
  std::fflush(stderr);
  lines_ = std::ranges::count(table, '\n') + 1;
}

void StudyScreen::erase() {
  if (lines_ == 0) return;
  std::string codes = "\r";
  if (lines_ > 1) codes += fmt::format("\033[{}A", lines_ - 1);
  std::fputs((codes + "\033[J").c_str(), stderr);
  lines_ = 0;
}

void StudyScreen::close() {
  if (terminal_) erase();
  std::fflush(stderr);
}

}  // namespace plimsoll::cli
