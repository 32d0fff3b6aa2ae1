#include "eval/fluency.h"

#include <algorithm>
#include <set>

#include "core/error.h"

namespace plimsoll {

std::optional<double> distinct_n(std::span<const std::int32_t> ids, std::size_t n) {
  PLIMSOLL_CHECK(n >= 1);
  if (ids.size() < n) return std::nullopt;
  using Ngram = std::span<const std::int32_t>;
  const auto before = [](const Ngram& a, const Ngram& b) {
    return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
  };
  std::set<Ngram, decltype(before)> distinct(before);
  const std::size_t count = ids.size() - n + 1;
  for (std::size_t i = 0; i < count; ++i) distinct.insert(ids.subspan(i, n));
  return static_cast<double>(distinct.size()) / static_cast<double>(count);
}

Fluency fluency(std::span<const std::int32_t> generated) {
  Fluency result{distinct_n(generated, 1), distinct_n(generated, 2), std::nullopt};
  if (const auto distinct_4 = distinct_n(generated, 4)) result.repetition = 1 - *distinct_4;
  return result;
}

}  // namespace plimsoll
