// plimsoll finetune: a model adapted to texts.
#include <unistd.h>

#include <filesystem>
#include <iostream>

#include "cli/command.h"
#include "compress/save_dense.h"
#include "core/memory.h"
#include "core/quote.h"
#include "core/rng.h"
#include "core/threads.h"
#include "core/units.h"
#include "engine/generate.h"
#include "engine/model_tokenizer.h"
#include "storage/atomic_file.h"
#include "storage/sha256.h"
#include "train/checkpoint.h"
#include "train/finetune.h"

namespace plimsoll::cli {

namespace {

namespace fs = std::filesystem;

struct FinetuneFlags {
  std::string model, output, adapter, trained = "lora", schedule = "cosine", recompute = "auto";
  std::string format = "text";
  std::vector<std::string> data;
  std::optional<std::string> targets;
  WeightFlags weights;
  train::DataOptions batches;
  train::FinetuneOptions options;
  std::optional<std::int64_t> sequence, warmup, steps, checkpoint_every, rank;
  std::optional<double> rate, epochs, alpha, dropout;
  std::uint64_t seed = 0;
  int threads = 0;
  bool allow_long = false;
};

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

/// The adapter that training goes on from. InputError when a flag asks for another one.
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

/// Everything that the losses depend on.
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
                              {"threads", threads()}};
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

/// The folder that the run writes into: new or empty, or, to resume, an interrupted run's. Whether
/// it was made now.
bool prepare_folder(const FinetuneFlags& flags) {
  const fs::path folder = flags.output;
  std::error_code error;
  if (flags.options.resume) remove_leftovers(folder);
  const bool occupied = fs::exists(folder, error) &&
                        !(fs::is_directory(folder, error) && fs::is_empty(folder, error));
  const bool has_checkpoint = fs::exists(train::checkpoint_file(folder), error);
  const bool finished = !has_checkpoint && (fs::exists(folder / "adapter_config.json", error) ||
                                            fs::exists(folder / "config.json", error));
  if (flags.options.resume && !fs::exists(folder, error))
    throw InputError(flags.output, "run to resume", "nothing there", "an interrupted run");
  if (flags.options.resume && finished)
    throw InputError(flags.output, "run to resume", "a finished one", "an interrupted one");
  const bool ours = has_checkpoint || fs::exists(folder / "metrics.jsonl", error);
  if (occupied && !(flags.options.resume && ours)) {
    throw InputError(flags.output, "output folder", "something there already",
                     flags.options.resume ? "an interrupted run" : "a new or an empty folder");
  }
  const bool made = fs::create_directories(folder, error);
  if (error || ::access(folder.c_str(), W_OK | X_OK) != 0)
    throw InputError(flags.output, "output folder", error ? error.message() : "no permission",
                     "a folder that can be written");
  return made;
}

/// A folder that goes with the object if nothing came into it.
struct GoneWhenEmpty {
  fs::path folder;
  ~GoneWhenEmpty() {
    std::error_code ignored;
    if (!folder.empty()) fs::remove(folder, ignored);
  }
};

void write_result(const FinetuneFlags& flags, const train::FinetuneResult& result,
                  const Progress& progress) {
  const fs::path folder = flags.output;
  if (result.layers.empty()) {
    compress::ChangedTensors changed;
    for (const train::Parameter& parameter : result.parameters.all())
      changed.emplace(parameter.name, parameter.value);
    compress::save_dense(flags.model, changed, folder, progress);
  } else {
    save_adapter(folder, result.adapter, result.layers);
  }
  std::error_code ignored;
  fs::remove(train::checkpoint_file(folder), ignored);
}

void say_how_to_resume(const fs::path& folder) {
  std::error_code error;
  if (folder.empty() || !fs::exists(train::checkpoint_file(folder), error)) return;
  end_progress_line();
  std::cerr << fmt::format(
      "plimsoll: {} keeps what was trained; the same command with --resume goes on\n",
      train::checkpoint_file(folder).string());
}

/// Ids made up, for shape: models: to measure speed and memory.
train::Material made_up_material(const ModelConfig& config, const train::DataOptions& options) {
  train::Material material;
  Rng rng(options.seed);
  for (std::int64_t i = 0; i < 40 * options.sequence; ++i) {
    material.stream.push_back(
        static_cast<std::int32_t>(rng.below(static_cast<std::uint64_t>(config.vocab_size))));
  }
  return material;
}

void print(const FinetuneFlags& flags, const train::FinetuneOptions& options,
           const train::FinetuneResult& result) {
  const double tokens_per_second =
      result.seconds > 0 ? static_cast<double>(result.tokens) / result.seconds : 0;
  if (flags.format == "json") {
    nlohmann::ordered_json json{
        {"model", flags.model},
        {"output", flags.output},
        {"weights", flags.weights.weights.empty() ? "as stored" : flags.weights.weights},
        {"train", train::trained_name(options.trained)},
        {"trained_parameters", result.parameters.count()},
        {"steps", options.steps},
        {"seconds", result.seconds},
        {"tokens_per_second", tokens_per_second},
        {"peak_memory_bytes", peak_memory()}};
    if (result.before) json["ppl_before"] = result.before->ppl;
    if (result.after) json["ppl_after"] = result.after->ppl;
    std::cout << json.dump() << '\n';
    return;
  }
  if (result.before && result.after) {
    std::cout << fmt::format("perplexity of the held-out end: {:.2f} before, {:.2f} after\n",
                             result.before->ppl, result.after->ppl);
  }
  const std::string weights =
      flags.weights.weights.empty() ? "" : " --weights " + flags.weights.weights;
  std::cout << fmt::format(
      "{} numbers trained, {} steps in {:.1f} s, {:.0f} tokens/s, peak memory {}\n{}\n",
      result.parameters.count(), result.steps, result.seconds, tokens_per_second,
      format_bytes(peak_memory()),
      result.layers.empty() ? fmt::format("plimsoll run {} uses the result", flags.output)
                            : fmt::format("plimsoll run {}{} --adapter {} uses the result",
                                          flags.model, weights, flags.output));
}

void run(const FinetuneFlags& flags) {
  check_flags(flags);
  set_threads(flags.threads);
  train::FinetuneOptions options = flags.options;
  train::DataOptions data = flags.batches;
  options.trained = train::trained_from_name(flags.trained);
  options.schedule = train::schedule_from_name(flags.schedule);
  options.recompute = train::recompute_from_name(flags.recompute);
  options.beginning = beginning_of(flags);
  options.adapter = adapter_config(flags, options.beginning);
  const bool lora = options.trained.kind == train::Trained::Kind::lora;
  const bool shape = is_shape(flags.model);
  options.rate = flags.rate.value_or(lora ? 1e-3 : 1e-4);
  options.checkpoint_every = flags.checkpoint_every.value_or(lora ? 50 : 0);
  options.seed = data.seed = flags.seed;
  options.progress = progress_bar();
  const ModelConfig config = load_config(flags.model);
  data.sequence = flags.sequence.value_or(std::min<std::int64_t>(256, config.max_positions));
  if (!shape) check_context(config, data.sequence, flags.allow_long, "--seq");
  if (shape != flags.output.empty()) {
    throw InputError("-o", "folder", shape ? quote(flags.output) : "none",
                     shape ? "none: random weights are trained for their speed alone" : "one");
  }
  if (flags.data.empty() && !shape) throw InputError("--data", "files", "none", "at least one");

  const auto material = [&] {
    if (shape) return made_up_material(config, data);
    return train::read_material(flags.data, flags.model, *load_tokenizer(flags.model, config));
  };
  const train::Dataset dataset(material(), data);
  options.steps =
      flags.epochs ? dataset.steps_of(*flags.epochs) : flags.steps.value_or(std::int64_t{400});
  options.warmup = std::min(flags.warmup.value_or(20), options.steps / 2);
  options.folder = flags.output;
  GoneWhenEmpty made;
  if (!shape) {
    options.recipe = recipe_of(flags, options, data);
    if (prepare_folder(flags)) made.folder = flags.output;
  }
  LoadOptions load;
  load.context = data.sequence;
  load.progress = options.progress;
  const auto model = flags.weights.load(flags.model, load, flags.weights.calibration(flags.model));
  const train::FinetuneResult result = [&] {
    try {
      return train::finetune(*model, dataset, options);
    } catch (const Interrupted&) {
      say_how_to_resume(options.folder);
      throw;
    }
  }();
  if (!shape) write_result(flags, result, options.progress);
  print(flags, options, result);
}

}  // namespace

