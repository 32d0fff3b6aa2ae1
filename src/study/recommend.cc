#include <algorithm>
#include <functional>

#include "core/units.h"
#include "eval/statistics.h"
#include "study/study.h"
#include "study/verdicts.h"

namespace plimsoll::study {

namespace {

using Candidates = std::vector<const VariantResult*>;

/// A kind of work and what counts for it.
struct Workload {
  std::string name, title, metric;
  bool more_is_better = true;
  std::function<std::optional<Estimate>(const VariantResult&)> figure;
  /// How much better `a` is than `b`: above 1 is better.
  std::function<Versus(const VariantResult& a, const VariantResult& b)> better;
  std::function<std::string(double)> shown;
  /// Decides between those that `better` cannot tell apart: less wins.
  std::function<double(const VariantResult&)> tie_break;
  std::string tie_break_name;
  std::vector<std::string> would_change;
};

double memory_of(const VariantResult& variant) {
  const MemoryFacts& memory = variant.memory;
  return static_cast<double>(memory.weights_bytes + memory.kv_bytes + memory.workspace_bytes);
}

std::string memory_text(double bytes) {
  return format_bytes(static_cast<std::uint64_t>(bytes));
}

Pairing pairing_of(const VariantResult& a, const VariantResult& b) {
  return a.latency->turns == b.latency->turns && a.latency->repeats == b.latency->repeats
             ? Pairing::paired
             : Pairing::independent;
}

Estimate estimate_of(const Sampled& sampled) {
  return {sampled.median, sampled.interval};
}

/// The samples of a sweep over batches at the largest batch that all candidates have; none without.
std::optional<std::pair<std::int64_t, std::map<std::string, Sampled>>> largest_batch(
    const Results& results, const Candidates& candidates) {
  if (!results.sweeps.is_object()) return std::nullopt;
  std::map<std::int64_t, std::map<std::string, Sampled>> by_batch;
  for (const RawJson& point : results.sweeps.value("batch", RawJson::array())) {
    by_batch[point.at("value").get<std::int64_t>()][point.at("variant").get<std::string>()] =
        summarised(point.at("tokens_per_second").at("samples").get<std::vector<double>>());
  }
  for (auto batch = by_batch.rbegin(); batch != by_batch.rend(); ++batch) {
    const bool all = std::ranges::all_of(candidates, [&](const VariantResult* variant) {
      return batch->second.contains(variant->name);
    });
    if (all) return *batch;
  }
  return std::nullopt;
}

Workload chat(const Results& results) {
  const double floor = results.noise ? results.noise->floor_decode : 0;
  Workload work;
  work.name = "chat";
  work.title = "Single-user chat: low latency, batch 1";
  work.metric = "decode, tokens a second, batch 1";
  work.figure = [](const VariantResult& v) {
    return estimate_of(v.latency->decode_tokens_per_second);
  };
  work.better = [floor](const VariantResult& a, const VariantResult& b) {
    return versus(a.latency->decode_tokens_per_second, b.latency->decode_tokens_per_second,
                  pairing_of(a, b), floor);
  };
  work.shown = [](double value) { return fmt::format("{:.1f} tokens/s", value); };
  work.tie_break = memory_of;
  work.tie_break_name = "less memory";
  return work;
}

Workload batch(const Results& results, const Candidates& candidates) {
  Workload work = chat(results);
  work.name = "batch";
  work.title = "Batch processing: throughput, long contexts";
  if (const auto point = largest_batch(results, candidates)) {
    const std::map<std::string, Sampled>& speeds = point->second;
    work.metric = fmt::format("tokens a second over {} sequences at once", point->first);
    work.figure = [speeds](const VariantResult& v) { return estimate_of(speeds.at(v.name)); };
    const double floor = results.noise ? results.noise->floor_decode : 0;
    work.better = [speeds, floor](const VariantResult& a, const VariantResult& b) {
      return versus(speeds.at(a.name), speeds.at(b.name), Pairing::independent, floor);
    };
    return work;
  }
  const double floor = results.noise ? results.noise->floor_prefill : 0;
  work.metric =
      fmt::format("prefill, tokens a second, {} tokens", results.run.flags.prefill_tokens);
  work.figure = [](const VariantResult& v) {
    return estimate_of(v.latency->prefill_tokens_per_second);
  };
  work.better = [floor](const VariantResult& a, const VariantResult& b) {
    return versus(a.latency->prefill_tokens_per_second, b.latency->prefill_tokens_per_second,
                  pairing_of(a, b), floor);
  };
  work.would_change.emplace_back("batches, which --full measures: this rests on prefill alone");
  return work;
}

Workload edge() {
  Workload work;
  work.name = "edge";
  work.title = "Edge device: memory first";
  work.metric = "bytes of weights, KV cache and workspace";
  work.more_is_better = false;
  work.figure = [](const VariantResult& v) { return Estimate{memory_of(v), std::nullopt}; };
  work.better = [](const VariantResult& a, const VariantResult& b) {
    constexpr double kAlike = 1.01;
    const double ratio = memory_of(b) / memory_of(a);
    return Versus{ratio, ratio, ratio,
                  ratio > kAlike       ? "faster"
                  : ratio * kAlike < 1 ? "slower"
                                       : "no difference"};
  };
  work.shown = memory_text;
  work.tie_break = [](const VariantResult& v) {
    return -v.latency->decode_tokens_per_second.median;
  };
  work.tie_break_name = "faster decoding";
  return work;
}

Workload realtime(const Results& results) {
  Workload work = chat(results);
  work.name = "realtime";
  work.title = "Real-time API: tail latency";
  work.metric = fmt::format("95th percentile of end-to-end seconds, {} new tokens, batch 1",
                            results.run.flags.new_tokens);
  work.more_is_better = false;
  constexpr double kTail = 0.95;
  work.figure = [](const VariantResult& v) {
    return Estimate{quantile(v.latency->end_to_end_seconds.samples, kTail), std::nullopt};
  };
  const double floor = results.noise ? results.noise->floor_decode : 0;
  work.better = [floor](const VariantResult& a, const VariantResult& b) {
    return versus_of_times(a.latency->end_to_end_seconds, b.latency->end_to_end_seconds,
                           pairing_of(a, b), floor);
  };
  work.shown = [](double value) { return fmt::format("{:.3f} s", value); };
  work.would_change.emplace_back(
      "requests that come together: what they cost each other is not measured at batch 1");
  return work;
}

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
std::string confidence_of(const Workload& work, const VariantResult& chosen,
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
                     times_text(lead), work.tie_break_name);
}

std::vector<std::string> what_would_change(const Workload& work, const VariantResult& chosen,
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

Recommendation recommended(const Workload& work, const Candidates& candidates,
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
        work.tie_break(*other) < work.tie_break(*chosen)) {
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
  const std::vector<Workload> workloads{chat(results), batch(results, candidates), edge(),
                                        realtime(results)};
  std::vector<Recommendation> recommendations;
  recommendations.reserve(workloads.size());
  for (const Workload& work : workloads) {
    recommendations.push_back(recommended(work, candidates, results));
  }
  return recommendations;
}

}  // namespace plimsoll::study
