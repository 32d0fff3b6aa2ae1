// Threads: one OpenMP team for our kernels and for oneDNN, so that they never compete.
#pragma once

#include <cstdint>
#include <functional>

namespace plimsoll {

/// Cores that this process may run on (affinity and cgroup quota counted).
int available_cores();
/// Size of the team from now on; 0 means available_cores().
void set_threads(int count);
int threads();

/// body(begin, end) over [0, count) in contiguous pieces of at least `grain`, one piece a thread.
/// Runs on the calling thread when there is only one piece. The first exception is rethrown here.
/// Which thread runs what depends on the team: `body` must not reduce across elements.
void parallel_for(std::int64_t count, std::int64_t grain,
                  const std::function<void(std::int64_t begin, std::int64_t end)>& body);

/// The same in pieces of `grain` (the last may be shorter), each taken by the thread that is free
/// first: for what reads more memory than caches hold, which no two threads get at the same rate.
void parallel_for_free(std::int64_t count, std::int64_t grain,
                       const std::function<void(std::int64_t begin, std::int64_t end)>& body);

}  // namespace plimsoll
