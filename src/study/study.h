// The study: every variant of a model measured side by side, and one of them recommended.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/progress.h"
#include "eval/latency.h"
#include "eval/perplexity.h"
#include "study/variant.h"

namespace plimsoll::study {

struct StudyOptions {
  std::string model;
  std::vector<Variant> variants;
  std::string text;      // what quality is judged on, UTF-8
  ops::Context context;  // of every variant, but for its attention
  int repeats = 5;       // after one warm-up
  std::int64_t prefill_tokens = 512;
  std::int64_t new_tokens = 100;
  double max_ppl_ratio = 1.05;            // worse variants are never recommended
  std::function<void(Model&)> on_loaded;  // each variant's model, before it is used (adapters)
  Progress progress;
};

struct VariantResult {
  Variant variant;
  std::int64_t weight_bytes = 0;
  std::int64_t kv_bytes = 0;  // for prompt and new tokens
  LatencySamples latency;
  std::optional<Perplexity> quality;  // none for shape: models
  std::string sample;                 // greedy text, empty for shape: models
};

struct Recommendation {
  std::size_t best = 0;  // index into variants
  std::string reason;
};

/// What --numerics invariant costs: one variant timed both ways, in turns.
struct NumericsCost {
  std::string variant;
  LatencySamples fast, invariant;

  /// Share of the time that invariant takes more; negative: less.
  double prefill() const { return fast.prefill_rate() / invariant.prefill_rate() - 1; }
  double decode() const { return fast.decode_rate() / invariant.decode_rate() - 1; }
};

struct StudyResult {
  std::string model;
  ops::Context context;  // but for the attention, which each variant names
  std::string sample_prompt;
  std::string decode_prompt;
  std::vector<VariantResult> variants;  // the first is the reference for quality
  Recommendation recommendation;
  std::optional<NumericsCost> numerics_cost;  // of the first variant that can be timed both ways
};

/// InputError when the text is too short for the model's windows or a variant's memory cannot be
/// had.
StudyResult run_study(const StudyOptions& options);

/// The fastest in decoding among those whose perplexity is within `max_ppl_ratio` of the reference;
/// of those that the measurements' spread cannot tell apart, the one that needs least memory.
Recommendation recommend(const std::vector<VariantResult>& variants, double max_ppl_ratio);

/// Table, samples and recommendation as text for a terminal.
std::string as_text(const StudyResult& result);
/// The same as JSON, raw samples included.
std::string as_json(const StudyResult& result);

}  // namespace plimsoll::study