void add_finetune(CLI::App& app) {
  auto flags = std::make_shared<FinetuneFlags>();
  CLI::App* command = app.add_subcommand("finetune", "Adapt a model to texts (LoRA, QLoRA, full)");
  command->footer(
      "A text is one stream of tokens; windows of --seq are drawn from it at random. FILE.jsonl "
      "has\n"
      "an object a line: {\"prompt\", \"completion\"}, {\"messages\": [{\"role\", \"content\"}]} "
      "(only\n"
      "the answers are learnt) or {\"text\"}. The end of the data is held out and judged before "
      "and\n"
      "after. The folder is what PEFT writes, with metrics.jsonl beside it.\n\n"
      "Examples:\n"
      "  plimsoll finetune models/demo --data novel.txt -o adapter\n"
      "  plimsoll finetune models/demo --data novel.txt -o adapter --weights nf4-dq\n"
      "  plimsoll finetune models/demo --data novel.txt -o adapter --resume\n"
      "  plimsoll finetune models/demo --data more.txt -o further --adapter adapter\n"
      "  plimsoll run models/demo --adapter adapter -p \"The captain\"");
  command->add_option("MODEL,-m,--model", flags->model, "Checkpoint folder, or shape:NAME")
      ->required();
  command->add_option("--data", flags->data, "UTF-8 texts, or JSONL files");
  command->add_option("-o,--output", flags->output,
                      "Folder to write; must not exist yet, or be empty");
  add_weight_flags(*command, flags->weights);
  const auto option = [&](const char* name, auto& value, const char* help) {
    return command->add_option(name, value, help);
  };
  train::FinetuneOptions& o = flags->options;
  option("--train", flags->trained,
         "What: lora, last-layers=N, or full (the last two: dense weights)")
      ->capture_default_str();
  option("--adapter", flags->adapter,
         "lora: go on training this adapter; rank, alpha and targets are its own");
  option("--rank", flags->rank, "lora: rank (default 16)");
  option("--alpha", flags->alpha, "lora: the addition is scaled by alpha / rank (default 32)");
  option("--dropout", flags->dropout,
         "lora: share of the inputs left out (default 0, or the adapter's)");
  option("--targets", flags->targets,
         "lora: all-linear (without the head; default), or modules: q_proj,v_proj");
  option("--steps", flags->steps, "Steps (default 400)");
  option("--epochs", flags->epochs, "Instead of steps: how often to go through the data");
  option("--batch", flags->batches.batch, "Sequences at once")->capture_default_str();
  option("--grad-accum", flags->batches.accumulate, "Times that, to a step")->capture_default_str();
  option("--seq", flags->sequence,
         "Tokens in a sequence (default 256, at most the model's context)");
  option("--lr", flags->rate, "Largest learning rate (default 1e-3 for lora, else 1e-4)");
  option("--schedule", flags->schedule, "To zero along a cosine or linear, or constant")
      ->capture_default_str();
  option("--warmup", flags->warmup, "Steps in which the rate rises (default 20, at most half)");
  option("--weight-decay", o.weight_decay, "Of AdamW, matrices only")->capture_default_str();
  option("--clip", o.clip, "Largest norm of the gradients (0: any)")->capture_default_str();
  option("--eval-split", flags->batches.eval_split, "Share of the data held out, its end")
      ->capture_default_str();
  command->add_flag("--pack", flags->batches.pack, "Go through the data in order, not at random");
  option("--checkpoint-every", flags->checkpoint_every,
         "Steps between checkpoints (0: only when interrupted; default 50 for lora, else 0)");
  command->add_flag("--resume", o.resume,
                    "Go on where an interrupted run with these flags stopped");
  option("--log-every", o.log_every, "Steps between rows of metrics.jsonl")->capture_default_str();
  option(
      "--recompute", flags->recompute,
      "Compute layers again on the way back to save memory: auto (where they would keep more than "
      "512 MB), on or off")
      ->capture_default_str();
  option("--seed", flags->seed, "Of everything that is random")->capture_default_str();
  command->add_option("-t,--threads", flags->threads, "Threads (0: every core)")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  command->add_flag("--allow-long", flags->allow_long,
                    "Go beyond the context that a RoPE model was made for");
  add_format_flag(*command, flags->format);
  command->callback([flags] { run(*flags); });
}

}  // namespace plimsoll::cli
