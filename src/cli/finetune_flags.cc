#include "cli/finetune_flags.h"

#include <algorithm>

#include "core/threads.h"
#include "storage/atomic_file.h"
#include "storage/sha256.h"

namespace plimsoll::cli {

namespace {

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at <= list.size();) {
    const std::size_t end = std::min(list.find(',', at), list.size());
    if (end > at) parts.push_back(list.substr(at, end - at));
    at = end + 1;
  }
  if (parts.empty()) throw InputError("--targets", "modules", "none", "all-linear or a list");
  return parts;
}

/// A share or an amount within [low, high).
void check_range(const char* flag, double value, double low, double high, const char* expected) {
  if (!(value >= low && value < high))
    throw InputError(flag, "value", fmt::format("{}", value), expected);
}

}  // namespace

void check_flags(const FinetuneFlags& flags) {
  const train::FinetuneOptions& options = flags.options;
  const auto at_least_one = [](const char* flag, std::int64_t value) {
    if (value < 1) throw InputError(flag, "count", std::to_string(value), "at least 1");
  };
  if (flags.rank) at_least_one("--rank", *flags.rank);
  at_least_one("--batch", flags.batches.batch);
  at_least_one("--grad-accum", flags.batches.accumulate);
  at_least_one("--log-every", options.log_every);
  if (flags.steps) at_least_one("--steps", *flags.steps);
  if (flags.sequence && *flags.sequence < 2)
    throw InputError("--seq", "tokens", std::to_string(*flags.sequence), "at least 2");
  constexpr double kMost = 1e9;
  if (flags.warmup)
    check_range("--warmup", static_cast<double>(*flags.warmup), 0, kMost, "0 or more");
  if (flags.checkpoint_every) {
    check_range("--checkpoint-every", static_cast<double>(*flags.checkpoint_every), 0, kMost,
                "0 or more");
  }
  if (flags.rate) check_range("--lr", *flags.rate, 1e-12, 1e38, "more than 0");
  if (flags.epochs) check_range("--epochs", *flags.epochs, 1e-6, kMost, "more than 0");
  if (flags.alpha) check_range("--alpha", *flags.alpha, 1e-9, kMost, "more than 0");
  if (flags.dropout) check_range("--dropout", *flags.dropout, 0, 1, "0 to less than 1");
  check_range("--weight-decay", options.weight_decay, 0, kMost, "0 or more");
  check_range("--clip", options.clip, 0, kMost, "0 (none) or more");
  check_range("--eval-split", flags.batches.eval_split, 0, 1, "0 to less than 1");
  if (flags.steps && flags.epochs)
    throw InputError("--steps, --epochs: give one of them, not both");
}

std::optional<Adapter> beginning_of(const FinetuneFlags& flags) {
  if (flags.adapter.empty()) return std::nullopt;
  if (flags.trained != "lora")
    throw InputError("--adapter", "--train", flags.trained, "lora: the adapter is what is trained");
  Adapter adapter = load_adapter(flags.adapter);
  const auto check = [&](const char* flag, const std::string& found, const std::string& expected) {
    if (found != expected)
      throw InputError(flag, "value", found,
                       fmt::format("{}, as {} has it", expected, flags.adapter));
  };
  const auto number = [](double value) { return fmt::format("{}", value); };
  const auto list = [](std::vector<std::string> targets) {
    std::ranges::sort(targets);
    return fmt::format("{}", fmt::join(targets, ","));
  };
  const AdapterConfig& config = adapter.config;
  if (flags.rank) check("--rank", std::to_string(*flags.rank), std::to_string(config.rank));
  if (flags.alpha) check("--alpha", number(*flags.alpha), number(config.alpha));
  if (flags.targets) check("--targets", list(split(*flags.targets)), list(config.targets));
  return adapter;
}

AdapterConfig adapter_config(const FinetuneFlags& flags, const std::optional<Adapter>& beginning) {
  AdapterConfig config{"", 16, 32, 0, {"all-linear"}};
  if (beginning) config = beginning->config;
  config.base = flags.model;
  config.rank = flags.rank.value_or(config.rank);
  config.alpha = flags.alpha.value_or(config.alpha);
  config.dropout = flags.dropout.value_or(config.dropout);
  if (flags.targets) config.targets = split(*flags.targets);
  return config;
}

