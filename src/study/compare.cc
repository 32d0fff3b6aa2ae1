#include "study/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace plimsoll::study {

namespace {

/// Between two runs a machine differs from itself by more than between turns of one run.
constexpr double kLeastSpeedNoise = 0.02;
/// What is counted moves by no more than the rounding of allocators.
constexpr double kMemoryNoise = 0.02;
/// What is measured of a process moves with the allocator and with what the libraries keep.
constexpr double kWorkspaceNoise = 0.15, kWorkspaceBytes = 1e6, kPeakBytes = 4e6;
constexpr double kLeastQualityNoise = 0.002;

class Comparer {
 public:
  Comparer(const Results& before, const Results& after) : before_(before), after_(after) {}

  Comparison run() {
    note("model weights", before_.run.model.weights_sha256.value_or("none"),
         after_.run.model.weights_sha256.value_or("none"));
    note("machine", before_.run.machine.cpu, after_.run.machine.cpu);
    note("threads", std::to_string(before_.run.machine.threads),
         std::to_string(after_.run.machine.threads));
    note("program", before_.run.build_commit, after_.run.build_commit);
    about(before_, "before");
    about(after_, "after");
    const bool same_text = note("text", text_of(before_), text_of(after_));
    const bool same_work = note("workload", workload_of(before_), workload_of(after_));
    if (before_.run.ceilings && after_.run.ceilings) {
      comparison_.notes.push_back(fmt::format("memory read at {:.1f} GB/s before, {:.1f} after",
                                              before_.run.ceilings->read_gbps,
                                              after_.run.ceilings->read_gbps));
    }
    for (const VariantResult& old : before_.variants) {
      if (!old.measured()) continue;
      const VariantResult* now = after_.find(old.name);
      if (now == nullptr || !now->measured()) {
        comparison_.worse = true;
        comparison_.notes.push_back(
            fmt::format("{} was measured before and is not now{}", old.name,
                        now != nullptr && now->reason ? ": " + *now->reason : ""));
        continue;
      }
      if (same_work) speeds(old, *now);
      weights(old, *now);
      if (same_work) memory(old, *now);
      if (same_text && old.quality && now->quality) quality(old, *now);
      if (same_text && old.quality && !now->quality) {
        comparison_.worse = true;
        comparison_.notes.push_back(
            fmt::format("{} was judged before and is not now{}", old.name,
                        now->quality_reason ? ": " + *now->quality_reason : ""));
      }
    }
    return std::move(comparison_);
  }

 private:
  /// What the verdicts rest on.
  void about(const Results& results, const char* when) {
    if (!results.run.complete) {
      comparison_.notes.push_back(fmt::format(
          "the study {} is unfinished: its figures are those of its first parts", when));
    }
    if (!results.noise || !results.noise->decode.interval) {
      comparison_.notes.push_back(fmt::format("noise floor {}: not known", when));
      return;
    }
    const Noise& noise = *results.noise;
    comparison_.notes.push_back(fmt::format(
        "noise floor {}: {:.1f} % in decoding, {:.1f} % in prefill{}", when,
        100 * noise.floor_decode, 100 * noise.floor_prefill,
        noise.noisy ? "; the machine was noisy, so that small differences are not seen" : ""));
  }

  /// Says when the two differ; whether they are the same.
  bool note(const char* what, const std::string& before, const std::string& after) {
    if (before != after) {
      comparison_.notes.push_back(
          fmt::format("{}: {} before, {} after", what, before.substr(0, 40), after.substr(0, 40)));
    }
    return before == after;
  }

  static std::string text_of(const Results& results) {
    return results.run.text
               ? fmt::format("{} tokens of {}", results.run.text->tokens, results.run.text->sha256)
               : "none";
  }
  static std::string workload_of(const Results& results) {
    const Flags& flags = results.run.flags;
    return fmt::format("prefill {}, {} new tokens, {}", flags.prefill_tokens, flags.new_tokens,
                       flags.compute);
  }

  void add(Change change, bool more_is_better) {
    change.ratio = change.before != 0 ? change.after / change.before : 1;
    const double reach = 1 + change.noise;
    const bool above = change.ratio > reach && (!change.interval || change.interval->low > 1);
    const bool below = change.ratio < 1 / reach && (!change.interval || change.interval->high < 1);
    change.verdict =
        above || below ? (above == more_is_better ? "better" : "worse") : "no difference";
    comparison_.worse = comparison_.worse || change.verdict == "worse";
    comparison_.changes.push_back(std::move(change));
  }

  void speeds(const VariantResult& old, const VariantResult& now) {
    if (!old.latency || !now.latency) return;
    const auto floor = [&](double Noise::*which) {
      double most = kLeastSpeedNoise;
      for (const Results* results : {&before_, &after_}) {
        if (results->noise) most = std::max(most, (*results->noise).*which);
      }
      return most;
    };
    const auto compare = [&](const char* figure, Sampled Latency::*field, double noise,
                             bool more_is_better) {
      const Sampled &then = (*old.latency).*field, &today = (*now.latency).*field;
      const Estimate ratio = ratio_of_medians(today.samples, then.samples, Pairing::independent);
      add({old.name, figure, then.median, today.median, 1, ratio.interval, noise, {}},
          more_is_better);
    };
    const double decode = floor(&Noise::floor_decode), prefill = floor(&Noise::floor_prefill);
    compare("decode tokens/s", &Latency::decode_tokens_per_second, decode, true);
    compare("prefill tokens/s", &Latency::prefill_tokens_per_second, prefill, true);
    compare("TTFT seconds", &Latency::ttft_seconds, std::max(decode, prefill), false);
    compare("end-to-end seconds", &Latency::end_to_end_seconds, decode, false);
  }

