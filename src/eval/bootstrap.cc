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

double median_at(const std::vector<double>& samples, const std::vector<std::size_t>& indices) {
  std::vector<double> drawn;
  drawn.reserve(indices.size());
  for (const std::size_t index : indices) drawn.push_back(samples[index]);
  return median(std::move(drawn));
}

}  // namespace

Sampled summarised(std::vector<double> samples) {
  PLIMSOLL_CHECK(!samples.empty());
  Sampled result{median(samples), mean(samples), standard_deviation(samples), std::nullopt, {}};
  if (samples.size() > 1) {
    result.interval = percentile_interval(
        [&](Rng& rng) { return median_at(samples, drawn_indices(rng, samples.size())); });
  }
  result.samples = std::move(samples);
  return result;
}

Estimate ratio_of_medians(const std::vector<double>& a, const std::vector<double>& b,
                          Pairing pairing) {
  PLIMSOLL_CHECK(!a.empty() && !b.empty());
  PLIMSOLL_CHECK(pairing == Pairing::independent || a.size() == b.size());
  Estimate result{median(a) / median(b), std::nullopt};
  if (a.size() == 1 || b.size() == 1) return result;
  result.interval = percentile_interval([&](Rng& rng) {
    const std::vector<std::size_t> first = drawn_indices(rng, a.size());
    const std::vector<std::size_t> second =
        pairing == Pairing::paired ? first : drawn_indices(rng, b.size());
    return median_at(a, first) / median_at(b, second);
  });
  return result;
}

}  // namespace plimsoll
