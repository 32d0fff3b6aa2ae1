#include "eval/bootstrap.h"

#include <cstdint>
#include <utility>

#include "core/error.h"
#include "core/rng.h"
#include "eval/statistics.h"

namespace plimsoll {

namespace {

constexpr int kResamples = 2000;
constexpr std::uint64_t kSeed = 1;

/// 95 % of what `draw` gives.
template <class Draw>
Interval percentile_interval(const Draw& draw) {
  Rng rng(kSeed);
  std::vector<double> values;
  values.reserve(kResamples);
  for (int i = 0; i < kResamples; ++i) values.push_back(draw(rng));
  return {quantile(values, 0.025), quantile(values, 0.975)};
}

std::vector<std::size_t> drawn_indices(Rng& rng, std::size_t count) {
  std::vector<std::size_t> indices(count);
  for (std::size_t& index : indices) index = static_cast<std::size_t>(rng.below(count));
  return indices;
}

void append(std::vector<double>& drawn, const std::vector<double>& samples,
            const std::vector<std::size_t>& indices) {
  for (const std::size_t index : indices) drawn.push_back(samples[index]);
}

std::size_t size_of(const SampleGroups& groups) {
  std::size_t size = 0;
  for (const std::vector<double>& group : groups) size += group.size();
  return size;
}

}  // namespace

Sampled summarised(std::vector<double> samples) {
  PLIMSOLL_CHECK(!samples.empty());
  Sampled result{median(samples), mean(samples), standard_deviation(samples), std::nullopt, {}};
  if (samples.size() > 1) {
    result.interval = percentile_interval([&](Rng& rng) {
      std::vector<double> drawn;
      drawn.reserve(samples.size());
      append(drawn, samples, drawn_indices(rng, samples.size()));
      return median(std::move(drawn));
    });
  }
  result.samples = std::move(samples);
  return result;
}

Estimate ratio_of_medians(const std::vector<double>& a, const std::vector<double>& b,
                          Pairing pairing) {
  return ratio_of_quantiles({a}, {b}, 0.5, pairing);
}

double pooled_quantile(const SampleGroups& groups, double q) {
  std::vector<double> all;
  all.reserve(size_of(groups));
  for (const std::vector<double>& group : groups) all.insert(all.end(), group.begin(), group.end());
  return quantile(std::move(all), q);
}

Estimate ratio_of_quantiles(const SampleGroups& a, const SampleGroups& b, double q,
                            Pairing pairing) {
  PLIMSOLL_CHECK(!a.empty() && a.size() == b.size());
  bool one_sample = false;
  for (std::size_t group = 0; group < a.size(); ++group) {
    PLIMSOLL_CHECK(!a[group].empty() && !b[group].empty());
    PLIMSOLL_CHECK(pairing == Pairing::independent || a[group].size() == b[group].size());
    one_sample = one_sample || a[group].size() == 1 || b[group].size() == 1;
  }
  Estimate result{pooled_quantile(a, q) / pooled_quantile(b, q), std::nullopt};
  if (one_sample) return result;
  result.interval = percentile_interval([&](Rng& rng) {
    std::vector<double> from_a, from_b;
    from_a.reserve(size_of(a));
    from_b.reserve(size_of(b));
    for (std::size_t group = 0; group < a.size(); ++group) {
      const std::vector<std::size_t> first = drawn_indices(rng, a[group].size());
      append(from_a, a[group], first);
      append(from_b, b[group],
             pairing == Pairing::paired ? first : drawn_indices(rng, b[group].size()));
    }
    return quantile(std::move(from_a), q) / quantile(std::move(from_b), q);
  });
  return result;
}

}  // namespace plimsoll
