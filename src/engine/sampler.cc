#include "engine/sampler.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "core/error.h"
#include "core/trace.h"

namespace plimsoll {

namespace {

struct Candidate {
  double logit;
  std::int32_t id;
};

void require(bool ok, std::string_view flag, double found, std::string_view expected) {
  if (!ok) throw InputError(flag, "value", fmt::format("{}", found), expected);
}

std::int32_t likeliest(std::span<const float> logits) {
  return static_cast<std::int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

/// Softmax of the candidates, in place of their logits.
void to_probabilities(std::vector<Candidate>& candidates) {
  const double largest = candidates.front().logit;
  double total = 0;
  for (Candidate& candidate : candidates)
    total += candidate.logit = std::exp(candidate.logit - largest);
  for (Candidate& candidate : candidates) candidate.logit /= total;
}

}  // namespace

void SamplingOptions::check() const {
  require(temperature >= 0 && std::isfinite(temperature), "--temperature", temperature,
          "a number >= 0");
  require(top_k >= 0, "--top-k", static_cast<double>(top_k), "a number >= 0");
  require(top_p > 0 && top_p <= 1, "--top-p", top_p, "a number in (0, 1]");
  require(min_p >= 0 && min_p <= 1, "--min-p", min_p, "a number in [0, 1]");
  require(repetition_penalty > 0 && std::isfinite(repetition_penalty), "--repetition-penalty",
          repetition_penalty, "a number > 0");
}

Sampler::Sampler(const SamplingOptions& options) : options_(options), rng_(options.seed) {
  options.check();
}

std::int32_t Sampler::sample(std::span<const float> logits, std::span<const std::int32_t> history) {
  PLIMSOLL_CHECK(!logits.empty());
  const trace::Part part("sampling");
  const trace::Scope scope("sample", static_cast<std::int64_t>(logits.size_bytes()), 0);
  if (!std::ranges::all_of(logits, [](float logit) { return std::isfinite(logit); })) {
    throw InputError("the model", "logits", "NaN or infinity",
                     "finite numbers: its weights are damaged");
  }
  std::vector<float> penalised;
  if (options_.repetition_penalty != 1) {
    penalised.assign(logits.begin(), logits.end());
    const auto penalty = static_cast<float>(options_.repetition_penalty);
    for (const std::int32_t id : std::set<std::int32_t>(history.begin(), history.end())) {
      float& logit = penalised[static_cast<std::size_t>(id)];
      logit = logit > 0 ? logit / penalty : logit * penalty;
    }
    logits = penalised;
  }
  if (options_.temperature == 0) return likeliest(logits);

  std::vector<Candidate> candidates;
  for (std::size_t id = 0; id < logits.size(); ++id) {
    candidates.push_back(
        {static_cast<double>(logits[id]) / options_.temperature, static_cast<std::int32_t>(id)});
  }
  const auto likelier = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  };
  std::sort(candidates.begin(), candidates.end(), likelier);
  if (options_.top_k > 0 && static_cast<std::size_t>(options_.top_k) < candidates.size()) {
    candidates.resize(static_cast<std::size_t>(options_.top_k));
  }
  to_probabilities(candidates);

  // Sorted, so every filter keeps a prefix, and never less than the likeliest.
  double reached = 0;
  std::size_t kept = 0;
  while (kept < candidates.size() && reached < options_.top_p) reached += candidates[kept++].logit;
  const double least = options_.min_p * candidates.front().logit;
  while (kept > 1 && candidates[kept - 1].logit < least) reached -= candidates[--kept].logit;

  double left = rng_.uniform() * reached;
  for (std::size_t i = 0; i < kept; ++i) {
    left -= candidates[i].logit;
    if (left < 0) return candidates[i].id;
  }
  return candidates[kept - 1].id;
}

}  // namespace plimsoll
