// Means and percentiles over windows of a text, with intervals that know that tokens of one window
// are alike.
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace plimsoll {

struct Interval {
  double low = 0, high = 0;
};

/// An estimate with its 95 % confidence interval, by Student's t with windows - 1 degrees of
/// freedom over the windows' means. Unknown with a single window.
struct Estimate {
  double value = 0;
  std::optional<Interval> interval;
};

/// t with P(|T| <= t) = 0.95 for `degrees` >= 1 degrees of freedom.
double student_t95(std::size_t degrees);

/// Mean over all samples, weighted, with an interval from the means of their windows.
class ClusteredMean {
 public:
  void add(double value, double weight, std::size_t window);
  /// InternalError when nothing was added.
  Estimate estimate() const;

 private:
  std::vector<std::pair<double, double>> sums_;  // of each window: weighted values, weights
};

/// Percentiles of samples with Woodruff's interval (J. Am. Stat. Assoc. 47, 1952): the share of
/// samples at or below the percentile is a clustered mean, and the ends of its interval are read
/// off the ordered samples. Unknown where an end lies beyond the samples: with few of them nothing
/// can be said about the 99.9th.
class ClusteredPercentiles {
 public:
  void add(double value, std::size_t window) { samples_.emplace_back(value, window); }
  /// `percent` in 0 to 100. InternalError when nothing was added.
  Estimate estimate(double percent);

 private:
  std::vector<std::pair<double, std::size_t>> samples_;  // value, window
};

}  // namespace plimsoll
