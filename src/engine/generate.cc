#include "engine/generate.h"

#include <algorithm>
#include <array>
#include <limits>
#include <numeric>

#include "engine/session.h"

namespace plimsoll {

namespace {

bool has_learned_positions(const ModelConfig& config) {
  return config.architecture == Architecture::gpt2;
}

}  // namespace

std::int64_t position_limit(const ModelConfig& config, bool allow_long) {
  return allow_long && !has_learned_positions(config) ? std::numeric_limits<std::int64_t>::max() / 4
                                                      : config.max_positions;
}

std::string_view stop_reason_name(StopReason reason) {
  constexpr std::array<std::string_view, 4> kNames{"length", "end of sequence", "context full",
                                                   "stopped"};
  return kNames[static_cast<std::size_t>(reason)];
}

double Generation::prompt_tokens_per_second() const {
  return prompt_seconds > 0 ? static_cast<double>(prompt_tokens - known_tokens) / prompt_seconds
                            : 0;
}

double Generation::decode_tokens_per_second() const {
  const double total = std::accumulate(token_seconds.begin(), token_seconds.end(), 0.0);
  return total > 0 ? static_cast<double>(token_seconds.size()) / total : 0;
}

void check_ids(const ModelConfig& config, std::span<const std::int32_t> ids,
               std::string_view where) {
  for (const std::int32_t id : ids) {
    if (id < 0 || id >= config.vocab_size) {
      throw InputError(where, "token id", fmt::format("{}", id),
                       fmt::format("0 to {} (the model's vocabulary)", config.vocab_size - 1));
    }
  }
}

void check_context(const ModelConfig& config, std::int64_t tokens, bool allow_long,
                   std::string_view what) {
  if (tokens <= position_limit(config, allow_long)) return;
  throw InputError(
      what, "length", fmt::format("{} tokens", tokens),
      has_learned_positions(config)
          ? fmt::format("at most {}, the positions that the model has learned",
                        config.max_positions)
          : fmt::format("at most {}, the model's context (--allow-long goes beyond it)",
                        config.max_positions));
}

void check_prompt(const ModelConfig& config, std::span<const std::int32_t> prompt,
                  bool allow_long) {
  if (prompt.empty()) {
    throw InputError("the prompt", "tokens", "none", "at least one (the model adds no BOS)");
  }
  check_ids(config, prompt, "the prompt");
  check_context(config, static_cast<std::int64_t>(prompt.size()), allow_long, "the prompt");
}

Generation generate(const Model& model, const ops::Context& context,
                    std::span<const std::int32_t> prompt, const GenerateOptions& options,
                    const OnToken& on_token) {
  check_prompt(model.config(), prompt, options.allow_long);
  const auto prompt_tokens = static_cast<std::int64_t>(prompt.size());
  const std::int64_t room = position_limit(model.config(), options.allow_long) - prompt_tokens;
  const std::int64_t new_tokens = std::clamp<std::int64_t>(options.max_new_tokens, 0, room);
  Session session(model, context, prompt_tokens + new_tokens);
  return session.generate(prompt, options, on_token);
}

}  // namespace plimsoll
