// Results that no machine measured, for the tests of what is concluded from them.
#pragma once

#include <string>
#include <vector>

#include "study/results.h"

namespace plimsoll::study::test {

/// A measured variant: decoding at `decode` tokens a second, prefill ten times as fast, 100 new
/// tokens; weights of `megabytes`; perplexity `ratio` times the reference's, with an interval of 1
/// %.
inline VariantResult made_up(const std::string& name, std::int64_t megabytes,
                             const std::vector<double>& decode, double ratio) {
  VariantResult v;
  v.name = name;
  v.weights = name.substr(0, name.find('+'));
  v.attention = name.substr(name.find('+') + 1);
  v.kv = "fp32";
  v.device = "cpu";
  v.status = "measured";
  v.memory.weights_bytes = megabytes * 1'000'000;
  std::vector<double> prefill, seconds, per_token;
  for (const double speed : decode) {
    prefill.push_back(10 * speed);
    seconds.push_back(100 / speed);
    per_token.push_back(1 / speed);
  }
  Latency latency;
  latency.repeats = static_cast<std::int64_t>(decode.size());
  latency.decode_tokens_per_second = summarised(decode);
  latency.prefill_tokens_per_second = summarised(prefill);
  latency.end_to_end_seconds = summarised(seconds);
  latency.ttft_seconds = summarised(per_token);
  latency.tpot_seconds = summarised(per_token);
  v.latency = latency;
  QualityFacts quality;
  quality.protocol = "blocks";
  quality.ppl = 20 * ratio;
  quality.ppl_ratio = {ratio, Interval{ratio * 0.99, ratio * 1.01}};
  quality.kl_mean = {ratio - 1, Interval{ratio - 1.01, ratio - 0.99}};
  quality.same_top = {0.9, Interval{0.89, 0.91}};
  v.quality = quality;
  return v;
}

/// The first variant is reference and baseline.
inline Results made_up(std::vector<VariantResult> variants) {
  Results results;
  results.variants = std::move(variants);
  results.reference = results.baseline = results.variants.front().name;
  results.run.flags.max_ppl_ratio = 1.05;
  results.run.flags.repeats = 3;
  results.run.text = TextFacts{"a text", "abc", 1, 1};
  return results;
}

}  // namespace plimsoll::study::test
