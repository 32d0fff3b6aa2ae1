// The caches of this CPU.
#pragma once

#include <cstdint>

namespace plimsoll {

/// Bytes of the last level, which cores share; 8 MiB where the system does not say.
std::int64_t last_level_cache_bytes();

}  // namespace plimsoll
