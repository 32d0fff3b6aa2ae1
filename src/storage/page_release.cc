#include "storage/page_release.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace plimsoll {

void release_pages(const Tensor& mapped) {
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(mapped.raw());
  // Only whole pages: neighbours share the first and the last.
  const std::uintptr_t first = (begin + page - 1) / page * page;
  const std::uintptr_t last = (begin + mapped.bytes()) / page * page;
  // MADV_PAGEOUT would write; DONTNEED on a read-only private mapping of a file only forgets.
  if (last > first) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

}  // namespace plimsoll
