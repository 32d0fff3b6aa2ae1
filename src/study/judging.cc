#include "study/judging.h"

#include "engine/generate.h"
#include "eval/divergence.h"
#include "eval/fluency.h"

namespace plimsoll::study {

namespace {

constexpr std::int64_t kSampleTokens = 48;
/// Small models run in circles without it.
constexpr double kRepetitionPenalty = 1.1;

QualityFacts facts_of(const Perplexity& perplexity, const ops::Context& context) {
  QualityFacts facts;
  facts.protocol = protocol_name(perplexity.protocol.protocol);
  facts.window = perplexity.protocol.window;
  facts.stride = perplexity.protocol.stride;
  facts.tokens_scored = perplexity.tokens_scored;
  facts.nll = perplexity.nll;
  facts.ppl = perplexity.ppl;
  facts.ppl_stderr = perplexity.ppl_stderr;
  facts.compute = ops::compute_name(context.compute);
  return facts;
}

QualityFacts facts_of(const Divergence& divergence, const ops::Context& context) {
  QualityFacts facts = facts_of(divergence.candidate, context);
  facts.ppl_ratio = divergence.ppl_ratio;
  facts.kl_mean = divergence.kl_mean;
  for (const auto& [percent, estimate] : divergence.kl_percentiles) {
    facts.kl_percentiles[percent] = estimate.value;
  }
  facts.same_top = divergence.same_top;
  return facts;
}

QualityFacts facts_of_itself(const Perplexity& perplexity, const ops::Context& context) {
  QualityFacts facts = facts_of(perplexity, context);
  facts.ppl_ratio = {1, Interval{1, 1}};
  facts.kl_mean = {0, Interval{0, 0}};
  for (const char* percent : {"50", "90", "95", "99", "99.9"}) facts.kl_percentiles[percent] = 0;
  facts.same_top = {1, Interval{1, 1}};
  return facts;
}

}  // namespace

std::vector<QualityFacts> judge(std::span<const Runnable> candidates, const Runnable& reference,
                                const Material& material, const Progress& progress) {
  ScoreOptions options = material.scoring;
  options.progress = [&](const std::string&, std::int64_t done, std::int64_t total) {
    return !progress || progress("judging quality", done, total);
  };
  std::vector<QualityFacts> facts;
  if (candidates.empty()) {
    facts.push_back(
        facts_of_itself(perplexity(*reference.model, reference.context, material.judged, options),
                        reference.context));
    return facts;
  }
  std::vector<Scored> scored;
  scored.reserve(candidates.size());
  for (const Runnable& candidate : candidates) {
    scored.push_back({candidate.model, candidate.context});
  }
  const auto found =
      divergences(scored, {reference.model, reference.context}, material.judged, options);
  facts.reserve(found.size() + 1);
  for (std::size_t i = 0; i < found.size(); ++i) {
    facts.push_back(facts_of(found[i], candidates[i].context));
  }
  facts.push_back(facts_of_itself(found.front().reference, reference.context));
  return facts;
}

std::vector<Sample> samples_of(const Runnable& variant, const Material& material) {
  GenerateOptions options;
  options.max_new_tokens = kSampleTokens;
  options.sampling.repetition_penalty = kRepetitionPenalty;
  std::vector<Sample> samples;
  samples.reserve(material.sample_prompts.size());
  for (const SamplePrompt& prompt : material.sample_prompts) {
    const Generation generation = generate(*variant.model, variant.context, prompt.ids, options);
    const Fluency found = fluency(generation.ids);
    samples.push_back({prompt.text, material.tokenizer->decode(generation.ids),
                       static_cast<std::int64_t>(generation.ids.size()), found.distinct_1,
                       found.distinct_2, found.repetition});
  }
  return samples;
}

}  // namespace plimsoll::study
