// plimsoll tokenize: how a text is cut.
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "core/threads.h"
#include "text/tokenizer.h"

namespace plimsoll::cli {

namespace {

struct TokenizeFlags {
  std::string model;
  std::string prompt;
  std::string file;
  bool parse_special = false;
  bool no_bos = false;
  std::string format = "json";
  int threads = 0;
};

void run(const TokenizeFlags& flags, bool has_prompt) {
  if (has_prompt == !flags.file.empty())
    throw InputError("tokenize: give either -p TEXT or --file FILE");
  set_threads(flags.threads);
  const auto tokenizer = Tokenizer::load(flags.model);
  EncodeOptions options;
  options.parse_special = flags.parse_special;
  if (flags.no_bos) options.add_bos = false;
  if (!flags.file.empty()) {
    const std::string text = read_utf8(flags.file);
    const auto count = tokenizer->encode(text, options).size();
    const double ratio =
        count == 0 ? 0 : static_cast<double>(text.size()) / static_cast<double>(count);
    if (flags.format == "json") {
      std::cout << nlohmann::json{{"bytes", text.size()},
                                  {"tokens", count},
                                  {"bytes_per_token", ratio}}
                       .dump()
                << '\n';
    } else {
      std::cout << fmt::format("{} tokens, {} bytes, {:.2f} bytes a token\n", count, text.size(),
                               ratio);
    }
    return;
  }
  const Encoding encoding = tokenizer->encode_with_spans(flags.prompt, options);
  nlohmann::json json{{"ids", encoding.ids}, {"count", encoding.ids.size()}};
  json["pieces"] = nlohmann::json::array();
  json["offsets"] = nlohmann::json::array();
  for (std::size_t i = 0; i < encoding.ids.size(); ++i) {
    json["pieces"].push_back(tokenizer->piece(encoding.ids[i]));
    json["offsets"].push_back({encoding.spans[i].begin, encoding.spans[i].end});
  }
  if (flags.format == "json") {
    std::cout << json.dump() << '\n';
    return;
  }
  for (std::size_t i = 0; i < encoding.ids.size(); ++i) {
    std::cout << fmt::format("{:>7}  {:>6}-{:<6}  {}\n", encoding.ids[i], encoding.spans[i].begin,
                             encoding.spans[i].end, json["pieces"][i].get<std::string>());
  }
}

}  // namespace

void add_tokenize(CLI::App& app) {
  auto flags = std::make_shared<TokenizeFlags>();
  CLI::App* command = app.add_subcommand("tokenize", "Show how a text is cut into tokens");
  command->footer(
      "Examples:\n"
      "  plimsoll tokenize models/demo -p \"The captain\"\n"
      "  plimsoll tokenize models/demo --file corpus.txt --format text");
  command->add_option("MODEL,-m,--model", flags->model, "Checkpoint folder or tokenizer file")
      ->required();
  CLI::Option* prompt = command->add_option("-p,--prompt", flags->prompt, "Text to cut");
  command->add_option("--file", flags->file, "File to count (-: standard input)");
  command->add_flag("--parse-special", flags->parse_special,
                    "Special tokens spelt in the text are tokens");
  command->add_flag("--no-bos", flags->no_bos, "No beginning-of-sequence token");
  command->add_option("-t,--threads", flags->threads, "Threads for long texts (0: every core)")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  add_format_flag(*command, flags->format);
  command->callback([flags, prompt] { run(*flags, prompt->count() > 0); });
}

}  // namespace plimsoll::cli
