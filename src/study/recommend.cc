#include <algorithm>

#include "core/units.h"
#include "eval/statistics.h"
#include "study/study.h"

namespace plimsoll::study {

namespace {

double ppl_ratio(const VariantResult& result, const VariantResult& reference) {
  return result.quality && reference.quality ? result.quality->ppl / reference.quality->ppl : 1;
}

std::int64_t memory(const VariantResult& result) {
  return result.weight_bytes + result.kv_bytes;
}

}  // namespace

Recommendation recommend(const std::vector<VariantResult>& variants, double max_ppl_ratio) {
  PLIMSOLL_CHECK(!variants.empty());
  const VariantResult& reference = variants.front();
  std::vector<std::size_t> good;
  for (std::size_t i = 0; i < variants.size(); ++i) {
    if (ppl_ratio(variants[i], reference) <= max_ppl_ratio) good.push_back(i);
  }
  const auto faster = [&](std::size_t a, std::size_t b) {
    return variants[a].latency.decode_rate() < variants[b].latency.decode_rate();
  };
  const std::size_t fastest = *std::max_element(good.begin(), good.end(), faster);
  const double top = variants[fastest].latency.decode_rate();
  const double noise = relative_spread(variants[fastest].latency.decode_seconds);

  std::size_t best = fastest;
  for (const std::size_t i : good) {
    const double margin = noise + relative_spread(variants[i].latency.decode_seconds);
    const bool as_fast = variants[i].latency.decode_rate() >= top * (1 - margin);
    if (as_fast && memory(variants[i]) < memory(variants[best])) best = i;
  }
  const VariantResult& chosen = variants[best];
  std::string reason =
      best == fastest
          ? fmt::format("decodes fastest, {:.0f} tokens/s", chosen.latency.decode_rate())
          : fmt::format(
                "decodes as fast as {} within the spread of the repeats ({:.0f} and {:.0f} "
                "tokens/s) in less memory",
                variants[fastest].variant.name(), chosen.latency.decode_rate(), top);
  reason += fmt::format(", {}", format_bytes(static_cast<std::uint64_t>(memory(chosen))));
  if (best != 0) {
    reason +=
        fmt::format(" ({:.2f} of {}'s)",
                    static_cast<double>(memory(chosen)) / static_cast<double>(memory(reference)),
                    reference.variant.name());
  }
  if (chosen.quality) {
    reason += fmt::format("; perplexity {:.4f} times {}'s, where up to {:.2f} is allowed",
                          ppl_ratio(chosen, reference), reference.variant.name(), max_ppl_ratio);
  }
  return {best, reason};
}

}  // namespace plimsoll::study
