// plimsoll study: every variant side by side.
#include <iostream>

#include "cli/command.h"
#include "core/threads.h"
#include "study/adaptation.h"
#include "study/study.h"
#include "text/sample_text.h"

namespace plimsoll::cli {

namespace {

struct StudyFlags {
  std::string model, variants, text, format = "text";
  ContextFlags context;
  AdapterFlags adapters;
  bool finetune = false;
  study::StudyOptions options;
};

/// The winner, adapted to the text that was given or to the whole story built in.
study::Adaptation adapt(const StudyFlags& flags, const study::StudyOptions& options,
                        const study::StudyResult& result) {
  study::AdaptationOptions adaptation;
  adaptation.model = flags.model;
  adaptation.weights = result.variants[result.recommendation.best].variant.weights;
  adaptation.context = options.context;
  adaptation.text = flags.text.empty()
                        ? std::string(calibration_sample()) + std::string(evaluation_sample())
                        : options.text;
  adaptation.sample_prompt = result.sample_prompt;
  adaptation.progress = options.progress;
  adaptation.on_loaded = options.on_loaded;
  return study::adapt(adaptation);
}

void run(const StudyFlags& flags) {
  if (flags.finetune && is_shape(flags.model))
    throw InputError(flags.model, "weights", "random ones",
                     "a trained model: --finetune adapts it");
  study::StudyOptions options = flags.options;
  options.model = flags.model;
  options.context = flags.context.context();
  const ops::Attention attention = options.context.attention;
  options.variants = flags.variants.empty() ? study::default_variants(attention)
                                            : study::variants_from_list(flags.variants, attention);
  options.text = flags.text.empty() ? std::string(evaluation_sample()) : read_utf8(flags.text);
  options.progress = progress_bar();
  options.on_loaded = [&](Model& model) { flags.adapters.attach(model, flags.model); };
  const study::StudyResult result = study::run_study(options);
  if (flags.format == "json") {
    auto json = nlohmann::ordered_json::parse(study::as_json(result));
    if (flags.finetune) json["adaptation"] = study::as_json(adapt(flags, options, result));
    std::cout << json.dump() << '\n';
    return;
  }
  const std::string source = is_shape(flags.model) ? "random weights"
                             : flags.text.empty()  ? "the sea story built in"
                                                   : flags.text;
  std::cout << fmt::format("plimsoll study of {} on {}: {} variants, {} threads\n", flags.model,
                           source, options.variants.size(), threads())
            << study::as_text(result) << std::flush;
  if (flags.finetune) std::cout << study::as_text(adapt(flags, options, result));
}

}  // namespace

void add_study(CLI::App& app) {
  auto flags = std::make_shared<StudyFlags>();
  CLI::App* command =
      app.add_subcommand("study", "Measure every variant of a model and say which to take");
  command->footer(
      "Examples:\n"
      "  plimsoll study models/demo\n"
      "  plimsoll study models/gpt2-demo --variants fp32,fp16 --text novel.txt\n"
      "  plimsoll study shape:tinyllama-1.1b --format json");
  command->add_option("MODEL,-m,--model", flags->model, "Checkpoint folder or shape:NAME")
      ->required();
  command->add_option(
      "--variants", flags->variants,
      "WEIGHTS+ATTENTION,... (default: fp32, bf16, fp16, int8, nf4-dq, with --attention's)");
  command->add_option("--text", flags->text,
                      "UTF-8 text that quality is judged on (default: the sea story built in)");
  add_context_flags(*command, flags->context, "fast");
  add_adapter_flags(*command, flags->adapters);
  command->add_flag(
      "--finetune", flags->finetune,
      "Then adapt the recommended variant to the text for about a minute, and judge it "
      "before and after");
  command->add_option("-r,--repeats", flags->options.repeats, "Timed repeats")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command
      ->add_option("-n,--max-new-tokens", flags->options.new_tokens,
                   "Tokens decoded in each repeat")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  command
      ->add_option("--max-ppl-ratio", flags->options.max_ppl_ratio,
                   "Variants with a larger perplexity ratio are not recommended")
      ->check(CLI::Range(1.0, 1e9))
      ->capture_default_str();
  add_format_flag(*command, flags->format);
  command->callback([flags] { run(*flags); });
}

}  // namespace plimsoll::cli
