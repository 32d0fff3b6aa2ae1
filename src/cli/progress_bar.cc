#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdio>

#include "cli/command.h"
#include "core/error.h"

namespace plimsoll::cli {

namespace {

using Clock = std::chrono::steady_clock;

std::atomic<bool> interrupt_seen{false};
std::atomic<bool> end_asked_for{false};

void on_interrupt(int signal) {
  if (signal == SIGTERM) end_asked_for = true;
  // The second Ctrl-C ends the program at once.
  if (interrupt_seen.exchange(true)) std::_Exit(130);
}

// Whether the cursor stands behind a bar.
std::atomic<bool> line_begun{false};

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

class Bar {
 public:
  Bar() : terminal_(isatty(STDERR_FILENO) == 1) {}

  bool operator()(const std::string& what, std::int64_t done, std::int64_t total) {
    const Clock::time_point now = Clock::now();
    // What stands behind a comma is news ("training, loss 3.1"), not other work.
    const std::string work = what.substr(0, what.find(','));
    if (work != work_) {
      work_ = work;
      started_ = now;
      drawn_ = {};
    }
    what_ = what;
    const bool complete = total > 0 && done >= total;
    const double interval = terminal_ ? 0.1 : 10;
    // Work that is over in a moment needs no bar.
    const bool due =
        seconds_between(started_, now) > 0.5 && seconds_between(drawn_, now) >= interval;
    if (due || (complete && drawn_ != Clock::time_point{})) draw(now, done, total, complete);
    return !interrupted();
  }

 private:
  void draw(Clock::time_point now, std::int64_t done, std::int64_t total, bool complete) {
    drawn_ = now;
    const double share = total > 0 ? static_cast<double>(done) / static_cast<double>(total) : 0;
    const double left = share > 0 ? seconds_between(started_, now) * (1 - share) / share : 0;
    if (!terminal_) {
      const std::string of_total =
          total > 0 ? fmt::format("/{} ({:.0f} %)", total, 100 * share) : "";
      std::fputs(fmt::format("{}: {}{}\n", what_, done, of_total).c_str(), stderr);
      return;
    }
    constexpr int kWidth = 30;
    const auto full = static_cast<int>(share * kWidth);
    std::fputs(fmt::format("\r{} [{:#<{}}{:.<{}}] {:3.0f} %, {:.0f} s left \033[K{}", what_, "",
                           full, "", kWidth - full, 100 * share, left, complete ? "\r\033[K" : "")
                   .c_str(),
               stderr);
    std::fflush(stderr);
    line_begun = !complete;
  }

  bool terminal_;
  std::string what_, work_;
  Clock::time_point started_, drawn_;
};

}  // namespace

Progress progress_bar() {
  return [bar = Bar()](auto&&... args) mutable { return bar(args...); };
}

void end_progress_line() {
  if (line_begun.exchange(false)) std::fputc('\n', stderr);
}

bool interrupted() {
  return interrupt_seen || end_asked_for;
}
void clear_interrupt() {
  interrupt_seen = false;
}

void catch_interrupts() {
  // A stack of the handler's own: in the sgemm that oneDNN generates the stack pointer points to a
  // buffer on the heap (https://github.com/uxlfoundation/oneDNN/issues/4845), and what the kernel
  // puts there when a signal comes overwrites the heap. The kernel gives a process's signals to the
  // main thread, so that one stack will do.
  alignas(16) static std::byte stack[std::size_t{64} << 10];
  const stack_t alternate = {.ss_sp = stack, .ss_flags = 0, .ss_size = sizeof stack};
  PLIMSOLL_CHECK(sigaltstack(&alternate, nullptr) == 0);
  struct sigaction action = {};
  action.sa_handler = on_interrupt;
  action.sa_flags = SA_ONSTACK;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

}  // namespace plimsoll::cli
