// How fast a model runs, as its user feels it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/model.h"

namespace plimsoll {

/// Raw samples, one of each a repeat; a statistic is taken from them at the end. Times are of the
/// passes, the logits wanted and the choice: no tokenizer.
struct LatencySamples {
  std::int64_t prefill_tokens = 0;
  std::int64_t new_tokens = 0;          // of each repeat, the first one included
  std::vector<double> prefill_seconds;  // a pass over prefill_tokens, which are another text
  std::vector<double> ttft_seconds;     // the prompt's pass and the first token
  std::vector<double> decode_seconds;   // the other new_tokens - 1, one a step

  /// Single steps in decode_seconds.
  std::int64_t decode_tokens() const { return new_tokens - 1; }

  // Of each repeat:
  std::vector<double> end_to_end_seconds() const;  // ttft + decode
  std::vector<double> tpot_seconds() const;        // (end to end - ttft) / (new_tokens - 1)
  std::vector<double> prefill_rates() const;       // tokens a second
  std::vector<double> decode_rates() const;        // (new_tokens - 1) / decode

  /// Medians of the rates; 0 without samples.
  double prefill_rate() const;
  double decode_rate() const;
};

/// One pass over `ids` with a fresh cache, appended to `samples`.
void measure_prefill(const Model& model, const ops::Context& context,
                     std::span<const std::int32_t> ids, LatencySamples& samples);

/// One generation of `new_tokens` (2 or more) after `prompt` with a fresh cache, greedy, end of
/// sequence ignored, appended to `samples`.
void measure_generation(const Model& model, const ops::Context& context,
                        std::span<const std::int32_t> prompt, std::int64_t new_tokens,
                        LatencySamples& samples);

}  // namespace plimsoll
