// Quantities as people read them.
#pragma once

#include <cstdint>
#include <string>

namespace plimsoll {

/// Decimal units, three significant digits: "22.0 MB", "4.18 GB".
std::string format_bytes(std::uint64_t bytes);
/// "11.0 M", "7.24 B".
std::string format_count(double count);

}  // namespace plimsoll
