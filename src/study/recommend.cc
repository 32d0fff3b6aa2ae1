#include <algorithm>

#include "study/criteria.h"
#include "study/study.h"

namespace plimsoll::study {

namespace {

/// Measured, judged where there is something to judge by, and within the budget.
bool is_eligible(const VariantResult& variant, const Results& results) {
  if (!variant.measured() || !variant.latency) return false;
  if (results.run.model.shape_only) return true;
  return variant.quality && variant.quality->ppl_ratio.value <= results.run.flags.max_ppl_ratio;
}

std::string times_text(const Versus& versus) {
  if (!versus.low) return fmt::format("{:.3f} times", versus.ratio);
  if (*versus.low == *versus.high) return fmt::format("{:.2f} times", versus.ratio);
  return fmt::format("{:.3f} times, 95 % interval {:.3f} to {:.3f}", versus.ratio, *versus.low,
                     *versus.high);
}

/// How sure the choice is, against the next best.
std::string confidence_of(const Criterion& work, const VariantResult& chosen,
                          const VariantResult* runner_up) {
  if (runner_up == nullptr) return "the only one within the budget";
  const Versus lead = work.better(chosen, *runner_up);
  if (lead.verdict == "unknown") {
    return fmt::format("one repeat tells nothing about noise; {} better than {}", times_text(lead),
                       runner_up->name);
  }
  if (lead.verdict == "faster") {
    return fmt::format("better than {} by {}", runner_up->name, times_text(lead));
  }
  return fmt::format("no measured difference from {} ({}): chosen for {}", runner_up->name,
                     times_text(lead),
                     work.preferred(chosen, *runner_up) ? work.preferred_for : "its better median");
}

std::vector<std::string> what_would_change(const Criterion& work, const VariantResult& chosen,
                                           const Results& results) {
  std::vector<std::string> changes = work.would_change;
  const double budget = results.run.flags.max_ppl_ratio;
  for (const VariantResult& other : results.variants) {
    if (!other.latency || !other.quality || other.quality->ppl_ratio.value <= budget) continue;
    const Versus lead = work.better(other, chosen);
    if (lead.verdict == "faster") {
      changes.push_back(fmt::format("--max-ppl-ratio {:.4f} or more: {} is better by {}",
                                    other.quality->ppl_ratio.value, other.name, times_text(lead)));
    }
  }
  if (chosen.quality && chosen.quality->ppl_ratio.interval &&
      chosen.quality->ppl_ratio.interval->high > budget) {
    changes.push_back(fmt::format(
        "a longer text: the perplexity ratio's interval, {:.4f} to {:.4f}, reaches beyond the "
        "budget of {:.2f}",
        chosen.quality->ppl_ratio.interval->low, chosen.quality->ppl_ratio.interval->high, budget));
  }
  for (const VariantResult& other : results.variants) {
    if (other.status == "does_not_fit") {
      changes.push_back(fmt::format("more memory: {} {}", other.name, other.reason.value_or("")));
    }
  }
  return changes;
}

Recommendation recommended(const Criterion& work, const Candidates& candidates,
                           const Results& results) {
  Recommendation result{work.name, work.title, std::nullopt, work.metric, std::nullopt,
                        {},        {},         std::nullopt, {}};
  if (candidates.empty()) {
    result.confidence = "nothing to choose from";
    result.reason =
        fmt::format("no variant is measured, judged and within a perplexity ratio of {:.2f}",
                    results.run.flags.max_ppl_ratio);
    return result;
  }
  const auto rank = [&](const VariantResult* variant) {
    const double value = work.figure(*variant)->value;
    return work.more_is_better ? -value : value;
  };
  Candidates ordered = candidates;
  std::ranges::stable_sort(ordered, {}, rank);
  const VariantResult* best = ordered.front();
  const VariantResult* chosen = best;
  for (const VariantResult* other : ordered) {
    if (other != best && work.better(*best, *other).verdict == "no difference" &&
        work.preferred(*other, *chosen)) {
      chosen = other;
    }
  }
  const VariantResult* runner_up = nullptr;
  for (const VariantResult* other : ordered) {
    if (other != chosen) {
      runner_up = other;
      break;
    }
  }
  result.variant = chosen->name;
  result.figure = work.figure(*chosen);
  result.confidence = confidence_of(work, *chosen, runner_up);
  if (runner_up != nullptr) result.runner_up = runner_up->name;
  const std::string memory = memory_text(memory_of(*chosen));
  result.reason = work.shown(result.figure->value);
  if (work.besides) result.reason += ", " + work.besides(*chosen);
  if (result.reason != memory) result.reason += ", " + memory;
  if (chosen->quality) {
    result.reason +=
        chosen->name == results.reference
            ? "; the reference for quality"
            : fmt::format(
                  "; perplexity {:.4f} times {}'s where {:.2f} is allowed, the same top "
                  "token at {:.1f} % of positions",
                  chosen->quality->ppl_ratio.value, results.reference,
                  results.run.flags.max_ppl_ratio, 100 * chosen->quality->same_top.value);
  }
  result.would_change = what_would_change(work, *chosen, results);
  return result;
}

}  // namespace

std::vector<Recommendation> recommend(const Results& results) {
  Candidates candidates;
  for (const VariantResult& variant : results.variants) {
    if (is_eligible(variant, results)) candidates.push_back(&variant);
  }
  std::vector<Recommendation> recommendations;
  for (const Criterion& work : criteria(results, candidates)) {
    recommendations.push_back(recommended(work, candidates, results));
  }
  return recommendations;
}

}  // namespace plimsoll::study
