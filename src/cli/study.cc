// plimsoll study: every variant side by side.
#include <filesystem>
#include <iostream>

#include "cli/command.h"
#include "cli/study_screen.h"
#include "core/threads.h"
#include "kv/kv_format.h"
#include "study/adaptation.h"
#include "study/compare.h"
#include "study/imported.h"
#include "study/output.h"
#include "study/report_page.h"
#include "study/study.h"
#include "study/tables.h"
#include "text/sample_text.h"

namespace plimsoll::cli {

namespace {

namespace fs = std::filesystem;

struct StudyFlags {
  std::string model, text, output, format = "text";
  std::optional<std::string> variants;
  std::vector<std::string> compare, import;
  ContextFlags context;
  AdapterFlags adapters;
  bool one_attention = false;  // --attention was given
  bool finetune = false, quick = false, full = false, resume = false, overwrite = false;
  std::optional<std::int64_t> repeats;
  std::optional<double> memory_limit;
  study::StudyOptions options;
};

/// As CLI::Range, which lets "nan" pass.
CLI::Validator in_range(double low, double high) {
  return CLI::Validator(
      [low, high](const std::string& text) {
        double value = 0;
        const bool good = CLI::detail::lexical_cast(text, value) && value >= low && value <= high;
        return good ? std::string()
                    : fmt::format("Value {} not in range {} to {}", text, low, high);
      },
      fmt::format("in [{} - {}]", low, high));
}

/// The winner, adapted to the text that was given or to the whole story built in.
study::Adaptation adapt(const StudyFlags& flags, const study::StudyOptions& options,
                        const study::Results& results) {
  study::AdaptationOptions adaptation;
  adaptation.model = flags.model;
  const study::VariantResult* winner = results.find(results.recommended.value_or(results.baseline));
  adaptation.weights = quant::format_from_name(winner->weights, "weights");
  adaptation.context = options.context;
  adaptation.text = flags.text.empty()
                        ? std::string(calibration_sample()) + std::string(evaluation_sample())
                        : options.text;
  adaptation.sample_prompt = results.run.flags.sample_prompts.front();
  adaptation.progress = options.progress;
  adaptation.on_loaded = options.on_loaded;
  return study::adapt(adaptation);
}

/// Exit status 1 when something got worse.
void compare(const StudyFlags& flags) {
  const study::Comparison comparison = study::compare(study::read_results(flags.compare.front()),
                                                      study::read_results(flags.compare.back()));
  if (comparison.changes.empty()) {
    throw InputError(flags.compare.back(), "figures in common with " + flags.compare.front(),
                     "none", "a variant that is measured in both, with the same work or text");
  }
  std::cout << (flags.format == "json" ? study::as_json(comparison).dump() + "\n"
                                       : study::as_text(comparison))
            << std::flush;
  if (comparison.worse) throw ExitStatus{1};
}

void say_how_to_resume(const fs::path& folder) {
  std::error_code error;
  if (!fs::exists(folder / "results.json", error)) return;
  std::cerr << fmt::format(
      "plimsoll: {} keeps what is finished; the same command with --resume goes on\n",
      folder.string());
}

study::StudyOptions parsed(const StudyFlags& flags) {
  study::StudyOptions options = flags.options;
  options.model = flags.model;
  options.context = flags.context.context();
  const ModelConfig config = load_config(flags.model);
  if (flags.variants && *flags.variants != "all") {
    options.variants = study::variants_from_list(*flags.variants, config, options.context.kv,
                                                 options.context.attention);
  } else {
    options.variants = flags.variants ? study::variants_from_list("all", config, options.context.kv)
                                      : study::default_variants(config, options.context.kv);
    if (flags.one_attention) {
      options.variants = study::with_attention(options.variants, options.context.attention);
    } else if (!flags.variants && options.context.numerics == ops::Numerics::invariant) {
      std::erase_if(options.variants, [](const study::Variant& variant) {
        return variant.attention == ops::Attention::eager;  // which cannot promise it
      });
    }
  }
  options.text = flags.text.empty() ? std::string(evaluation_sample()) : read_utf8(flags.text);
  options.text_source = flags.text.empty() ? "the sea story built in" : flags.text;
  if (flags.quick) options.mode = study::Mode::quick;
  if (flags.full) options.mode = study::Mode::full;
  constexpr std::int64_t kQuickRepeats = 3;
  options.repeats = flags.repeats.value_or(flags.quick ? kQuickRepeats : options.repeats);
  constexpr double kGigabyte = 1e9;
  if (flags.memory_limit) {
    options.memory_limit_bytes = static_cast<std::int64_t>(*flags.memory_limit * kGigabyte);
  }
  for (const std::string& file : flags.import) {
    for (study::Imported& row : study::read_llama_bench(file)) {
      options.imported.push_back(std::move(row));
    }
  }
  options.adapters = flags.adapters.adapters;
  return options;
}

void run(const StudyFlags& flags) {
  if (!flags.compare.empty()) return compare(flags);
  if (flags.model.empty()) throw InputError("MODEL is required (or --compare A B)");
  if (flags.finetune && is_shape(flags.model))
    throw InputError(flags.model, "weights", "random ones",
                     "a trained model: --finetune adapts it");
  if (flags.finetune && flags.context.device != "cpu") {
    throw InputError("--finetune", "device", flags.context.device, "cpu: it trains there");
  }
  StudyScreen screen;
  study::StudyOptions options = parsed(flags);
  options.progress = [&](auto&&... args) { return screen.progress(args...); };
  options.on_loaded = [&](Model& model) { flags.adapters.attach(model, flags.model); };
  fs::path folder = flags.output;
  options.on_part = [&](const study::Results& results) {
    screen.show(results);
    study::save_output(folder, results);
  };
  options.on_trace = [&](const std::string& variant, const std::string& trace) {
    return study::save_trace(folder, variant, trace);
  };
  study::Study study(options);
  if (folder.empty()) folder = "study-" + study.results().run.model.name;
  const auto existing = flags.overwrite ? study::Existing::overwrite
                        : flags.resume  ? study::Existing::resume
                                        : study::Existing::refuse;
  if (auto earlier = study::open_output(folder, existing, study.results())) {
    study.resume(std::move(*earlier));
  } else if (std::error_code error; fs::exists(folder / "results.json", error)) {
    std::cerr << fmt::format("plimsoll: replaces the {}study in {}\n",
                             flags.overwrite ? "" : "finished ", folder.string());
  }
  screen.show(study.results());
  try {
    study.run();
  } catch (const Interrupted&) {
    screen.close();
    say_how_to_resume(folder);
    throw;
  }
  std::string adapted;
  if (flags.finetune && study.results().adaptation.is_null()) {
    const study::Adaptation adaptation = adapt(flags, options, study.results());
    study.add_adaptation(study::as_json(adaptation));
    adapted = study::as_text(adaptation);
  }
  study.finish();
  screen.close();
  const study::Results& results = study.results();
  if (flags.format == "json") {
    std::cout << study::to_json(results);
    return;
  }
  const std::string source = results.run.text ? results.run.text->source : "random weights";
  std::cout << fmt::format("plimsoll study of {} on {}: {}, {} threads\n", flags.model, source,
                           study::counted(results.variants.size(), "variant"), threads())
            << study::as_text(results) << adapted
            << fmt::format("\nWritten to {}: {}\n", folder.string(),
                           fmt::join(study::output_files(), ", "));
  if (!study::report_page_available()) {
    std::cout << "The report is Markdown only: this program was built without Node.js.\n";
  }
}

void add_measuring_flags(CLI::App& command, StudyFlags& flags) {
  CLI::Option* quick = command.add_flag("--quick", flags.quick,
                                        "Three repeats, four windows of the text, one sample");
  command.add_flag("--full", flags.full, "Sweeps over batches, prompts and depths too")
      ->excludes(quick);
  command.add_option("-r,--repeats", flags.repeats, "Timed repeats (default: 8, --quick: 3)")
      ->check(CLI::Range(1, 1000));
  command
      .add_option("-n,--max-new-tokens", flags.options.new_tokens, "Tokens decoded in each repeat")
      ->check(CLI::Range(2, 100000))
      ->capture_default_str();
  command
      .add_option("--max-ppl-ratio", flags.options.max_ppl_ratio,
                  "Variants with a larger perplexity ratio are not recommended")
      ->check(in_range(1, 1e9))
      ->capture_default_str();
  command
      .add_option("--memory-limit", flags.memory_limit,
                  "GB (1e9 bytes): variants that need more are shown as not fitting")
      ->check(in_range(1e-6, 1e9));
  command
      .add_option("--price-per-hour", flags.options.price_per_hour,
                  "Of the machine, for the price of a million tokens")
      ->check(in_range(0, 1e9));
}

void add_result_flags(CLI::App& command, StudyFlags& flags) {
  command.add_option(
      "-o,--output", flags.output,
      "Folder for results.json and what is made of it (default: study-NAME); a finished "
      "study of the same is replaced");
  CLI::Option* resume =
      command.add_flag("--resume", flags.resume, "Go on with the unfinished study in the folder");
  command.add_flag("--overwrite", flags.overwrite, "Replace the study in the folder")
      ->excludes(resume);
  command
      .add_option("--compare", flags.compare,
                  "Two results.json, before and after: what changed beyond noise; exit status 1 "
                  "when something got worse")
      ->expected(2);
  command.add_option("--import", flags.import, "llama-bench's JSON, for the same tables")
      ->allow_extra_args(false);
  add_format_flag(command, flags.format);
}

}  // namespace

void add_study(CLI::App& app) {
  auto flags = std::make_shared<StudyFlags>();
  CLI::App* command =
      app.add_subcommand("study", "Measure every variant of a model and say which to take");
  command->footer(
      "A variant is WEIGHTS+ATTENTION: bf16+eager, nf4-dq+sdpa. After every part, and every round "
      "of\n"
      "timing, results.json is written, and --resume goes on where a study was stopped. Quality "
      "is\n"
      "judged against the checkpoint's own dtype, also where that does not fit --memory-limit.\n\n"
      "Examples:\n"
      "  plimsoll study models/demo\n"
      "  plimsoll study models/gpt2-demo --variants fp32+sdpa,fp16+sdpa --text novel.txt -o mine\n"
      "  plimsoll study shape:mistral-7b --memory-limit 16 --quick\n"
      "  plimsoll study --compare before/results.json after/results.json");
  command->add_option("MODEL,-m,--model", flags->model, "Checkpoint folder or shape:NAME");
  command->add_option("--variants", flags->variants,
                      "WEIGHTS[+ATTENTION],... or all (default: the checkpoint's own dtype, int8 "
                      "and nf4-dq, each with eager and sdpa; no eager with --numerics invariant)");
  command->add_option("--text", flags->text,
                      "UTF-8 text that quality is judged on (default: the sea story built in)");
  CLI::Option* attention =
      command->add_option("--attention", flags->context.attention,
                          "Of variants that name none: eager, flash or sdpa (default: eager and "
                          "sdpa side by side; sdpa in a list)");
  command->add_option("--kv", flags->context.kv, kKvHelp);
  add_arithmetic_flags(*command, flags->context, "fast");
  add_machine_flags(*command, flags->context);
  add_adapter_flags(*command, flags->adapters);
  command->add_flag(
      "--finetune", flags->finetune,
      "Then adapt the recommended variant to the text for about a minute, and judge it "
      "before and after");
  add_measuring_flags(*command, *flags);
  add_result_flags(*command, *flags);
  command->callback([flags, attention] {
    flags->one_attention = attention->count() > 0;
    run(*flags);
  });
}

}  // namespace plimsoll::cli
