#include "study/verdicts.h"

#include <algorithm>
#include <cmath>

#include "study/study.h"

namespace plimsoll::study {

namespace {

/// A machine whose noise reaches further cannot tell variants apart that matter.
constexpr double kNoisy = 0.05;
/// Drift below this is not worth a word.
constexpr double kDrift = 0.02;

/// Speeds of the later half of the rounds over those of the earlier, each variant's in units of its
/// own median.
Estimate drift_of(const std::vector<const Latency*>& all, Sampled Latency::*figure) {
  std::vector<double> early, late;
  for (const Latency* latency : all) {
    const Sampled& speed = latency->*figure;
    const std::size_t half = speed.samples.size() / 2;
    for (std::size_t i = 0; i < half; ++i) {
      early.push_back(speed.samples[i] / speed.median);
      late.push_back(speed.samples[speed.samples.size() - 1 - i] / speed.median);
    }
  }
  if (early.empty()) return {1, std::nullopt};
  return ratio_of_medians(late, early, Pairing::independent);
}

bool is_drift(const Estimate& ratio) {
  return ratio.interval && (ratio.interval->low > 1 || ratio.interval->high < 1) &&
         std::abs(ratio.value - 1) > kDrift;
}

Pairing pairing_of(const Latency& a, const Latency& b) {
  return a.turns == b.turns && a.repeats == b.repeats ? Pairing::paired : Pairing::independent;
}

VersusBaseline versus_baseline(const Latency& variant, const Latency& baseline,
                               const std::optional<Noise>& noise) {
  const Pairing pairing = pairing_of(variant, baseline);
  const double decode = noise ? noise->floor_decode : 0, prefill = noise ? noise->floor_prefill : 0;
  return {
      versus_of_times(variant.end_to_end_seconds, baseline.end_to_end_seconds, pairing, decode),
      versus(variant.prefill_tokens_per_second, baseline.prefill_tokens_per_second, pairing,
             prefill),
      versus(variant.decode_tokens_per_second, baseline.decode_tokens_per_second, pairing, decode)};
}

Cost cost_of(const VariantResult& variant, std::optional<double> price_per_hour) {
  if (!price_per_hour) return {std::nullopt, "no --price-per-hour was given"};
  if (!variant.latency) return {std::nullopt, "not measured"};
  constexpr double kSecondsPerHour = 3600, kMillion = 1e6;
  const double per_second = variant.latency->decode_tokens_per_second.median;
  return {*price_per_hour / kSecondsPerHour / per_second * kMillion, std::nullopt};
}

}  // namespace

Versus verdict_on(const Estimate& ratio, double floor) {
  Versus result{ratio.value, std::nullopt, std::nullopt, "unknown"};
  if (!ratio.interval) return result;
  result.low = ratio.interval->low;
  result.high = ratio.interval->high;
  result.verdict = "no difference";
  if (*result.low > 1 && ratio.value > 1 + floor) result.verdict = "faster";
  if (*result.high < 1 && ratio.value < 1 / (1 + floor)) result.verdict = "slower";
  return result;
}

Versus versus(const Sampled& speed, const Sampled& base, Pairing pairing, double floor) {
  return verdict_on(ratio_of_medians(speed.samples, base.samples, pairing), floor);
}

Versus versus_of_times(const Sampled& seconds, const Sampled& base, Pairing pairing, double floor) {
  return verdict_on(ratio_of_medians(base.samples, seconds.samples, pairing), floor);
}

double noise_floor(const Estimate& ratio_with_itself) {
  if (!ratio_with_itself.interval) return std::abs(ratio_with_itself.value - 1);
  return std::max({ratio_with_itself.interval->high - 1, 1 - ratio_with_itself.interval->low, 0.0});
}

Noise noise_of(const std::string& variant, const Latency& first, const Latency& again,
               const std::vector<const Latency*>& all) {
  Noise noise;
  noise.variant = variant;
  noise.decode_tokens_per_second = again.decode_tokens_per_second;
  noise.prefill_tokens_per_second = again.prefill_tokens_per_second;
  noise.decode = ratio_of_medians(first.decode_tokens_per_second.samples,
                                  again.decode_tokens_per_second.samples, Pairing::paired);
  noise.prefill = ratio_of_medians(first.prefill_tokens_per_second.samples,
                                   again.prefill_tokens_per_second.samples, Pairing::paired);
  noise.floor_decode = noise_floor(noise.decode);
  noise.floor_prefill = noise_floor(noise.prefill);
  noise.drift.decode = drift_of(all, &Latency::decode_tokens_per_second);
  noise.drift.prefill = drift_of(all, &Latency::prefill_tokens_per_second);
  noise.drift.noticed = is_drift(noise.drift.decode) || is_drift(noise.drift.prefill);
  // One sample of each tells nothing of the machine.
  noise.noisy = noise.decode.interval && noise.prefill.interval &&
                std::max(noise.floor_decode, noise.floor_prefill) > kNoisy;
  return noise;
}

void draw_conclusions(Results& results) {
  const VariantResult* baseline = results.find(results.baseline);
  for (VariantResult& variant : results.variants) {
    variant.versus_baseline.reset();
    if (variant.latency && baseline != nullptr && baseline->latency) {
      variant.versus_baseline =
          versus_baseline(*variant.latency, *baseline->latency, results.noise);
    }
    variant.cost = cost_of(variant, results.run.flags.price_per_hour);
  }
  results.recommendations = recommend(results);
  results.recommended.reset();
  for (const Recommendation& recommendation : results.recommendations) {
    if (recommendation.workload == "chat") results.recommended = recommendation.variant;
  }
  results.warnings = warnings_about(results);
}

}  // namespace plimsoll::study