  /// Less than `share` or than `least` bytes apart is no difference.
  void bytes(const VariantResult& old, const char* figure, std::int64_t then, std::int64_t today,
             double share = kMemoryNoise, double least = 0) {
    // A figure of nothing has no ratio: 1 byte of it counts.
    const double before = std::max(1.0, static_cast<double>(then));
    const double after = std::max(1.0, static_cast<double>(today));
    add({old.name,
         figure,
         before,
         after,
         1,
         std::nullopt,
         std::max(share, least / std::min(before, after)),
         {}},
        false);
  }

  void weights(const VariantResult& old, const VariantResult& now) {
    bytes(old, "weights bytes", old.memory.weights_bytes, now.memory.weights_bytes);
  }

  void memory(const VariantResult& old, const VariantResult& now) {
    const MemoryFacts &then = old.memory, &today = now.memory;
    bytes(old, "KV bytes", then.kv_bytes, today.kv_bytes);
    bytes(old, "workspace bytes", then.workspace_bytes, today.workspace_bytes, kWorkspaceNoise,
          kWorkspaceBytes);
    bytes(old, "needed bytes", then.needed_bytes, today.needed_bytes);
    if (then.peak_bytes && today.peak_bytes) {
      bytes(old, "peak bytes", *then.peak_bytes, *today.peak_bytes, kMemoryNoise, kPeakBytes);
    } else if (then.peak_bytes) {
      comparison_.notes.push_back(
          fmt::format("{}: its peak memory was known before and is not now", old.name));
    }
  }

  /// How far the perplexity ratio's interval reaches from its value, relatively.
  static double reach(const Estimate& ratio) {
    if (!ratio.interval) return 0;
    return std::max(ratio.interval->high - ratio.value, ratio.value - ratio.interval->low) /
           ratio.value;
  }

  void quality(const VariantResult& old, const VariantResult& now) {
    const QualityFacts &then = *old.quality, &today = *now.quality;
    if (then.protocol != today.protocol || then.window != today.window) return;
    add({old.name,
         "perplexity",
         then.ppl,
         today.ppl,
         1,
         std::nullopt,
         std::max({kLeastQualityNoise, reach(then.ppl_ratio), reach(today.ppl_ratio)}),
         {}},
        false);
    // The same windows, so that each figure is held against the other's interval.
    const auto beyond = [](const Estimate& a, const Estimate& b) {
      return a.interval && b.interval &&
             (a.interval->high < b.interval->low || b.interval->high < a.interval->low);
    };
    const auto estimate = [&](const char* figure, const Estimate& a, const Estimate& b,
                              bool more_is_better) {
      const double noise = beyond(a, b) ? 0 : HUGE_VAL;
      add({old.name, figure, a.value, b.value, 1, std::nullopt, noise, {}}, more_is_better);
      comparison_.changes.back().noise = 0;
    };
    if (old.name != before_.reference && now.name != after_.reference) {
      estimate("KL divergence", then.kl_mean, today.kl_mean, false);
      estimate("same top token", then.same_top, today.same_top, true);
    }
  }

  const Results& before_;
  const Results& after_;
  Comparison comparison_;
};

}  // namespace

Comparison compare(const Results& before, const Results& after) {
  return Comparer(before, after).run();
}

std::string as_text(const Comparison& comparison) {
  std::string text;
  for (const std::string& note : comparison.notes) text += note + "\n";
  std::size_t same = 0;
  for (const Change& change : comparison.changes) {
    if (change.verdict == "no difference") {
      ++same;
      continue;
    }
    text += fmt::format("{:<8} {:<16} {:<18} {:.6g} to {:.6g}, {:.3f} times", change.verdict,
                        change.variant, change.figure, change.before, change.after, change.ratio);
    if (change.interval) {
      text += fmt::format(" (95 % interval {:.3f} to {:.3f})", change.interval->low,
                          change.interval->high);
    }
    text += "\n";
  }
  return text + fmt::format("{} of {} figures did not change beyond noise\n", same,
                            comparison.changes.size());
}

RawJson as_json(const Comparison& comparison) {
  RawJson changes = RawJson::array();
  for (const Change& change : comparison.changes) {
    RawJson low, high;
    if (change.interval) low = change.interval->low, high = change.interval->high;
    changes.push_back({{"variant", change.variant},
                       {"figure", change.figure},
                       {"before", change.before},
                       {"after", change.after},
                       {"ratio", change.ratio},
                       {"low", low},
                       {"high", high},
                       {"verdict", change.verdict}});
  }
  return {{"worse", comparison.worse}, {"notes", comparison.notes}, {"changes", changes}};
}

}  // namespace plimsoll::study
