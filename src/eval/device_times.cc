#include "eval/device_times.h"

#include <algorithm>
#include <cstdint>
#include <limits>

namespace plimsoll {

void take_kernel_times(std::vector<trace::Event>& events, std::span<const cuda::KernelRun> runs) {
  // The innermost event around a point of time is the one that begins last before it and has not
  // ended: found from the kernel's place in the order of beginning backwards.
  std::ranges::stable_sort(events, {}, &trace::Event::begin_ns);
  std::vector<const cuda::KernelRun*> in_order;
  in_order.reserve(runs.size());
  for (const cuda::KernelRun& run : runs) in_order.push_back(&run);
  std::ranges::stable_sort(in_order, {}, &cuda::KernelRun::begin_ns);

  struct Busy {
    std::int64_t begin = 0, end = 0, total = 0;  // end: of what has run so far
  };
  std::vector<Busy> busy(events.size());
  for (const cuda::KernelRun* run : in_order) {
    const std::int64_t middle = run->begin_ns + run->duration_ns / 2;
    const auto after = std::ranges::upper_bound(events, middle, {}, &trace::Event::begin_ns);
    const auto holds = [&](const trace::Event& event) {
      return event.begin_ns + event.duration_ns > middle;
    };
    const auto found = std::find_if(std::make_reverse_iterator(after), events.rend(), holds);
    if (found == events.rend()) continue;
    Busy& of_event = busy[static_cast<std::size_t>(events.rend() - found - 1)];
    if (of_event.total == 0) of_event = {run->begin_ns, run->begin_ns, 0};
    const std::int64_t end = run->begin_ns + run->duration_ns;
    of_event.total += std::max<std::int64_t>(0, end - std::max(of_event.end, run->begin_ns));
    of_event.end = std::max(of_event.end, end);
  }
  for (std::size_t i = 0; i < events.size(); ++i) {
    if (busy[i].total == 0) continue;
    // Within the event as the host saw it: the clocks differ a little.
    trace::Event& event = events[i];
    const std::int64_t end = event.begin_ns + event.duration_ns;
    event.duration_ns = std::min(busy[i].total, event.duration_ns);
    event.begin_ns = std::clamp(busy[i].begin, event.begin_ns, end - event.duration_ns);
  }
}

double busy_seconds(std::span<const cuda::KernelRun> runs) {
  std::vector<cuda::KernelRun> in_order(runs.begin(), runs.end());
  std::ranges::stable_sort(in_order, {}, &cuda::KernelRun::begin_ns);
  std::int64_t busy = 0, until = std::numeric_limits<std::int64_t>::min();
  for (const cuda::KernelRun& run : in_order) {
    const std::int64_t end = run.begin_ns + run.duration_ns;
    busy += std::max<std::int64_t>(0, end - std::max(until, run.begin_ns));
    until = std::max(until, end);
  }
  return static_cast<double>(busy) * 1e-9;
}

}  // namespace plimsoll
