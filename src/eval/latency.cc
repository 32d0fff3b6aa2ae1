#include "eval/latency.h"

#include <numeric>

#include "engine/generate.h"
#include "eval/statistics.h"

namespace plimsoll {

namespace {

GenerateOptions greedy(std::int64_t new_tokens) {
  GenerateOptions options;
  options.ignore_eos = true;
  options.allow_long = true;
  options.max_new_tokens = new_tokens;
  return options;
}

std::vector<double> rates(std::int64_t tokens, const std::vector<double>& seconds) {
  std::vector<double> result;
  result.reserve(seconds.size());
  for (const double second : seconds) result.push_back(static_cast<double>(tokens) / second);
  return result;
}

double rate(std::int64_t tokens, const std::vector<double>& seconds) {
  return seconds.empty() ? 0 : static_cast<double>(tokens) / median(seconds);
}

}  // namespace

std::vector<double> LatencySamples::end_to_end_seconds() const {
  std::vector<double> result;
  result.reserve(ttft_seconds.size());
  for (std::size_t i = 0; i < ttft_seconds.size(); ++i) {
    result.push_back(ttft_seconds[i] + decode_seconds[i]);
  }
  return result;
}

std::vector<double> LatencySamples::tpot_seconds() const {
  std::vector<double> result;
  result.reserve(decode_seconds.size());
  for (const double seconds : decode_seconds) {
    result.push_back(seconds / static_cast<double>(decode_tokens()));
  }
  return result;
}

std::vector<double> LatencySamples::prefill_rates() const {
  return rates(prefill_tokens, prefill_seconds);
}
std::vector<double> LatencySamples::decode_rates() const {
  return rates(decode_tokens(), decode_seconds);
}
double LatencySamples::prefill_rate() const {
  return rate(prefill_tokens, prefill_seconds);
}
double LatencySamples::decode_rate() const {
  return rate(decode_tokens(), decode_seconds);
}

void measure_prefill(const Model& model, const ops::Context& context,
                     std::span<const std::int32_t> ids, LatencySamples& samples) {
  samples.prefill_tokens = static_cast<std::int64_t>(ids.size());
  samples.prefill_seconds.push_back(generate(model, context, ids, greedy(1)).prompt_seconds);
}

void measure_generation(const Model& model, const ops::Context& context,
                        std::span<const std::int32_t> prompt, std::int64_t new_tokens,
                        LatencySamples& samples) {
  PLIMSOLL_CHECK(new_tokens >= 2);
  const Generation generation = generate(model, context, prompt, greedy(new_tokens));
  samples.new_tokens = static_cast<std::int64_t>(generation.ids.size());
  samples.ttft_seconds.push_back(generation.prompt_seconds);
  samples.decode_seconds.push_back(
      std::accumulate(generation.token_seconds.begin(), generation.token_seconds.end(), 0.0));
}

}  // namespace plimsoll
