#include "eval/confidence.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.h"

namespace plimsoll {

namespace {

/// P(|T| <= t) for whole degrees of freedom (Abramowitz & Stegun, 26.7.3 and 26.7.4).
double student_share(double t, std::size_t degrees) {
  const auto n = static_cast<double>(degrees);
  const double angle = std::atan(t / std::sqrt(n));
  const double cosine2 = n / (n + t * t);
  const bool odd = degrees % 2 == 1;
  double term = odd ? std::cos(angle) : 1, sum = 0;
  for (std::size_t i = odd ? 3 : 2; i <= degrees; i += 2) {
    sum += term;
    const auto k = static_cast<double>(i);
    term *= cosine2 * (k - 1) / k;
  }
  const double series = std::sin(angle) * sum;
  return odd ? (angle + series) * 2 / std::numbers::pi : series;
}

/// The value at `share` (0 to 1) of the ordered samples, linearly between two.
double at_share(const std::vector<std::pair<double, std::size_t>>& sorted, double share) {
  const double at = share * static_cast<double>(sorted.size() - 1);
  const auto low = static_cast<std::size_t>(at);
  const std::size_t high = std::min(low + 1, sorted.size() - 1);
  return sorted[low].first +
         (at - static_cast<double>(low)) * (sorted[high].first - sorted[low].first);
}

}  // namespace

double student_t95(std::size_t degrees) {
  PLIMSOLL_CHECK(degrees > 0);
  // Beyond that t differs from the normal quantile by less than 0.001 of itself.
  constexpr std::size_t kNormal = 3000;
  if (degrees > kNormal) return 1.959963984540054;
  double low = 1.9, high = 13;  // 12.7 with one degree
  for (int i = 0; i < 60; ++i) {
    const double middle = (low + high) / 2;
    (student_share(middle, degrees) < 0.95 ? low : high) = middle;
  }
  return high;
}

void ClusteredMean::add(double value, double weight, std::size_t window) {
  if (window >= sums_.size()) sums_.resize(window + 1);
  sums_[window].first += value * weight;
  sums_[window].second += weight;
}

Estimate ClusteredMean::estimate() const {
  double total = 0, weights = 0;
  for (const auto& [sum, weight] : sums_) {
    total += sum;
    weights += weight;
  }
  PLIMSOLL_CHECK(weights > 0, "no samples");
  const double mean = total / weights;
  if (sums_.size() == 1) return {mean, std::nullopt};
  // Variance of a ratio of sums over clusters (Cochran, Sampling Techniques, 6.4).
  double squares = 0;
  const auto count = static_cast<double>(sums_.size());
  for (const auto& [sum, weight] : sums_) {
    squares += (sum - mean * weight) * (sum - mean * weight);
  }
  const double error = std::sqrt(squares * count / (count - 1)) / weights;
  const double reach = student_t95(sums_.size() - 1) * error;
  return {mean, Interval{mean - reach, mean + reach}};
}

Estimate ClusteredPercentiles::estimate(double percent) {
  PLIMSOLL_CHECK(!samples_.empty(), "no samples");
  std::sort(samples_.begin(), samples_.end());
  const double share = percent / 100;
  Estimate result{at_share(samples_, share), std::nullopt};
  ClusteredMean at_or_below;
  for (const auto& [value, window] : samples_) {
    at_or_below.add(value <= result.value ? 1 : 0, 1, window);
  }
  const Estimate seen = at_or_below.estimate();
  if (!seen.interval) return result;
  const double low = share + (seen.interval->low - seen.value);
  const double high = share + (seen.interval->high - seen.value);
  const auto last = static_cast<double>(samples_.size() - 1);
  // A share that no sample lies beyond cannot be read off them; nor one that does not vary.
  if (low * last < 0 || high * last > last - 1 || !(low < high)) return result;
  result.interval = Interval{at_share(samples_, low), at_share(samples_, high)};
  return result;
}

}  // namespace plimsoll
