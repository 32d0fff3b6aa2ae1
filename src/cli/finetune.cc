// plimsoll finetune: a model adapted to texts.
#include <unistd.h>

#include <filesystem>
#include <iostream>

#include "cli/finetune_flags.h"
#include "compress/save_dense.h"
#include "core/quote.h"
#include "core/rng.h"
#include "core/threads.h"
#include "core/units.h"
#include "engine/generate.h"
#include "engine/model_tokenizer.h"
#include "storage/atomic_file.h"
#include "train/checkpoint.h"
#include "train/finetune.h"

namespace plimsoll::cli {

namespace {

namespace fs = std::filesystem;

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
  ops::Context context;
  context.device = options.device;
  const std::uint64_t peak = ops::peak_memory(context);
  const double tokens_per_second =
      result.seconds > 0 ? static_cast<double>(result.tokens) / result.seconds : 0;
  if (flags.format == "json") {
    nlohmann::ordered_json json{
        {"model", flags.model},
        {"output", flags.output},
        {"weights", flags.weights.weights.empty() ? "as stored" : flags.weights.weights},
        {"train", train::trained_name(options.trained)},
        {"device", options.device != nullptr ? options.device->name() : "cpu"},
        {"trained_parameters", result.parameters.count()},
        {"steps", options.steps},
        {"seconds", result.seconds},
        {"tokens_per_second", tokens_per_second},
        {"peak_memory_bytes", peak}};
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
      format_bytes(peak),
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
  options.device = opened_device(flags.device);
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
  load.device = options.device;
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
  add_finetune_flags(*command, *flags);
  command->callback([flags] { run(*flags); });
}

}  // namespace plimsoll::cli
