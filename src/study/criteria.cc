#include "study/criteria.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/error.h"
#include "core/units.h"
#include "study/verdicts.h"

namespace plimsoll::study {

namespace {

double floor_of(const Results& results, double Noise::*which) {
  return results.noise ? (*results.noise).*which : 0;
}

std::string floor_text(const Results& results, double Noise::*which) {
  if (!results.noise) return {};
  return fmt::format(
      "inside the noise floor: {} measured twice differs from itself by up to {:.1f} %",
      results.noise->variant, 100 * (*results.noise).*which);
}

Pairing pairing_of(const VariantResult& a, const VariantResult& b) {
  return a.latency->turns == b.latency->turns && a.latency->repeats == b.latency->repeats
             ? Pairing::paired
             : Pairing::independent;
}

Estimate estimate_of(const Sampled& sampled) {
  return {sampled.median, sampled.interval};
}

/// By more than what comes and goes of a process's workspace; weights and cache are exact.
bool needs_less(const VariantResult& a, const VariantResult& b) {
  constexpr double kShare = 0.01, kBytes = 1e6;
  const auto less_workspace =
      static_cast<double>(b.memory.workspace_bytes - a.memory.workspace_bytes);
  const double allowance = std::max(kBytes, kShare * memory_of(b));
  return memory_of(b) - memory_of(a) > std::clamp(less_workspace, 0.0, allowance);
}

/// The points of one variant by batch.
using BatchPoints = std::map<std::int64_t, const SweepPoint*>;

/// Of every variant that was measured at each batch at which all candidates were.
std::map<std::string, BatchPoints> swept_by_variant(const Results& results,
                                                    const Candidates& candidates) {
  std::map<std::string, BatchPoints> swept;
  if (!results.sweeps || candidates.empty()) return swept;
  for (const SweepPoint& point : results.sweeps->batch) swept[point.variant][point.value] = &point;
  BatchPoints shared = swept[candidates.front()->name];
  for (const VariantResult* candidate : candidates) {
    std::erase_if(shared,
                  [&](const auto& point) { return !swept[candidate->name].contains(point.first); });
  }
  for (auto& [variant, points] : swept) {
    std::erase_if(points, [&](const auto& point) { return !shared.contains(point.first); });
  }
  std::erase_if(swept, [&](const auto& entry) {
    return shared.empty() || entry.second.size() < shared.size();
  });
  return swept;
}

Pairing pairing_of(const BatchPoints& a, const BatchPoints& b) {
  const bool paired = std::ranges::all_of(a, [&](const auto& entry) {
    const SweepPoint &first = *entry.second, &second = *b.at(entry.first);
    return first.turns == second.turns &&
           first.tokens_per_second.samples.size() == second.tokens_per_second.samples.size();
  });
  return paired ? Pairing::paired : Pairing::independent;
}

/// `better` where both were swept; variants outside the budget may not have been.
auto where_swept(const std::map<std::string, BatchPoints>& swept,
                 const decltype(Criterion::better)& better) {
  return [swept, better](const VariantResult& a, const VariantResult& b) {
    if (swept.contains(a.name) && swept.contains(b.name)) return better(a, b);
    return Versus{1, std::nullopt, std::nullopt, "unknown"};
  };
}

Criterion chat(const Results& results) {
  const double floor = floor_of(results, &Noise::floor_decode);
  Criterion work;
  work.overruled_by = floor_text(results, &Noise::floor_decode);
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
  work.preferred = needs_less;
  work.preferred_for = "less memory";
  return work;
}

Criterion batch(const Results& results, const Candidates& candidates) {
  Criterion work = chat(results);
  work.name = "batch";
  work.title = "Batch processing: throughput, long contexts";
  const auto swept = swept_by_variant(results, candidates);
  if (!swept.empty()) {
    const std::int64_t largest = swept.begin()->second.rbegin()->first;
    const auto speed = [swept, largest](const VariantResult& v) -> const Sampled& {
      return swept.at(v.name).at(largest)->tokens_per_second;
    };
    const double floor = floor_of(results, &Noise::floor_decode);
    work.metric = fmt::format("tokens a second over {} sequences at once", largest);
    work.figure = [speed](const VariantResult& v) { return estimate_of(speed(v)); };
    work.better =
        where_swept(swept, [speed, swept, floor](const VariantResult& a, const VariantResult& b) {
          return versus(speed(a), speed(b), pairing_of(swept.at(a.name), swept.at(b.name)), floor);
        });
    return work;
  }
  const double floor = floor_of(results, &Noise::floor_prefill);
  work.metric =
      fmt::format("prefill, tokens a second, {} tokens", results.run.flags.prefill_tokens);
  work.figure = [](const VariantResult& v) {
    return estimate_of(v.latency->prefill_tokens_per_second);
  };
  work.better = [floor](const VariantResult& a, const VariantResult& b) {
    return versus(a.latency->prefill_tokens_per_second, b.latency->prefill_tokens_per_second,
                  pairing_of(a, b), floor);
  };
  work.overruled_by = floor_text(results, &Noise::floor_prefill);
  work.would_change.emplace_back("batches, which --full measures: this rests on prefill alone");
  return work;
}

Criterion edge() {
  Criterion work;
  work.name = "edge";
  work.title = "Edge device: memory first";
  work.metric = "bytes of weights, KV cache and workspace";
  work.more_is_better = false;
  work.memory_first = true;
  work.figure = [](const VariantResult& v) { return Estimate{memory_of(v), std::nullopt}; };
  work.better = [](const VariantResult& a, const VariantResult& b) {
    const double ratio = memory_of(b) / memory_of(a);
    return Versus{ratio, ratio, ratio,
                  needs_less(a, b)   ? "faster"
                  : needs_less(b, a) ? "slower"
                                     : "no difference"};
  };
  work.shown = memory_text;
  work.preferred = [](const VariantResult& a, const VariantResult& b) {
    return a.latency->decode_tokens_per_second.median > b.latency->decode_tokens_per_second.median;
  };
  work.preferred_for = "faster decoding";
  work.overruled_by = "apart by no more than the 1 MB, or 1 %, of workspace that come and go";
  return work;
}

constexpr double kTail = 0.95, kFarTail = 0.99;

/// The tail of what `seconds` gives, a group for each load.
void go_by_tail(Criterion& work, const Results& results,
                const std::function<SampleGroups(const VariantResult&)>& seconds,
                const std::function<Pairing(const VariantResult&, const VariantResult&)>& pairing,
                const std::function<std::string(double)>& shown) {
  const double floor = floor_of(results, &Noise::floor_decode);
  work.more_is_better = false;
  work.figure = [seconds](const VariantResult& v) {
    return Estimate{pooled_quantile(seconds(v), kTail), std::nullopt};
  };
  work.better = [seconds, pairing, floor](const VariantResult& a, const VariantResult& b) {
    return verdict_on(ratio_of_quantiles(seconds(b), seconds(a), kTail, pairing(b, a)), floor);
  };
  work.shown = shown;
  work.besides = [seconds, shown](const VariantResult& v) {
    return shown(pooled_quantile(seconds(v), kFarTail)) + " at the 99th percentile";
  };
}

Criterion realtime(const Results& results, const Candidates& candidates) {
  Criterion work = chat(results);
  work.name = "realtime";
  work.title = "Real-time API: tail latency under varying load";
  const auto swept = swept_by_variant(results, candidates);
  if (swept.empty()) {
    work.metric = fmt::format("95th percentile of end-to-end seconds, {} new tokens, batch 1",
                              results.run.flags.new_tokens);
    go_by_tail(
        work, results,
        [](const VariantResult& v) { return SampleGroups{v.latency->end_to_end_seconds.samples}; },
        [](const VariantResult& a, const VariantResult& b) { return pairing_of(a, b); },
        [](double value) { return fmt::format("{:.3g} s", value); });
    work.would_change.emplace_back(
        "varying load, which --full measures: this rests on batch 1 alone, where no request waits "
        "for another");
    return work;
  }
  std::vector<std::int64_t> batches;
  for (const auto& [value, point] : swept.begin()->second) batches.push_back(value);
  work.metric = fmt::format(
      "95th percentile of the seconds that a request waits for a token, with {} requests at once "
      "alike "
      "often",
      fmt::join(batches, ", "));
  go_by_tail(
      work, results,
      [swept](const VariantResult& v) {
        SampleGroups groups;
        for (const auto& [value, point] : swept.at(v.name)) {
          std::vector<double>& group = groups.emplace_back();
          for (const double rate : point->tokens_per_second.samples) {
            group.push_back(static_cast<double>(value) / rate);
          }
        }
        return groups;
      },
      [swept](const VariantResult& a, const VariantResult& b) {
        return pairing_of(swept.at(a.name), swept.at(b.name));
      },
      [](double value) { return fmt::format("{:.3g} ms a token", 1e3 * value); });
  work.better = where_swept(swept, work.better);
  work.would_change.emplace_back(
      "other loads than these, or prompts that arrive in between: batches of equal requests were "
      "measured");
  return work;
}

}  // namespace

double memory_of(const VariantResult& variant) {
  const MemoryFacts& memory = variant.memory;
  return static_cast<double>(memory.weights_bytes + memory.kv_bytes + memory.workspace_bytes);
}

std::string memory_text(double bytes) {
  return format_bytes(static_cast<std::uint64_t>(bytes));
}

std::vector<Criterion> criteria(const Results& results, const Candidates& candidates) {
  return {chat(results), batch(results, candidates), edge(), realtime(results, candidates)};
}

}  // namespace plimsoll::study
