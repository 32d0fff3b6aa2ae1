#include "eval/latency.h"

#include <numeric>

#include "engine/generate.h"
#include "eval/statistics.h"

namespace plimsoll {

namespace {

double rate(std::int64_t tokens, const std::vector<double>& seconds) {
  return seconds.empty() ? 0 : static_cast<double>(tokens) / median(seconds);
}

}  // namespace

double LatencySamples::prefill_rate() const {
  return rate(prefill_tokens, prefill_seconds);
}
double LatencySamples::decode_rate() const {
  return rate(decode_tokens, decode_seconds);
}

void measure_latency(const Model& model, const ops::Context& context,
                     std::span<const std::int32_t> prefill, std::span<const std::int32_t> prompt,
                     std::int64_t new_tokens, LatencySamples& samples) {
  GenerateOptions options;
  options.ignore_eos = true;
  options.allow_long = true;
  options.max_new_tokens = 1;
  samples.prefill_tokens = static_cast<std::int64_t>(prefill.size());
  samples.prefill_seconds.push_back(generate(model, context, prefill, options).prompt_seconds);

  options.max_new_tokens = new_tokens + 1;  // the first token belongs to the prompt's pass
  const Generation generation = generate(model, context, prompt, options);
  samples.decode_tokens = static_cast<std::int64_t>(generation.token_seconds.size());
  samples.decode_seconds.push_back(
      std::accumulate(generation.token_seconds.begin(), generation.token_seconds.end(), 0.0));
}

}  // namespace plimsoll
