// Resident memory of one of several things that share a process, by what it adds while it works.
#pragma once

#include <malloc.h>

#include <algorithm>
#include <cstdint>

#include "core/memory.h"

namespace plimsoll {

/// Gives back to the system what was freed, so that resident memory says what is held.
inline void return_freed_memory() {
  malloc_trim(0);
}

/// Charge everything that one model or run does to its account, one thing at a time.
struct MemoryAccount {
  std::int64_t held = 0;  // bytes resident now
  std::int64_t peak = 0;  // most at once
  bool known = true;      // false: the kernel does not let peaks start anew

  template <class Work>
  void charge(const Work& work) {
    known = reset_peak_memory() && known;
    const auto before = static_cast<std::int64_t>(resident_memory());
    work();
    peak = std::max(peak, held + static_cast<std::int64_t>(peak_memory()) - before);
    held += static_cast<std::int64_t>(resident_memory()) - before;
  }

  /// The same without what others have freed and the process still keeps: `work` would use it again
  /// and seem smaller. Nothing to time by, because its pages come anew.
  template <class Work>
  void charge_alone(const Work& work) {
    return_freed_memory();
    charge(work);
  }
};

}  // namespace plimsoll
