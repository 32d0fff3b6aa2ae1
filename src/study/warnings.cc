#include <algorithm>

#include "quant/matrix.h"
#include "study/study.h"

namespace plimsoll::study {

namespace {

/// A loss of quality worth a warning.
constexpr double kLoss = 1.05;

bool is_quantised(const VariantResult& variant) {
  return !quant::is_dense(quant::format_from_name(variant.weights, "weights"));
}

std::string range(const Estimate& estimate) {
  if (!estimate.interval) return "interval unknown";
  return fmt::format("95 % interval {:.4f} to {:.4f}", estimate.interval->low,
                     estimate.interval->high);
}

void about_quality(const VariantResult& variant, const Results& results,
                   std::vector<Warning>& warnings) {
  const Estimate& ratio = variant.quality->ppl_ratio;
  if (is_quantised(variant) && ratio.interval && ratio.interval->high < 1) {
    warnings.push_back(
        {"beats_reference", variant.name,
         fmt::format("its perplexity beats {}'s, {:.4f} times ({}): quantising does not make a "
                     "model better, so the text is outside what the model was made for; judge by "
                     "the KL divergence, {:.4g} nats",
                     results.reference, ratio.value, range(ratio),
                     variant.quality->kl_mean.value)});
  }
  if (ratio.value > kLoss) {
    const bool is_calibrated = variant.weights == "gptq" || variant.weights == "int8-static";
    warnings.push_back(
        {"loss", variant.name,
         fmt::format("its perplexity is {:.4f} times {}'s ({}), a loss over 5 %: {}, or "
                     "quantisation-aware training, may lose less",
                     ratio.value, results.reference, range(ratio),
                     is_calibrated ? "a longer or closer text to calibrate on"
                                   : "gptq or another calibrated format")});
  }
}

void about_the_budget(const Results& results, std::vector<Warning>& warnings) {
  for (const VariantResult& variant : results.variants) {
    if (!variant.quality) continue;
    const Estimate& ratio = variant.quality->ppl_ratio;
    const double budget = results.run.flags.max_ppl_ratio;
    const bool is_taken = std::ranges::any_of(
        results.recommendations,
        [&](const Recommendation& taken) { return taken.variant == variant.name; });
    if (!is_taken || (ratio.interval && ratio.interval->high <= budget)) continue;
    warnings.push_back(
        {"may_exceed", variant.name,
         fmt::format("it is recommended, and may exceed the budget of {}: its perplexity is "
                     "{:.4f} times {}'s ({}); a longer --text tells it surer",
                     budget, ratio.value, results.reference, range(ratio))});
  }
  const auto unknown = std::ranges::find_if(results.variants, [](const VariantResult& variant) {
    return variant.measured() && !variant.quality && variant.quality_reason;
  });
  if (unknown != results.variants.end() && !results.run.model.shape_only) {
    warnings.push_back(
        {"not_judged", unknown->name,
         *unknown->quality_reason + "; nothing that was not judged is called within the budget"});
  }
}

/// Where figures are held against a ceiling that is none for them.
void about_caches(const Results& results, std::vector<Warning>& warnings) {
  std::vector<std::string> over;
  for (const VariantResult& variant : results.variants) {
    const auto& [prefill, decode] = variant.share_of_ceiling;
    std::vector<std::string> shares;
    if (decode.value_or(0) > 1) shares.push_back(fmt::format("{:.2f} in decoding", *decode));
    if (prefill.value_or(0) > 1) shares.push_back(fmt::format("{:.2f} in prefill", *prefill));
    if (!shares.empty()) {
      over.push_back(fmt::format("{} {}", variant.name, fmt::join(shares, " and ")));
    }
  }
  if (over.empty()) return;
  warnings.push_back(
      {"cached", std::nullopt,
       fmt::format(
           "shares of the ceiling over 1 ({}): the caches hold what is read for every token, "
           "and the ceiling is that of memory; a model that they do not hold runs slower "
           "for its size",
           fmt::join(over, ", "))});
}

void about_noise(const Noise& noise, std::vector<Warning>& warnings) {
  if (noise.noisy) {
    warnings.push_back(
        {"noisy", std::nullopt,
         fmt::format(
             "the machine is noisy: {} measured twice differs from itself by up to {:.1f} % "
             "in decoding and {:.1f} % in prefill; let nothing else run",
             noise.variant, 100 * noise.floor_decode, 100 * noise.floor_prefill)});
  }
  if (noise.drift.noticed) {
    warnings.push_back(
        {"drift", std::nullopt,
         fmt::format("the machine's speed changed during the study: later rounds ran at {:.3f} "
                     "(decoding) and {:.3f} (prefill) of the earlier; the variants took turns, so "
                     "ratios hold better than absolute figures",
                     noise.drift.decode.value, noise.drift.prefill.value)});
  }
}

void about_the_protocol(const Results& results, std::vector<Warning>& warnings) {
  const VariantResult* reference = results.find(results.reference);
  if (reference != nullptr && is_quantised(*reference) && !results.run.model.shape_only) {
    warnings.push_back({"reference", results.reference,
                        "the reference for quality is quantised itself: what was lost before it is "
                        "not seen"});
  }
  const bool one_by_one = std::ranges::any_of(results.variants, [](const VariantResult& variant) {
    return variant.latency && variant.latency->turns > 0;
  });
  if (one_by_one) {
    warnings.push_back({"one_after_another", std::nullopt,
                        "the weight formats do not fit the memory together: they were timed one "
                        "after another, so that drift of the machine is in their ratios"});
  }
  if (results.run.flags.repeats == 1) {
    warnings.push_back(
        {"one_repeat", std::nullopt,
         "one repeat tells nothing about noise: no difference in speed can be told"});
  }
}

}  // namespace

std::vector<Warning> warnings_about(const Results& results) {
  std::vector<Warning> warnings;
  for (const VariantResult& variant : results.variants) {
    if (variant.quality) about_quality(variant, results, warnings);
    if (variant.status == "failed") {
      warnings.push_back(
          {"failed", variant.name, variant.reason.value_or("it could not be loaded")});
    }
    for (const std::string& path : variant.slow_paths) {
      warnings.push_back({"slow_path", variant.name, path});
    }
  }
  if (results.noise) about_noise(*results.noise, warnings);
  about_the_budget(results, warnings);
  about_caches(results, warnings);
  about_the_protocol(results, warnings);
  return warnings;
}

}  // namespace plimsoll::study
