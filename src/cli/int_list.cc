#include "cli/int_list.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "core/error.h"
#include "core/quote.h"

namespace plimsoll::cli {

namespace {

constexpr std::size_t kMostValues = 1000;
constexpr const char* kGrammar =
    "numbers and ranges FIRST-LAST, FIRST-LAST+STEP or FIRST-LAST*FACTOR, separated by commas";

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t comma = std::min(text.find(','), text.size());
    parts.push_back(text.substr(0, comma));
    if (comma == text.size()) return parts;
    text.remove_prefix(comma + 1);
  }
}

/// The number at the front of `text`, which is cut off. False where there is none.
bool take_number(std::string_view& text, std::int64_t& value) {
  if (text.empty() || text.front() < '0' || text.front() > '9') return false;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return false;
  text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
  return true;
}

struct Range {
  std::int64_t first = 0, last = 0, step = 1;
  bool multiplies = false;
};

bool parse_range(std::string_view text, Range& range) {
  if (!take_number(text, range.first)) return false;
  range.last = range.first;
  if (text.empty()) return true;
  if (text.front() != '-') return false;
  text.remove_prefix(1);
  if (!take_number(text, range.last) || range.last < range.first) return false;
  if (text.empty()) return true;
  range.multiplies = text.front() == '*';
  if (!range.multiplies && text.front() != '+') return false;
  text.remove_prefix(1);
  if (!take_number(text, range.step) || !text.empty()) return false;
  // A range that stands still would never end.
  return range.multiplies ? range.step >= 2 && range.first >= 1 : range.step >= 1;
}

}  // namespace

std::vector<std::int64_t> parse_int_list(const std::vector<std::string>& texts,
                                         const std::string& flag, std::int64_t min,
                                         std::int64_t max) {
  std::vector<std::int64_t> values;
  for (const std::string& text : texts) {
    for (const std::string_view part : split(text)) {
      Range range;
      if (!parse_range(part, range)) throw InputError(flag, "list", quote(text), kGrammar);
      for (const std::int64_t end : {range.first, range.last}) {
        if (end < min || end > max) {
          throw InputError(flag, "value", fmt::format("{}", end),
                           fmt::format("{} to {}", min, max));
        }
      }
      for (std::int64_t value = range.first; value <= range.last;) {
        if (values.size() == kMostValues) {
          throw InputError(flag, "list", fmt::format("more than {} values", kMostValues),
                           fmt::format("at most {}", kMostValues));
        }
        values.push_back(value);
        // last <= max bounds value, but a step may be anything.
        const std::int64_t rest = range.last - value;
        if (range.multiplies ? value > range.last / range.step : range.step > rest) break;
        value = range.multiplies ? value * range.step : value + range.step;
      }
    }
  }
  return values;
}

std::vector<std::string> parse_word_list(const std::vector<std::string>& texts,
                                         const std::string& flag) {
  std::vector<std::string> words;
  for (const std::string& text : texts) {
    for (const std::string_view part : split(text)) {
      if (part.empty()) throw InputError(flag, "list", quote(text), "names separated by commas");
      words.emplace_back(part);
    }
  }
  return words;
}

}  // namespace plimsoll::cli
