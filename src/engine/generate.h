// A prompt in, tokens out.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "core/progress.h"
#include "engine/sampler.h"
#include "model/model.h"

namespace plimsoll {

struct GenerateOptions {
  std::int64_t max_new_tokens = 128;
  SamplingOptions sampling;
  bool ignore_eos = false;
  /// RoPE models: go beyond the positions that the model was made for.
  bool allow_long = false;
  /// Told while the prompt is read; where it says stop, the generation ends as by OnToken.
  Progress progress;
};

enum class StopReason { length, end_of_sequence, context_full, caller };
std::string_view stop_reason_name(StopReason reason);

struct Generation {
  std::vector<std::int32_t> ids;  // the new ones; the end-of-sequence token is not among them
  StopReason stop = StopReason::length;
  std::int64_t prompt_tokens = 0;
  /// The first of them that a session had read before, and that cost nothing.
  std::int64_t known_tokens = 0;
  /// The prompt's pass with the first token chosen: time to first token, without tokenisation.
  double prompt_seconds = 0;
  /// Seconds for each token after the first, forward pass and choice.
  std::vector<double> token_seconds;

  double prompt_tokens_per_second() const;
  /// 0 when there is only one token.
  double decode_tokens_per_second() const;
};

/// Called with each new token; false stops.
using OnToken = std::function<bool(std::int32_t id)>;

/// InputError for an empty prompt, ids out of range, and a prompt longer than the model's context.
Generation generate(const Model& model, const ops::Context& context,
                    std::span<const std::int32_t> prompt, const GenerateOptions& options,
                    const OnToken& on_token = {});

/// How many positions a text may have: those that the model was made for; RoPE models have no end
/// with `allow_long`.
std::int64_t position_limit(const ModelConfig& config, bool allow_long);
/// InputError when a prompt is empty, or one of the two below.
void check_prompt(const ModelConfig& config, std::span<const std::int32_t> prompt, bool allow_long);
/// InputError naming the first id that is not in [0, vocab).
void check_ids(const ModelConfig& config, std::span<const std::int32_t> ids,
               std::string_view where);
/// InputError when `tokens` positions are more than the model has: an absolute limit for learned
/// positions; for RoPE one that --allow-long lifts.
void check_context(const ModelConfig& config, std::int64_t tokens, bool allow_long,
                   std::string_view what);

}  // namespace plimsoll
