#include "core/cache.h"

#include <unistd.h>

namespace plimsoll {

std::int64_t last_level_cache_bytes() {
  const long level3 = sysconf(_SC_LEVEL3_CACHE_SIZE);
  const long level2 = sysconf(_SC_LEVEL2_CACHE_SIZE);
  const long bytes = level3 > 0 ? level3 : level2;
  return bytes > 0 ? bytes : std::int64_t{8} << 20;
}

}  // namespace plimsoll
