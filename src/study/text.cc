#include "study/study.h"
#include "study/tables.h"

namespace plimsoll::study {

namespace {

constexpr std::size_t kWidth = 96;

std::string how_measured(const Results& results) {
  const RunFacts& run = results.run;
  std::string text = fmt::format(
      "{} arithmetic, also for the quality. Speeds are {} after a warm-up, "
      "batch "
      "1, greedy: prefill of {} tokens; {} new tokens after \"{}\". KL divergence (nats), ratio of "
      "perplexities and same top token are against {}, \"vs base\" is the speed of decoding "
      "against "
      "{}.",
      run.flags.compute, repeats_text(run.flags.repeats), run.flags.prefill_tokens,
      run.flags.new_tokens, run.flags.decode_prompt, results.reference, results.baseline);
  const VariantResult* reference = results.find(results.reference);
  if (reference != nullptr && reference->quality) {
    const QualityFacts& quality = *reference->quality;
    text += fmt::format(" Perplexity: protocol {}, window {}, {} tokens scored.", quality.protocol,
                        quality.window, quality.tokens_scored);
  } else if (run.model.shape_only) {
    text += " Weights are random: nothing is said about quality.";
  }
  if (reference != nullptr && !reference->measured() && reference->quality) {
    text += fmt::format(" {} is there to judge by, and was not timed ({}).", reference->name,
                        reference->reason.value_or(reference->status));
  }
  if (run.calibration) text += " " + calibration_text(*run.calibration);
  if (results.noise && run.flags.repeats == 1) {
    text += " Noise: not known, because one repeat tells nothing about it.";
  } else if (results.noise) {
    text += fmt::format(
        " Noise: {} measured twice differs from itself by up to {:.1f} % in decoding, {:.1f} % in "
        "prefill; \"same\" is a difference inside it.",
        results.noise->variant, 100 * results.noise->floor_decode,
        100 * results.noise->floor_prefill);
  }
  if (results.numerics_cost.is_object()) text += " " + numerics_text(results);
  return wrapped(text, kWidth, "");
}

std::string samples(const Results& results) {
  std::string text;
  for (const VariantResult& variant : results.variants) {
    if (variant.samples.empty()) continue;
    const Sample& sample = variant.samples.front();
    if (text.empty()) text = fmt::format("\nSamples, greedy, after \"{}\":\n", sample.prompt);
    text += fmt::format("  {}\n{}", variant.name, wrapped(sample.text, kWidth, "    "));
  }
  return text;
}

}  // namespace

std::string as_text(const Results& results) {
  std::string text = "\n" + variant_table(results, TableStyle::plain) + "\n" +
                     how_measured(results) + samples(results);
  if (!results.warnings.empty()) text += "\nWarnings\n";
  for (const Warning& warning : results.warnings) {
    text += wrapped((warning.variant ? *warning.variant + ": " : "") + warning.text, kWidth, "  ");
  }
  text += "\nWhich to take\n";
  for (const Recommendation& r : results.recommendations) {
    text += fmt::format("  {}: {}\n", r.title, r.variant.value_or("none"));
    text += wrapped(r.reason + ". How sure: " + r.confidence + ".", kWidth, "    ");
    for (const std::string& change : r.would_change) {
      text += wrapped("would change it: " + change, kWidth, "    ");
    }
  }
  return text;
}

}  // namespace plimsoll::study
