#include "core/units.h"

#include <fmt/format.h>

namespace plimsoll {

namespace {

std::string scaled(double value, const char* const* suffixes, int count) {
  int step = 0;
  while (step + 1 < count && value >= 999.5) {
    value /= 1000.0;
    ++step;
  }
  const int decimals = step == 0 ? 0 : value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f}{}", value, decimals, suffixes[step]);
}

}  // namespace

std::string format_bytes(std::uint64_t bytes) {
  static const char* const kSuffixes[] = {" B", " kB", " MB", " GB", " TB"};
  return scaled(static_cast<double>(bytes), kSuffixes, 5);
}

std::string format_count(double count) {
  static const char* const kSuffixes[] = {"", " k", " M", " B", " T"};
  return scaled(count, kSuffixes, 5);
}

}  // namespace plimsoll