std::string recipe_of(const FinetuneFlags& flags, const train::FinetuneOptions& o,
                      const train::DataOptions& d) {
  nlohmann::ordered_json json{{"model", flags.model},
                              {"weights", flags.weights.weights},
                              {"train", train::trained_name(o.trained)},
                              {"rank", o.adapter.rank},
                              {"alpha", o.adapter.alpha},
                              {"dropout", o.adapter.dropout},
                              {"targets", o.adapter.targets},
                              {"steps", o.steps},
                              {"lr", o.rate},
                              {"schedule", train::schedule_name(o.schedule)},
                              {"warmup", o.warmup},
                              {"weight_decay", o.weight_decay},
                              {"clip", o.clip},
                              {"seed", o.seed},
                              {"seq", d.sequence},
                              {"batch", d.batch},
                              {"grad_accum", d.accumulate},
                              {"eval_split", d.eval_split},
                              {"pack", d.pack},
                              {"device", o.device != nullptr ? o.device->name() : "cpu"},
                              {"threads", o.device != nullptr ? 0 : threads()}};
  const WeightFlags& w = flags.weights;
  json["quantisation"] = {{"outlier_threshold", w.outlier_threshold},
                          {"outlier_scope", w.outlier_scope},
                          {"group", w.group},
                          {"symmetric", w.symmetric},
                          {"act_order", w.act_order},
                          {"damping", w.damping},
                          {"source_dtype", w.source_dtype},
                          {"skip", w.skip},
                          {"include", w.include},
                          {"calibration", w.calibration_file},
                          {"windows", w.calibration_windows},
                          {"tokens", w.calibration_tokens},
                          {"seed", w.calibration_seed},
                          {"observer", w.observer}};
  for (const std::string& file : flags.data)
    json["data"].push_back(sha256_hex(read_text_file(file)));
  if (o.beginning)
    json["adapter"] = sha256_hex(read_text_file(o.beginning->folder / "adapter_model.safetensors"));
  return json.dump();
}

void add_finetune_flags(CLI::App& command, FinetuneFlags& flags) {
  command.add_option("MODEL,-m,--model", flags.model, "Checkpoint folder, or shape:NAME")
      ->required();
  command.add_option("--data", flags.data, "UTF-8 texts, or JSONL files");
  command.add_option("-o,--output", flags.output,
                     "Folder to write; must not exist yet, or be empty");
  add_weight_flags(command, flags.weights);
  const auto option = [&](const char* name, auto& value, const char* help) {
    return command.add_option(name, value, help);
  };
  train::FinetuneOptions& o = flags.options;
  option("--train", flags.trained,
         "What: lora, last-layers=N, or full (the last two: dense weights)")
      ->capture_default_str();
  option("--adapter", flags.adapter,
         "lora: go on training this adapter; rank, alpha and targets are its own");
  option("--rank", flags.rank, "lora: rank (default 16)");
  option("--alpha", flags.alpha, "lora: the addition is scaled by alpha / rank (default 32)");
  option("--dropout", flags.dropout,
         "lora: share of the inputs left out (default 0, or the adapter's)");
  option("--targets", flags.targets,
         "lora: all-linear (without the head; default), or modules: q_proj,v_proj");
  option("--steps", flags.steps, "Steps (default 400)");
  option("--epochs", flags.epochs, "Instead of steps: how often to go through the data");
  option("--batch", flags.batches.batch, "Sequences at once")->capture_default_str();
  option("--grad-accum", flags.batches.accumulate, "Times that, to a step")->capture_default_str();
  option("--seq", flags.sequence,
         "Tokens in a sequence (default 256, at most the model's context)");
  option("--lr", flags.rate, "Largest learning rate (default 1e-3 for lora, else 1e-4)");
  option("--schedule", flags.schedule, "To zero along a cosine or linear, or constant")
      ->capture_default_str();
  option("--warmup", flags.warmup, "Steps in which the rate rises (default 20, at most half)");
  option("--weight-decay", o.weight_decay, "Of AdamW, matrices only")->capture_default_str();
  option("--clip", o.clip, "Largest norm of the gradients (0: any)")->capture_default_str();
  option("--eval-split", flags.batches.eval_split, "Share of the data held out, its end")
      ->capture_default_str();
  command.add_flag("--pack", flags.batches.pack, "Go through the data in order, not at random");
  option("--checkpoint-every", flags.checkpoint_every,
         "Steps between checkpoints (0: only when interrupted; default 50 for lora, else 0)");
  command.add_flag("--resume", o.resume, "Go on where an interrupted run with these flags stopped");
  option("--log-every", o.log_every, "Steps between rows of metrics.jsonl")->capture_default_str();
  option(
      "--recompute", flags.recompute,
      "Compute layers again on the way back to save memory: auto (where they would keep more than "
      "512 MB, on a GPU more than half of its free memory), on or off")
      ->capture_default_str();
  option("--seed", flags.seed, "Of everything that is random")->capture_default_str();
  add_device_flag(command, flags.device);
  command.add_option("-t,--threads", flags.threads, "Threads (0: every core)")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  command.add_flag("--allow-long", flags.allow_long,
                   "Go beyond the context that a RoPE model was made for");
  add_format_flag(command, flags.format);
}

}  // namespace plimsoll::cli
