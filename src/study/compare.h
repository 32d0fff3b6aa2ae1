// Two studies of one model side by side: what changed beyond noise.
#pragma once

#include <string>
#include <vector>

#include "study/results.h"

namespace plimsoll::study {

/// One figure of one variant. `ratio` is after over before.
struct Change {
  std::string variant, figure;
  double before = 0, after = 0, ratio = 1;
  std::optional<Interval> interval;  // of the ratio, 95 %
  double noise = 0;                  // relative difference below which nothing is said
  std::string verdict;               // "better", "worse", "no difference"
};

struct Comparison {
  std::vector<std::string> notes;  // what keeps the two from being alike
  std::vector<Change> changes;
  bool worse = false;  // a figure got worse, or a variant is no longer measured
};

Comparison compare(const Results& before, const Results& after);

/// What changed, and how many figures did not.
std::string as_text(const Comparison& comparison);
RawJson as_json(const Comparison& comparison);

}  // namespace plimsoll::study
