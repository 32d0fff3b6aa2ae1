#include "core/threads.h"

#include <omp.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <fstream>
#include <mutex>
#include <string>
#include <vector>

#include "core/error.h"

namespace plimsoll {

int available_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int cores = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (file >> quota >> period && quota != "max" && period > 0) {
    cores = std::min(cores, static_cast<int>(std::ceil(std::stod(quota) / period)));
  }
  return std::max(cores, 1);
}

void set_threads(int count) {
  PLIMSOLL_CHECK(count >= 0);
  omp_set_num_threads(count == 0 ? available_cores() : count);
}

int threads() {
  return omp_get_max_threads();
}

namespace {

// Runs `work` on `team` threads; the first exception is rethrown here.
void on_team(std::int64_t team, const std::function<void(std::int64_t thread)>& work) {
  std::exception_ptr error;
  std::mutex mutex;
#pragma omp parallel for num_threads(static_cast <int>(team)) schedule(static, 1)
  for (std::int64_t thread = 0; thread < team; ++thread) {
    try {
      work(thread);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
}

// Threads that have a piece of at least `grain` each.
std::int64_t team_for(std::int64_t count, std::int64_t grain) {
  if (omp_in_parallel()) return 1;
  return std::clamp<std::int64_t>(count / std::max<std::int64_t>(grain, 1), 1, threads());
}

}  // namespace

void parallel_for(std::int64_t count, std::int64_t grain,
                  const std::function<void(std::int64_t, std::int64_t)>& body) {
  if (count <= 0) return;
  const std::int64_t pieces = team_for(count, grain);
  if (pieces == 1) return body(0, count);
  on_team(pieces,
          [&](std::int64_t piece) { body(count * piece / pieces, count * (piece + 1) / pieces); });
}

void parallel_for_free(std::int64_t count, std::int64_t grain,
                       const std::function<void(std::int64_t, std::int64_t)>& body) {
  if (count <= 0) return;
  const std::int64_t team = team_for(count, grain);
  // Pieces of a thread's own part come first, so that it reads on where it is and waits for no
  // counter that lies in another core's cache; then those that other threads have left.
  struct alignas(64) Part {
    std::atomic<std::int64_t> next;
    std::int64_t end;
  };
  std::vector<Part> parts(static_cast<std::size_t>(team));
  for (std::int64_t thread = 0; thread < team; ++thread) {
    Part& part = parts[static_cast<std::size_t>(thread)];
    const auto border = [&](std::int64_t i) { return count * i / team / grain * grain; };
    part.next = border(thread);
    part.end = thread + 1 == team ? count : border(thread + 1);
  }
  const auto take = [&](std::int64_t thread) {
    for (std::int64_t i = 0; i < team; ++i) {
      Part& part = parts[static_cast<std::size_t>((thread + i) % team)];
      for (;;) {
        const std::int64_t begin = part.next.fetch_add(grain, std::memory_order_relaxed);
        if (begin >= part.end) break;
        body(begin, std::min(begin + grain, part.end));
      }
    }
  };
  if (team == 1) return take(0);
  on_team(team, take);
}

}  // namespace plimsoll
