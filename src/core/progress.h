// How long work tells whoever waits. The library reports; the command line draws.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace plimsoll {

/// Called with what is being done, how much is done and of how much (0: unknown). Returning false
/// asks for the work to stop: it then throws Interrupted.
using Progress =
    std::function<bool(const std::string& what, std::int64_t done, std::int64_t total)>;

/// The user asked to stop (Ctrl-C). Not an error.
struct Interrupted {};

inline void report(const Progress& progress, const std::string& what, std::int64_t done,
                   std::int64_t total) {
  if (progress && !progress(what, done, total)) throw Interrupted{};
}

}  // namespace plimsoll
