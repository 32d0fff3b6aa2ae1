// plimsoll eval: how well a model predicts a text.
#include <iostream>
#include <nlohmann/json.hpp>
#include <set>

#include "cli/command.h"
#include "core/cpu.h"
#include "core/threads.h"
#include "engine/model_tokenizer.h"
#include "eval/divergence.h"
#include "model/numerics.h"
#include "storage/sha256.h"
#include "text/sample_text.h"

namespace plimsoll::cli {

namespace {

struct EvalFlags {
  ModelFlags model;
  std::string text;
  std::string protocol = "blocks";
  std::optional<std::int64_t> window, stride;
  std::int64_t limit_tokens = 0;
  std::string reference;
  std::string format = "text";
};

std::string bos_policy(const ScoreOptions& options) {
  if (!options.model_adds_bos) return "none";
  return options.protocol.protocol == Protocol::llama_cpp ? "each window" : "front";
}

nlohmann::json interval(const Estimate& estimate) {
  if (!estimate.interval) return nullptr;
  return {estimate.interval->low, estimate.interval->high};
}

/// "[0.1, 0.2]", each times `unit`.
std::string interval_text(const Estimate& estimate, double unit = 1) {
  if (!estimate.interval) return "[interval unknown]";
  return fmt::format("[{:.4g}, {:.4g}]", unit * estimate.interval->low,
                     unit * estimate.interval->high);
}

/// The formats of a model's linear layers but the head, and of the head.
struct Formats {
  std::string layers, head;
};

Formats formats_of(Model& model) {
  std::set<std::string_view> names;
  Formats formats;
  model.visit_linears([&](const ops::Linear& layer) {
    const std::string_view name = quant::format_name(layer.weight.format);
    if (layer.name == "lm_head") {
      formats.head = name;
    } else {
      names.insert(name);
    }
  });
  formats.layers = fmt::format("{}", fmt::join(names, "+"));
  return formats;
}

void add_divergence(nlohmann::json& json, const Divergence& d, const Formats& reference) {
  json["reference"] = reference.layers;
  json["reference_ppl"] = d.reference.ppl;
  json["reference_nll"] = d.reference.nll;
  json["reference_kernels"] = d.reference.kernels;
  json["kl_mean"] = d.kl_mean.value;
  json["kl_mean_ci"] = interval(d.kl_mean);
  for (const auto& [percent, estimate] : d.kl_percentiles) {
    json["kl_percentiles"][percent] = estimate.value;
    json["kl_percentiles_ci"][percent] = interval(estimate);
  }
  json["same_top"] = d.same_top.value;
  json["same_top_ci"] = interval(d.same_top);
  json["ppl_ratio"] = d.ppl_ratio.value;
  json["ppl_ratio_ci"] = interval(d.ppl_ratio);
  json["rms_probability_change"] = d.rms_probability_change;
}

std::string as_text(const Divergence& d, const Formats& reference) {
  std::string text = fmt::format(
      "against {} (perplexity {:.4f}), 95 % intervals from the spread between windows:\n"
      "  perplexity ratio {:.5f} {}\n"
      "  KL divergence    {:.3g} {} nats\n",
      reference.layers, d.reference.ppl, d.ppl_ratio.value, interval_text(d.ppl_ratio),
      d.kl_mean.value, interval_text(d.kl_mean));
  for (const char* percent : {"50", "99", "99.9"}) {
    const Estimate& estimate = d.kl_percentiles.at(percent);
    text += fmt::format("  KL, {:>4} %       {:.3g} {}\n", percent, estimate.value,
                        interval_text(estimate));
  }
  text += fmt::format(
      "  same top token   {:.2f} % {}\n"
      "  RMS change of the true token's probability {:.4f}\n",
      100 * d.same_top.value, interval_text(d.same_top, 100), d.rms_probability_change);
  return text;
}

/// The reference: the same checkpoint in the named format, computed exactly.
LoadOptions reference_options(const EvalFlags& flags) {
  LoadOptions options;
  if (!flags.reference.empty() && flags.reference != "stored")
    options.weights.format = quant::format_from_name(flags.reference, "--reference");
  if (options.weights.format && compress::needs_calibration(*options.weights.format)) {
    throw InputError("--reference", "format", flags.reference, "one that needs no calibration");
  }
  options.progress = progress_bar();
  options.weights.pack = true;
  return options;
}

nlohmann::json as_json(const Perplexity& result, const ScoreOptions& options,
                       const EvalFlags& flags, const ops::Context& context, const Formats& formats,
                       std::string_view text) {
  nlohmann::json json{{"model", flags.model.model},
                      {"weights", formats.layers},
                      {"head", formats.head},
                      {"protocol", protocol_name(result.protocol.protocol)},
                      {"window", result.protocol.window},
                      {"stride", result.protocol.stride},
                      {"bos", bos_policy(options)},
                      {"tokens", result.tokens},
                      {"tokens_scored", result.tokens_scored},
                      {"nll", result.nll},
                      {"ppl", result.ppl},
                      {"ppl_stderr", result.ppl_stderr},
                      {"text_sha256", sha256_hex(text)},
                      {"seconds", result.seconds},
                      {"tokens_per_second", result.tokens_per_second()},
                      {"isa", isa_name(current_isa())},
                      {"threads", threads()},
                      {"kernels", result.kernels}};
  for (const auto& [name, value] : ops::settings_of(context)) json[name] = value;
  return json;
}

nlohmann::json as_json(const CalibrationRecord& record) {
  return {{"text", record.text},
          {"sha256", record.sha256},
          {"windows", record.windows},
          {"window_tokens", record.window_tokens},
          {"seed", record.seed}};
}

void run(const EvalFlags& flags) {
  if (is_shape(flags.model.model)) {
    throw InputError(flags.model.model, "weights", "random ones",
                     "a trained model: quality is judged here");
  }
  if (flags.limit_tokens < 0) {
    throw InputError("--limit-tokens", "count", std::to_string(flags.limit_tokens),
                     "0 (all) or more");
  }
  const ops::Context wanted = flags.model.context();
  ScoreOptions options;
  options.protocol.protocol = protocol_from_name(flags.protocol);
  for (const auto& [flag, value] :
       {std::pair{"--window", flags.window}, {"--stride", flags.stride}}) {
    if (value && *value < 1) throw InputError(flag, "tokens", std::to_string(*value), "1 or more");
  }
  options.protocol.window = flags.window.value_or(0);
  options.protocol.stride = flags.stride.value_or(0);
  const ModelConfig config = load_config(flags.model.model);
  options.protocol = completed(options.protocol, config.max_positions);
  options.allow_long = flags.model.allow_long;
  options.progress = progress_bar();
  const std::string text =
      flags.text.empty() ? std::string(evaluation_sample()) : read_utf8(flags.text);
  const auto tokenizer = load_tokenizer(flags.model.model, config);
  options.model_adds_bos = tokenizer->adds_bos();
  options.bos_id = tokenizer->bos_id();
  std::vector<std::int32_t> ids = tokenizer->encode(text);
  if (flags.limit_tokens > 0 && static_cast<std::size_t>(flags.limit_tokens) < ids.size()) {
    ids.resize(static_cast<std::size_t>(flags.limit_tokens));
  }
  check_scorable(config, ids, options);
  const LoadOptions reference_loading = reference_options(flags);
  const auto calibration = flags.model.weights.calibration(flags.model.model);
  const auto record = calibration_record(flags.model.model, calibration);
  compress::refuse_calibration_text(record, calibration ? &calibration->text : nullptr, *tokenizer,
                                    text, ids);
  const auto model = flags.model.load(0, calibration);
  const ops::Context context = settled(wanted, *model);
  const Formats formats = formats_of(*model);
  std::optional<Divergence> compared;
  Formats reference_formats;
  if (!flags.reference.empty()) {
    const auto reference = load_model(flags.model.model, reference_loading);
    reference_formats = formats_of(*reference);
    compared = divergence({model.get(), context}, {reference.get(), {}}, ids, options);
  }
  const Perplexity result =
      compared ? compared->candidate : perplexity(*model, context, ids, options);
  if (flags.format == "json") {
    nlohmann::json json = as_json(result, options, flags, context, formats, text);
    if (compared) add_divergence(json, *compared, reference_formats);
    if (record) json["calibration"] = as_json(*record);
    std::cout << json.dump() << '\n';
    return;
  }
  std::cout << fmt::format(
      "perplexity {:.4f} +- {:.4f} (nll {:.5f} nats)\n"
      "weights {}, head {}, {} arithmetic, {} instructions\n"
      "{}, window {}, stride {}, BOS {}, {} of {} tokens scored\n"
      "text {} (SHA-256 {:.12}...), {:.1f} s, {:.0f} tokens/s\n",
      result.ppl, result.ppl_stderr, result.nll, formats.layers, formats.head,
      ops::compute_name(context.compute), isa_name(current_isa()),
      protocol_name(result.protocol.protocol), result.protocol.window, result.protocol.stride,
      bos_policy(options), result.tokens_scored, result.tokens,
      flags.text.empty() ? "built in" : flags.text, sha256_hex(text), result.seconds,
      result.tokens_per_second());
  if (compared) std::cout << as_text(*compared, reference_formats);
  std::cout << calibration_line(record);
}

}  // namespace

void add_eval(CLI::App& app) {
  auto flags = std::make_shared<EvalFlags>();
  CLI::App* command = app.add_subcommand("eval", "Perplexity of a text");
  command->footer(
      "Protocols (never compare figures of different ones):\n"
      "  blocks      disjoint windows, all but each window's first token scored\n"
      "  hf-strided  overlapping windows, as in Hugging Face's documentation\n"
      "  llama.cpp   disjoint windows beginning with BOS, the second half scored\n\n"
      "Examples:\n"
      "  plimsoll eval models/demo\n"
      "  plimsoll eval models/demo --text novel.txt --protocol hf-strided --window 1024 --stride "
      "512\n"
      "  plimsoll eval models/demo --text wiki.test.raw --protocol llama.cpp --format json\n"
      "  plimsoll eval models/demo --weights nf4-dq --reference fp32");
  add_model_flags(*command, flags->model, "exact");
  command->add_option(
      "--text", flags->text,
      "UTF-8 text (-: standard input; default: the later chapters of the story built in)");
  command->add_option("--protocol", flags->protocol, "blocks, hf-strided or llama.cpp")
      ->capture_default_str();
  command->add_option("--window", flags->window,
                      "Tokens in a window (default 512; hf-strided 1024)");
  command->add_option("--stride", flags->stride,
                      "Tokens between windows, hf-strided only (default: half a window)");
  command->add_option("--limit-tokens", flags->limit_tokens, "Only the first N tokens of the text");
  command->add_option(
      "--reference", flags->reference,
      "Compare with the checkpoint in this format (fp32, ..., or stored), computed exactly: KL "
      "divergence, same top token, perplexity ratio");
  add_format_flag(*command, flags->format);
  command->callback([flags] { run(*flags); });
}

}  // namespace plimsoll::cli
