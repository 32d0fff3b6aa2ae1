// How fast a model runs, as its user feels it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/model.h"

namespace plimsoll {

/// Raw samples; a statistic is taken from them at the end.
struct LatencySamples {
  std::int64_t prefill_tokens = 0;
  std::int64_t decode_tokens = 0;
  std::vector<double>
      prefill_seconds;  // one a repeat: a pass over prefill_tokens and the head's last row
  std::vector<double> decode_seconds;  // one a repeat: decode_tokens single steps, choice included

  /// Medians of tokens a second.
  double prefill_rate() const;
  double decode_rate() const;
};

/// One repeat appended to `samples`: greedy, end of sequence ignored. The KV cache is fresh.
void measure_latency(const Model& model, const ops::Context& context,
                     std::span<const std::int32_t> prefill, std::span<const std::int32_t> prompt,
                     std::int64_t new_tokens, LatencySamples& samples);

}  // namespace plimsoll
