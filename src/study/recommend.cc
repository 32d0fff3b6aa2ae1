#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>

#include "study/criteria.h"
#include "study/study.h"

namespace plimsoll::study {

namespace {

/// How a variant's loss of quality stands to the budget. Beyond it goes by the value; within it by
/// the interval's upper end.
enum class Budget { within, may_exceed, beyond, unknown };

Budget budget_of(const VariantResult& variant, const Results& results) {
  if (results.run.model.shape_only) return Budget::within;
  if (!variant.quality) return Budget::unknown;
  const Estimate& ratio = variant.quality->ppl_ratio;
  const double most = results.run.flags.max_ppl_ratio;
  if (ratio.value > most) return Budget::beyond;
  return ratio.interval && ratio.interval->high <= most ? Budget::within : Budget::may_exceed;
}

/// A value for --max-ppl-ratio that lets `ratio` pass: never rounded down.
std::string threshold_text(double ratio) {
  constexpr double kDigits = 1e4;
  double rounded = std::round(ratio * kDigits);
  if (rounded / kDigits < ratio) ++rounded;
  return fmt::format("{:.4f}", rounded / kDigits);
}

/// What a ratio of perplexities may be beside the value, for a sentence.
std::string range_text(const Estimate& ratio) {
  if (!ratio.interval) return "one window, which tells no interval";
  return fmt::format("95 % interval {:.4f} to {:.4f}", ratio.interval->low, ratio.interval->high);
}

std::string times_text(const Versus& versus) {
  if (!versus.low) return fmt::format("{:.3f} times", versus.ratio);
  if (*versus.low == *versus.high) return fmt::format("{:.2f} times", versus.ratio);
  return fmt::format("{:.3f} times, 95 % interval {:.3f} to {:.3f}", versus.ratio, *versus.low,
                     *versus.high);
}

/// How sure the choice is, against the next best.
std::string confidence_of(const Criterion& work, const VariantResult& chosen,
                          const VariantResult* runner_up, const Results& results) {
  if (runner_up == nullptr) return "the only one within the budget";
  const Versus lead = work.better(chosen, *runner_up);
  if (lead.verdict == "faster") {
    return fmt::format("better than {} by {}", runner_up->name, times_text(lead));
  }
  const bool is_surer = budget_of(chosen, results) == Budget::within &&
                        budget_of(*runner_up, results) == Budget::may_exceed;
  const std::string surer = fmt::format("its quality: {} may exceed the budget", runner_up->name);
  if (lead.verdict == "unknown") {
    return fmt::format("one repeat tells nothing about noise; {} {} {}{}", times_text(lead),
                       lead.ratio < 1 ? "as good as" : "better than", runner_up->name,
                       is_surer ? ", chosen for " + surer : "");
  }
  const bool leaves_out_1 = lead.low && (*lead.low > 1 || *lead.high < 1);
  return fmt::format("no measured difference from {} ({}{}): chosen for {}", runner_up->name,
                     times_text(lead),
                     leaves_out_1 && !work.overruled_by.empty() ? "; " + work.overruled_by : "",
                     is_surer                             ? surer
                     : work.preferred(chosen, *runner_up) ? work.preferred_for
                                                          : "its better median");
}

std::vector<std::string> what_would_change(const Criterion& work, const VariantResult& chosen,
                                           const Candidates& candidates, const Results& results) {
  std::vector<std::string> changes = work.would_change;
  const double budget = results.run.flags.max_ppl_ratio;
  for (const VariantResult& other : results.variants) {
    if (!other.latency || budget_of(other, results) != Budget::beyond) continue;
    const Versus lead = work.better(other, chosen);
    if (lead.verdict == "faster") {
      changes.push_back(fmt::format("--max-ppl-ratio {} or more: {} is better by {}",
                                    threshold_text(other.quality->ppl_ratio.value), other.name,
                                    times_text(lead)));
    }
  }
  if (budget_of(chosen, results) == Budget::may_exceed) {
    changes.push_back(
        fmt::format("a longer text, which tells surer whether its quality is within "
                    "the budget of {}",
                    budget));
  }
  for (const VariantResult* other : candidates) {
    if (other == &chosen || budget_of(*other, results) != Budget::may_exceed ||
        budget_of(chosen, results) != Budget::within || !work.preferred(*other, chosen) ||
        work.better(chosen, *other).verdict != "no difference") {
      continue;
    }
    changes.push_back(fmt::format(
        "a longer text that shows {} within the budget, for {}: its perplexity is {:.4f} times "
        "({})",
        other->name, work.preferred_for, other->quality->ppl_ratio.value,
        range_text(other->quality->ppl_ratio)));
    break;  // the best of them
  }
  if (work.memory_first) return changes;  // what does not fit needs more than what was chosen
  for (const VariantResult& other : results.variants) {
    if (other.status == "does_not_fit") {
      changes.push_back(fmt::format("more memory might: {} was not measured, it {}", other.name,
                                    other.reason.value_or("does not fit")));
    }
  }
  return changes;
}

/// The one to take of `ordered`, the best figure first. One that may exceed the budget is taken
/// only where it is better, beyond the noise, than every one that surely does not.
const VariantResult* choice(const Criterion& work, const Candidates& ordered,
                            const Results& results) {
  const VariantResult* best = ordered.front();
  const auto sure = [&](const VariantResult* variant) {
    return budget_of(*variant, results) == Budget::within;
  };
  const auto is_beaten = [&](const VariantResult* other) {
    return other != best && work.better(*best, *other).verdict == "faster";
  };
  Candidates level;
  std::ranges::copy_if(ordered, std::back_inserter(level), std::not_fn(is_beaten));
  if (std::ranges::any_of(level, sure)) std::erase_if(level, std::not_fn(sure));
  const VariantResult* chosen = level.front();
  for (const VariantResult* other : level) {
    if (other != level.front() && work.better(*level.front(), *other).verdict == "no difference" &&
        work.preferred(*other, *chosen)) {
      chosen = other;
    }
  }
  return chosen;
}

/// What is said of quality where `chosen` is recommended.
std::string quality_text(const VariantResult& chosen, const Results& results) {
  if (!chosen.quality) return "";
  if (chosen.name == results.reference) return "; the reference for quality";
  const Estimate& ratio = chosen.quality->ppl_ratio;
  std::string text = fmt::format("; perplexity {:.4f} times {}'s where {} is allowed", ratio.value,
                                 results.reference, results.run.flags.max_ppl_ratio);
  if (budget_of(chosen, results) == Budget::may_exceed) {
    text += fmt::format(", which it may exceed ({})", range_text(ratio));
  }
  return text + fmt::format(", the same top token at {:.1f} % of positions",
                            100 * chosen.quality->same_top.value);
}

Candidates by_figure(const Criterion& work, Candidates candidates) {
  std::ranges::stable_sort(candidates, {}, [&](const VariantResult* variant) {
    const double value = work.figure(*variant)->value;
    return work.more_is_better ? -value : value;
  });
  return candidates;
}

/// None is within the budget, or of none it is known. Of those, what leads by the figure alone.
void take_none(Recommendation& result, const Criterion& work, const Candidates& unjudged,
               const Results& results) {
  result.confidence = "nothing to choose from";
  result.reason = fmt::format("no variant is measured, judged and within a perplexity ratio of {}",
                              results.run.flags.max_ppl_ratio);
  const VariantResult* least = nullptr;
  for (const VariantResult& variant : results.variants) {
    if (!variant.measured() || budget_of(variant, results) != Budget::beyond) continue;
    const auto loss = [](const VariantResult& v) { return v.quality->ppl_ratio.value; };
    if (least == nullptr || loss(variant) < loss(*least)) least = &variant;
  }
  if (least != nullptr) {
    result.would_change.push_back(fmt::format("--max-ppl-ratio {} or more: {} loses least",
                                              threshold_text(least->quality->ppl_ratio.value),
                                              least->name));
  }
  if (unjudged.empty()) return;
  const Candidates ordered = by_figure(work, unjudged);
  const VariantResult& leads = *ordered.front();
  result.confidence = "quality is not known, so that none is called within the budget";
  result.reason += fmt::format("; by the figure alone {} leads, {}", leads.name,
                               work.shown(work.figure(leads)->value));
  if (ordered.size() > 1) {
    const Versus lead = work.better(leads, *ordered[1]);
    result.reason += fmt::format(
        ", {} {}", lead.verdict == "no difference" ? "no measured difference from" : "better than",
        ordered[1]->name + ": " + times_text(lead));
  }
  result.would_change.push_back(leads.quality_reason.value_or("its quality was not judged"));
}

Recommendation recommended(const Criterion& work, const Candidates& candidates,
                           const Candidates& unjudged, const Results& results) {
  Recommendation result{work.name, work.title, std::nullopt, work.metric, std::nullopt,
                        {},        {},         std::nullopt, {}};
  if (candidates.empty()) {
    take_none(result, work, unjudged, results);
    return result;
  }
  const Candidates ordered = by_figure(work, candidates);
  const VariantResult* chosen = choice(work, ordered, results);
  const auto runner_up =
      std::ranges::find_if(ordered, [&](const auto* other) { return other != chosen; });
  result.variant = chosen->name;
  result.figure = work.figure(*chosen);
  result.confidence =
      confidence_of(work, *chosen, runner_up == ordered.end() ? nullptr : *runner_up, results);
  if (runner_up != ordered.end()) result.runner_up = (*runner_up)->name;
  const std::string memory = memory_text(memory_of(*chosen));
  result.reason = work.shown(result.figure->value);
  if (work.besides) result.reason += ", " + work.besides(*chosen);
  if (result.reason != memory) result.reason += ", " + memory;
  result.reason += quality_text(*chosen, results);
  result.would_change = what_would_change(work, *chosen, ordered, results);
  return result;
}

}  // namespace

std::vector<Recommendation> recommend(const Results& results) {
  Candidates candidates, unjudged;
  for (const VariantResult& variant : results.variants) {
    if (!variant.measured() || !variant.latency) continue;
    const Budget budget = budget_of(variant, results);
    if (budget == Budget::unknown) unjudged.push_back(&variant);
    if (budget == Budget::within || budget == Budget::may_exceed) candidates.push_back(&variant);
  }
  std::vector<Recommendation> recommendations;
  for (const Criterion& work : criteria(results, candidates.empty() ? unjudged : candidates)) {
    recommendations.push_back(recommended(work, candidates, unjudged, results));
  }
  return recommendations;
}

}  // namespace plimsoll::study
