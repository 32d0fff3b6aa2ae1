#include "core/memory.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

#include "core/error.h"
#include "core/units.h"

namespace plimsoll {

namespace {

/// The number of kB behind "KEY:" in a /proc file, in bytes.
std::optional<std::uint64_t> proc_field(const char* path, std::string_view key) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    if (line.size() > key.size() && line.compare(0, key.size(), key) == 0 &&
        line[key.size()] == ':') {
      return std::strtoull(line.c_str() + key.size() + 1, nullptr, 10) * 1024;
    }
  }
  return std::nullopt;
}

std::optional<std::uint64_t> number_in(const char* path) {
  std::ifstream file(path);
  std::uint64_t value = 0;
  if (file >> value) return value;
  return std::nullopt;  // absent, or "max"
}

}  // namespace

std::uint64_t available_memory() {
  std::uint64_t available = proc_field("/proc/meminfo", "MemAvailable")
                                .value_or(std::numeric_limits<std::uint64_t>::max());
  const auto limit = number_in("/sys/fs/cgroup/memory.max");
  const auto used = number_in("/sys/fs/cgroup/memory.current");
  if (limit && used) available = std::min(available, *limit > *used ? *limit - *used : 0);
  rlimit space = {};
  if (getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY) {
    const std::uint64_t mapped = proc_field("/proc/self/status", "VmSize").value_or(0);
    available =
        std::min<std::uint64_t>(available, space.rlim_cur > mapped ? space.rlim_cur - mapped : 0);
  }
  return available;
}

std::uint64_t peak_memory() {
  return proc_field("/proc/self/status", "VmHWM").value_or(0);
}

std::uint64_t resident_memory() {
  return proc_field("/proc/self/status", "VmRSS").value_or(0);
}

bool reset_peak_memory() {
  std::ofstream file("/proc/self/clear_refs");
  file << "5";
  file.flush();
  return file.good();
}

void require_memory(std::uint64_t bytes, std::string_view what) {
  const std::uint64_t available = available_memory();
  if (bytes > available) {
    throw InputError(fmt::format("{} needs {}, {} are available", what, format_bytes(bytes),
                                 format_bytes(available)));
  }
}

void* allocate_aligned(std::size_t bytes, std::size_t alignment) {
  constexpr std::size_t kWorthAsking = std::size_t{256} << 20;
  if (bytes >= kWorthAsking) require_memory(bytes, "a tensor");
  void* data = std::aligned_alloc(alignment, bytes);
  if (data == nullptr) {
    throw InputError(fmt::format("no memory: {} more were needed", format_bytes(bytes)));
  }
  return data;
}

}  // namespace plimsoll
