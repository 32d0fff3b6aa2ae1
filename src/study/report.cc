#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/units.h"
#include "study/study.h"

namespace plimsoll::study {

namespace {

/// One paragraph, wrapped and indented.
std::string wrapped(const std::string& text, std::size_t width, const std::string& indent) {
  std::string result, line;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t begin = text.find_first_not_of(" \n\t\r", at);
    if (begin == std::string::npos) break;
    const std::size_t end = std::min(text.find_first_of(" \n\t\r", begin), text.size());
    if (!line.empty() && line.size() + 1 + end - begin > width) {
      result += indent + line + "\n";
      line.clear();
    }
    line += (line.empty() ? "" : " ") + text.substr(begin, end - begin);
    at = end;
  }
  if (!line.empty()) result += indent + line + "\n";
  return result;
}

}  // namespace

std::string as_text(const StudyResult& result) {
  const VariantResult& reference = result.variants.front();
  std::string text =
      fmt::format("\n{:<14} {:>22} {:>9} {:>14} {:>13} {:>10} {:>9}\n", "variant", "perplexity",
                  "ratio", "prefill tok/s", "decode tok/s", "weights", "KV cache");
  for (const VariantResult& v : result.variants) {
    const std::string ppl =
        v.quality ? fmt::format("{:.3f} +- {:.3f}", v.quality->ppl, v.quality->ppl_stderr) : "-";
    const std::string ratio =
        v.quality ? fmt::format("{:.4f}", v.quality->ppl / reference.quality->ppl) : "-";
    text += fmt::format("{:<14} {:>22} {:>9} {:>14.0f} {:>13.1f} {:>10} {:>9}\n", v.variant.name(),
                        ppl, ratio, v.latency.prefill_rate(), v.latency.decode_rate(),
                        format_bytes(static_cast<std::uint64_t>(v.weight_bytes)),
                        format_bytes(static_cast<std::uint64_t>(v.kv_bytes)));
  }
  const LatencySamples& latency = reference.latency;
  text += fmt::format(
      "\n{} arithmetic, also for the perplexity. Speeds are medians of {} repeats after a warm-up, "
      "the variants\n"
      "in turns: prefill of {} tokens; {} tokens after the prompt, batch 1, greedy.\n",
      ops::compute_name(result.context.compute), latency.decode_seconds.size(),
      latency.prefill_tokens, latency.decode_tokens);
  if (result.numerics_cost) {
    const NumericsCost& cost = *result.numerics_cost;
    text += fmt::format(
        "Numerics: invariant changes the time of prefill by {:+.1f} % and of decoding by {:+.1f} "
        "%, "
        "against fast ({}).\n",
        100 * cost.prefill(), 100 * cost.decode(), cost.variant);
  }
  if (reference.quality) {
    const Perplexity& quality = *reference.quality;
    text += fmt::format(
        "Perplexity: protocol {}, window {}, {} tokens scored; +- is one standard error.\n",
        protocol_name(quality.protocol.protocol), quality.protocol.window, quality.tokens_scored);
    text += fmt::format("\nSamples, greedy with a repetition penalty of 1.1, after {:?}:\n",
                        result.sample_prompt);
    for (const VariantResult& v : result.variants) {
      text += fmt::format("  {}\n{}", v.variant.name(), wrapped(v.sample, 96, "    "));
    }
  } else {
    text += "Weights are random: nothing is said about quality.\n";
  }
  text += fmt::format("\nBest: {}\n{}", result.variants[result.recommendation.best].variant.name(),
                      wrapped(result.recommendation.reason, 96, "  "));
  return text;
}

std::string as_json(const StudyResult& result) {
  nlohmann::ordered_json json{{"model", result.model},
                              {"decode_prompt", result.decode_prompt},
                              {"sample_prompt", result.sample_prompt}};
  for (const auto& [name, value] : ops::settings_of(result.context)) {
    if (name != "attention") json[name] = value;  // each variant has its own
  }
  for (const VariantResult& v : result.variants) {
    nlohmann::ordered_json entry{{"name", v.variant.name()},
                                 {"weights", quant::format_name(v.variant.weights)},
                                 {"attention", ops::attention_name(v.variant.attention)},
                                 {"weight_bytes", v.weight_bytes},
                                 {"kv_bytes", v.kv_bytes},
                                 {"prefill_tokens", v.latency.prefill_tokens},
                                 {"prefill_seconds", v.latency.prefill_seconds},
                                 {"prefill_tokens_per_second", v.latency.prefill_rate()},
                                 {"decode_tokens", v.latency.decode_tokens},
                                 {"decode_seconds", v.latency.decode_seconds},
                                 {"decode_tokens_per_second", v.latency.decode_rate()}};
    if (v.quality) {
      entry["protocol"] = protocol_name(v.quality->protocol.protocol);
      entry["window"] = v.quality->protocol.window;
      entry["tokens_scored"] = v.quality->tokens_scored;
      entry["nll"] = v.quality->nll;
      entry["ppl"] = v.quality->ppl;
      entry["ppl_stderr"] = v.quality->ppl_stderr;
      entry["sample"] = v.sample;
    }
    json["variants"].push_back(std::move(entry));
  }
  if (result.numerics_cost) {
    const NumericsCost& cost = *result.numerics_cost;
    json["numerics_cost"] = {{"variant", cost.variant},
                             {"prefill", cost.prefill()},
                             {"decode", cost.decode()},
                             {"fast_prefill_seconds", cost.fast.prefill_seconds},
                             {"fast_decode_seconds", cost.fast.decode_seconds},
                             {"invariant_prefill_seconds", cost.invariant.prefill_seconds},
                             {"invariant_decode_seconds", cost.invariant.decode_seconds}};
  }
  json["recommendation"] = {{"variant", result.variants[result.recommendation.best].variant.name()},
                            {"reason", result.recommendation.reason}};
  return json.dump();
}

}  // namespace plimsoll::study
