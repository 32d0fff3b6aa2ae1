#include <algorithm>
#include <map>

#include "quant/matrix.h"
#include "study/sweeps.h"

namespace plimsoll::study {

namespace {

using Points = std::map<std::int64_t, const SweepPoint*>;  // by value

std::vector<std::string> parts_of(const std::string& variant) {
  std::vector<std::string> parts{""};
  for (const char character : variant) {
    if (character == '+') {
      parts.emplace_back();
    } else {
      parts.back() += character;
    }
  }
  return parts;
}

bool differ_in_one_thing(const std::string& a, const std::string& b) {
  std::vector<std::string> left = parts_of(a), right = parts_of(b);
  const std::size_t size = std::max(left.size(), right.size());
  left.resize(size);
  right.resize(size);
  std::size_t differences = 0;
  for (std::size_t i = 0; i < size; ++i) differences += left[i] != right[i] ? 1 : 0;
  return differences == 1;
}

/// The first variant's speed over the second's at a value.
struct Comparison {
  std::int64_t value = 0;
  Estimate ratio;
  int sign = 0;  // 1: the first is faster beyond the noise; -1: the second; 0: no difference
};

Comparison compare(std::int64_t value, const SweepPoint& first, const SweepPoint& second,
                   double floor) {
  const auto& a = first.tokens_per_second.samples;
  const auto& b = second.tokens_per_second.samples;
  const bool paired = first.turns == second.turns && a.size() == b.size();
  Comparison result{value, ratio_of_medians(a, b, paired ? Pairing::paired : Pairing::independent),
                    0};
  if (!result.ratio.interval) return result;
  if (result.ratio.interval->low > 1 && result.ratio.value > 1 + floor) result.sign = 1;
  if (result.ratio.interval->high < 1 && result.ratio.value < 1 / (1 + floor)) result.sign = -1;
  return result;
}

bool is_dense(const std::string& variant) {
  return quant::is_dense(quant::format_from_name(parts_of(variant).front(), "weights"));
}

/// "1.24 times as fast (1.18 to 1.31)" of the first variant, or of the second.
std::string times(const Comparison& at, bool first) {
  const Interval i = *at.ratio.interval;
  return first
             ? fmt::format("{:.2f} times as fast ({:.2f} to {:.2f})", at.ratio.value, i.low, i.high)
             : fmt::format("{:.2f} times as fast ({:.2f} to {:.2f})", 1 / at.ratio.value,
                           1 / i.high, 1 / i.low);
}

std::string values_text(const std::vector<Comparison>& comparisons, bool decided) {
  std::vector<std::int64_t> values;
  for (const Comparison& each : comparisons) {
    if ((each.sign != 0) == decided) values.push_back(each.value);
  }
  return fmt::format("{}", fmt::join(values, ", "));
}

class Pair {
 public:
  Pair(Sweep sweep, const std::string& first, const std::string& second)
      : sweep_(sweep), names_{first, second} {}

  /// `comparisons`: by rising value, at least two.
  std::vector<Crossover> read(const std::vector<Comparison>& comparisons) const {
    std::vector<Comparison> decided;
    std::ranges::copy_if(comparisons, std::back_inserter(decided),
                         [](const Comparison& each) { return each.sign != 0; });
    if (decided.empty()) return {};
    std::vector<Crossover> found;
    for (std::size_t i = 1; i < decided.size(); ++i) {
      if (decided[i].sign != decided[i - 1].sign) {
        found.push_back(change(decided[i - 1], decided[i]));
      }
    }
    if (found.empty()) found.push_back(no_change(comparisons, decided));
    return found;
  }

 private:
  Crossover between(int sign) const {
    const bool first = sign > 0;
    return {std::string(sweep_name(sweep_)),
            names_[first ? 0 : 1],
            names_[first ? 1 : 0],
            std::nullopt,
            {}};
  }

  Crossover change(const Comparison& before, const Comparison& after) const {
    Crossover result = between(after.sign);
    result.at = after.value;
    const bool gave_up = is_dense(result.faster) && !is_dense(result.slower);
    const std::string now = times(after, (after.sign > 0) != gave_up);
    const std::string earlier = times(before, (after.sign > 0) != gave_up);
    result.text = gave_up
                      ? fmt::format("from {} {} on {} no longer pays over {}: {}; at {} it is {}",
                                    sweep_name(sweep_), after.value, result.slower, result.faster,
                                    now, before.value, earlier)
                      : fmt::format("{} overtakes {} from {} {} on: {}; at {} it is {}",
                                    result.faster, result.slower, sweep_name(sweep_), after.value,
                                    now, before.value, earlier);
    return result;
  }

  Crossover no_change(const std::vector<Comparison>& comparisons,
                      const std::vector<Comparison>& decided) const {
    Crossover result = between(decided.front().sign);
    const std::string_view name = sweep_name(sweep_);
    result.text =
        decided.size() == comparisons.size()
            ? fmt::format("{} is faster than {} at every {} measured ({})", result.faster,
                          result.slower, name, values_text(comparisons, true))
            : fmt::format("{} is faster than {} at {} {}; at {} the difference is inside the noise",
                          result.faster, result.slower, name, values_text(comparisons, true),
                          values_text(comparisons, false));
    return result;
  }

  Sweep sweep_;
  std::string names_[2];
};

}  // namespace

std::vector<Crossover> crossovers(Sweep sweep, std::span<const SweepPoint> points, double floor) {
  std::vector<std::string> variants;  // in the order in which they were measured
  std::map<std::string, Points> by_variant;
  for (const SweepPoint& point : points) {
    Points& of_variant = by_variant[point.variant];
    if (of_variant.empty()) variants.push_back(point.variant);
    of_variant[point.value] = &point;
  }
  std::vector<Crossover> found;
  for (std::size_t i = 0; i < variants.size(); ++i) {
    for (std::size_t j = i + 1; j < variants.size(); ++j) {
      if (!differ_in_one_thing(variants[i], variants[j])) continue;
      std::vector<Comparison> comparisons;
      const Points& second = by_variant[variants[j]];
      for (const auto& [value, point] : by_variant[variants[i]]) {
        const auto other = second.find(value);
        if (other == second.end()) continue;
        comparisons.push_back(compare(value, *point, *other->second, floor));
      }
      if (comparisons.size() < 2) continue;
      for (Crossover& each : Pair(sweep, variants[i], variants[j]).read(comparisons)) {
        found.push_back(std::move(each));
      }
    }
  }
  return found;
}

void find_crossovers(Sweeps& sweeps, double floor_decode, double floor_prefill) {
  sweeps.crossovers.clear();
  const auto add = [&](Sweep sweep, const std::vector<SweepPoint>& points, double floor) {
    for (Crossover& each : crossovers(sweep, points, floor)) {
      sweeps.crossovers.push_back(std::move(each));
    }
  };
  add(Sweep::batch, sweeps.batch, floor_decode);
  add(Sweep::prompt, sweeps.prompt, floor_prefill);
  add(Sweep::depth, sweeps.depth, floor_decode);
  std::stable_partition(sweeps.crossovers.begin(), sweeps.crossovers.end(),
                        [](const Crossover& each) { return each.at.has_value(); });
}

}  // namespace plimsoll::study
