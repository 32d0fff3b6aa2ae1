// From logits to the next token.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/rng.h"

namespace plimsoll {

/// The filters work in this order, each on what the one before left (as in transformers):
/// repetition penalty, temperature, top-k, top-p, min-p.
struct SamplingOptions {
  double temperature = 0;  // 0: greedy, the filters below then change nothing
  std::int64_t top_k = 0;  // keep the k likeliest; 0: all
  double top_p = 1;        // keep the fewest likeliest whose probabilities reach p
  double min_p = 0;        // keep those with at least min_p times the largest probability
  double repetition_penalty =
      1;  // divides positive logits of tokens seen, multiplies negative ones
  std::uint64_t seed = 0;

  /// Always the likeliest token, whatever came before.
  bool is_greedy() const { return temperature == 0 && repetition_penalty == 1; }
  /// InputError naming the flag when a value makes no sense.
  void check() const;
};

/// Deterministic: the same logits, history and seed give the same tokens. Ties go to the lower id.
class Sampler {
 public:
  explicit Sampler(const SamplingOptions& options);
  /// InputError when a logit is not finite. `history`: the prompt and what was generated, for the
  /// repetition penalty.
  std::int32_t sample(std::span<const float> logits, std::span<const std::int32_t> history);

 private:
  SamplingOptions options_;
  Rng rng_;
};

}  // namespace plimsoll
