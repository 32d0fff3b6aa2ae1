// How far a model's predictions are from a reference's, token by token over the same windows.
#pragma once

#include <map>
#include <string>

#include "eval/confidence.h"
#include "eval/perplexity.h"

namespace plimsoll {

struct Divergence {
  Perplexity candidate;
  Perplexity reference;
  Estimate kl_mean;                                // KL(reference || candidate), nats
  std::map<std::string, Estimate> kl_percentiles;  // "50", "90", "95", "99", "99.9"
  Estimate same_top;   // share of positions whose likeliest token is the same
  Estimate ppl_ratio;  // candidate over reference: exp of the mean difference of paired losses
  double rms_probability_change = 0;  // of the true token's probability
};

/// Both models in memory, one pass. InputError when their vocabularies differ.
Divergence divergence(const Scored& candidate, const Scored& reference,
                      std::span<const std::int32_t> ids, const ScoreOptions& options);

}  // namespace plimsoll
