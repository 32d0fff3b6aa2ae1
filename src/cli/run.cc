// plimsoll run: a prompt in, text out.
#include <cstdio>
#include <iostream>

#include "cli/chat.h"
#include "cli/command.h"
#include "cli/generation_json.h"
#include "core/memory.h"
#include "core/units.h"
#include "engine/generate.h"
#include "engine/model_tokenizer.h"
#include "model/numerics.h"
#include "text/detokenizer.h"

namespace plimsoll::cli {

namespace {

struct RunFlags {
  ModelFlags model;
  std::string prompt, prompt_ids, prompt_file;
  bool parse_special = false;
  bool print_ids = false;
  std::string format = "text";
  GenerateOptions generate;
  ChatFlags chat;
};

/// The prompt's ids, and the tokenizer where one was needed.
struct Prompt {
  std::unique_ptr<Tokenizer> tokenizer;
  std::vector<std::int32_t> ids;
};

Prompt prompt_of(const RunFlags& flags, const ModelConfig& config) {
  const int given = !flags.prompt.empty() + !flags.prompt_ids.empty() + !flags.prompt_file.empty();
  if (given > 1) throw InputError("-p, --prompt-ids, --prompt-file: give one of them, not several");
  Prompt prompt;
  const bool ids_alone =
      !flags.prompt_ids.empty() && (flags.print_ids || !has_tokenizer(flags.model.model));
  if (!is_shape(flags.model.model) && !ids_alone) {
    prompt.tokenizer = load_tokenizer(flags.model.model, config);
  }
  if (!flags.prompt_ids.empty()) {
    prompt.ids = parse_ids(flags.prompt_ids, "--prompt-ids");
    check_ids(config, prompt.ids, "--prompt-ids");
  } else if (prompt.tokenizer) {
    const std::string text =
        flags.prompt_file.empty() ? flags.prompt : read_utf8(flags.prompt_file);
    EncodeOptions options;
    options.parse_special = flags.parse_special;
    prompt.ids = prompt.tokenizer->encode(text, options);
  } else {
    throw InputError(flags.model.model, "tokenizer", "none",
                     "--prompt-ids, since a shape has no tokenizer");
  }
  return prompt;
}

void print_summary(const Generation& generation, const ops::Context& context) {
  std::fputs(
      fmt::format(
          "\nprompt {} tokens, {:.1f} tokens/s | first token {:.1f} ms | decode {} tokens, {:.1f} "
          "tokens/s | stopped: {} | peak memory {}\n",
          generation.prompt_tokens, generation.prompt_tokens_per_second(),
          generation.prompt_seconds * 1e3, generation.ids.size(),
          generation.decode_tokens_per_second(), stop_reason_name(generation.stop),
          format_bytes(ops::peak_memory(context)))
          .c_str(),
      stderr);
}

void run(const RunFlags& flags) {
  flags.generate.sampling.check();
  if (flags.generate.max_new_tokens < -1) {
    throw InputError("--max-new-tokens", "count", std::to_string(flags.generate.max_new_tokens),
                     "-1 (as many as fit) or more");
  }
  if (flags.chat.chat) return chat(flags.model, flags.chat, flags.generate, flags.format);
  const ops::Context wanted = flags.model.context();
  const ModelConfig config = load_config(flags.model.model);
  const Prompt prompt = prompt_of(flags, config);
  const auto prompt_tokens = static_cast<std::int64_t>(prompt.ids.size());
  if (!is_shape(flags.model.model)) {  // a shape takes any length
    check_context(config, prompt_tokens, flags.model.allow_long, "the prompt");
  }
  const auto positions = prompt_tokens + flags.generate.max_new_tokens;
  const auto model = flags.model.load(positions);
  const ops::Context context = settled(wanted, *model);
  GenerateOptions options = flags.generate;
  options.progress = progress_bar();
  options.allow_long = flags.model.allow_long || is_shape(flags.model.model);
  if (options.max_new_tokens < 0) options.max_new_tokens = model->config().max_positions;

  const bool streams = flags.format == "text" && !flags.print_ids && prompt.tokenizer != nullptr;
  std::optional<StreamingDetokenizer> detokenizer;
  if (streams) {
    // The continuation alone is printed, but decoded as what follows the prompt: a space stays.
    detokenizer.emplace(*prompt.tokenizer);
    for (const std::int32_t id : prompt.ids) detokenizer->push(id);
  }
  const Generation generation =
      plimsoll::generate(*model, context, prompt.ids, options, [&](std::int32_t id) {
        if (streams) std::cout << detokenizer->push(id) << std::flush;
        return !interrupted() && std::cout.good();  // a reader may be gone
      });
  if (streams) std::cout << detokenizer->finish() << '\n';
  if (flags.format == "json") {
    std::cout
        << generation_json(generation, prompt.tokenizer.get(), flags.model.model, context).dump()
        << '\n';
  } else if (!streams) {
    std::cout << fmt::format("{}\n", fmt::join(generation.ids, ","));
  }
  std::cout.flush();
  print_summary(generation, context);
  if (interrupted()) throw Interrupted{};
}

}  // namespace

void add_run(CLI::App& app) {
  auto flags = std::make_shared<RunFlags>();
  CLI::App* command = app.add_subcommand("run", "Continue a prompt, or chat");
  command->footer(
      "Examples:\n"
      "  plimsoll run models/demo -p \"The captain\" -n 60\n"
      "  plimsoll run models/demo -p \"Once upon a time\" --temperature 0.8 --top-p 0.95 --seed 7\n"
      "  plimsoll run models/demo --prompt-file letter.txt -n 200 --weights fp16\n"
      "  plimsoll run models/demo --chat\n"
      "  plimsoll run shape:tinyllama-1.1b --prompt-ids 1,2,3 --print-ids --ignore-eos");
  add_model_flags(*command, flags->model, "fast");
  CLI::Option* prompt = command->add_option("-p,--prompt", flags->prompt, "Text to continue");
  CLI::Option* prompt_ids =
      command
          ->add_option("--prompt-ids", flags->prompt_ids,
                       "Token ids to continue: 1,2,3 or @FILE; no tokenizer needed")
          ->check([](const std::string& ids) {
            return ids.empty() ? "found nothing, expected at least one token id" : "";
          });
  CLI::Option* prompt_file = command->add_option(
      "--prompt-file", flags->prompt_file, "File with the text to continue (-: standard input)");
  CLI::Option* parse_special =
      command->add_flag("--parse-special", flags->parse_special,
                        "Special tokens spelt in the prompt are tokens, not text");
  CLI::Option* new_tokens =
      command
          ->add_option(
              "-n,--max-new-tokens", flags->generate.max_new_tokens,
              fmt::format("New tokens at most (-1: as many as fit; with --chat {} unless given)",
                          kDefaultAnswer))
          ->capture_default_str();
  SamplingOptions& sampling = flags->generate.sampling;
  command->add_option("--temperature", sampling.temperature, "0: always the likeliest token")
      ->capture_default_str();
  command->add_option("--top-k", sampling.top_k, "Keep the k likeliest (0: all)")
      ->capture_default_str();
  command->add_option("--top-p", sampling.top_p, "Keep the likeliest that reach p together")
      ->capture_default_str();
  command
      ->add_option("--min-p", sampling.min_p, "Keep those with min-p times the largest probability")
      ->capture_default_str();
  command->add_option("--repetition-penalty", sampling.repetition_penalty, "Over 1: repeat less")
      ->capture_default_str();
  command->add_option("--seed", sampling.seed, "Of the random choice")->capture_default_str();
  command->add_flag("--ignore-eos", flags->generate.ignore_eos,
                    "Do not stop at the end-of-sequence token");
  CLI::Option* print_ids = command->add_flag("--print-ids", flags->print_ids,
                                             "Print the new ids, comma-separated, instead of text");
  add_format_flag(*command, flags->format);
  CLI::Option* chat = command->add_flag("--chat", flags->chat.chat,
                                        "Talk: answers what is typed, or each line of a pipe");
  for (CLI::Option* other : {prompt, prompt_ids, prompt_file, parse_special, print_ids})
    chat->excludes(other);
  command
      ->add_option("--system", flags->chat.system, "What the model is told before the conversation")
      ->needs(chat);
  command
      ->add_option("--chat-template", flags->chat.chat_template,
                   "File with a chat template, or the name of one of the model's")
      ->needs(chat);
  command
      ->add_option(
          "-c,--context", flags->chat.context,
          fmt::format("Tokens that a conversation may have (0: what the model takes, at most {})",
                      kDefaultContext))
      ->capture_default_str()
      ->check(CLI::Range(std::int64_t{0}, std::int64_t{1} << 50))
      ->needs(chat);
  command->callback([flags, new_tokens] {
    if (flags->chat.chat && new_tokens->count() == 0)
      flags->generate.max_new_tokens = kDefaultAnswer;
    run(*flags);
  });
}

}  // namespace plimsoll::cli
