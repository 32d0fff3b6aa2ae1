// Memory of one of several things that share a process, by what it adds while it works: resident
// memory of the host, or what is held of a GPU's.
#pragma once

#include <malloc.h>

#include <algorithm>
#include <cstdint>

#include "core/memory.h"
#include "ops/device.h"

namespace plimsoll {

/// Gives back to the system, or a GPU's driver, what was freed, so that what is held is what is
/// used.
inline void return_freed_memory(ops::Device* device) {
  if (device != nullptr) {
    device->trim();
  } else {
    malloc_trim(0);
  }
}

/// Charge everything that one model or run does to its account, one thing at a time.
struct MemoryAccount {
  ops::Device* device = nullptr;  // whose memory; nullptr: the host's
  std::int64_t held = 0;          // bytes resident now
  std::int64_t peak = 0;          // most at once
  bool known = true;              // false: the kernel does not let peaks start anew

  template <class Work>
  void charge(const Work& work) {
    if (device != nullptr) {
      device->reset_peak();
      const std::int64_t before = device->held_bytes();
      work();
      peak = std::max(peak, held + device->peak_bytes() - before);
      held += device->held_bytes() - before;
      return;
    }
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
    return_freed_memory(device);
    charge(work);
  }
};

}  // namespace plimsoll
