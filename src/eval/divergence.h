// How far a model's predictions are from a reference's, token by token over the same windows.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

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

/// Every candidate against the reference, all in memory, in one pass. InputError when their
/// vocabularies differ.
std::vector<Divergence> divergences(std::span<const Scored> candidates, const Scored& reference,
                                    std::span<const std::int32_t> ids, const ScoreOptions& options);
/// Of one candidate.
Divergence divergence(const Scored& candidate, const Scored& reference,
                      std::span<const std::int32_t> ids, const ScoreOptions& options);

}  // namespace plimsoll
