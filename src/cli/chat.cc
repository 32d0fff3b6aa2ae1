#include "cli/chat.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <vector>

#include "cli/generation_json.h"
#include "cli/line_editor.h"
#include "engine/model_tokenizer.h"
#include "engine/session.h"
#include "model/numerics.h"
#include "storage/atomic_file.h"
#include "text/chat_prompt.h"
#include "text/detokenizer.h"

namespace plimsoll::cli {

namespace {

constexpr const char* kHelp =
    "/help   this list\n"
    "/reset  forget the conversation\n"
    "/exit   leave (Ctrl-D, too)\n"
    "Ctrl-C stops an answer.";

ChatTemplate find_template(const std::string& model, const std::string& wanted) {
  if (std::filesystem::is_regular_file(wanted)) {
    return ChatTemplate::parse(read_text_file(wanted), wanted);
  }
  if (wanted.find('/') != std::string::npos || wanted.ends_with(".jinja")) {
    throw InputError("--chat-template", "file", wanted,
                     "a file that exists, or the name of one of the model's templates");
  }
  const auto found = ChatTemplate::load(model, wanted.empty() ? "default" : wanted);
  if (found) return *found;
  if (wanted.empty()) {
    throw InputError(model, "chat template", "none",
                     "one; --chat-template FILE gives the model one");
  }
  throw InputError("--chat-template", "file", wanted,
                   "a file that exists (the model has no templates to name)");
}

/// A line that is one word behind a slash.
bool is_command(const std::string& line) {
  return line.size() > 1 && line[0] == '/' &&
         std::all_of(line.begin() + 1, line.end(), [](char c) { return c >= 'a' && c <= 'z'; });
}

void say(const std::string& text) {
  std::cerr << text << std::endl;
}

/// What is said beside the conversation, on a terminal only.
void say_dimly(const std::string& text) {
  say("\033[2m" + text + "\033[0m");
}

class Chat {
 public:
  Chat(const ChatPrompt& prompt, const Tokenizer& tokenizer, std::string model,
       const ops::Context& context, std::vector<ChatMessage> opening,
       const GenerateOptions& options, bool json)
      : prompt_(prompt),
        tokenizer_(tokenizer),
        model_(std::move(model)),
        context_(context),
        opening_(std::move(opening)),
        messages_(opening_),
        options_(options),
        json_(json) {
    options_.progress = [](auto&&...) { return !interrupted(); };
  }

  void talk(Session& session) {
    if (editor_.interactive()) say_dimly("/help lists the commands, /exit leaves.");
    while (const auto line = editor_.read()) {
      if (line->empty()) continue;
      if (*line == "/exit") return;
      try {
        take(*line, session);
      } catch (const InputError& error) {
        if (!editor_.interactive()) throw;
        say(error.what());
      }
    }
  }

 private:
  void take(const std::string& line, Session& session) {
    if (line == "/help") {
      say(kHelp);
    } else if (line == "/reset") {
      messages_ = opening_;
      session.reset();
    } else if (is_command(line)) {
      throw InputError(line, "command", "none of this name", "/help, /reset or /exit");
    } else {
      answer(line, session);
    }
  }

  void answer(const std::string& question, Session& session) {
    std::vector<ChatMessage> asked = messages_;
    asked.push_back({"user", question});
    const std::vector<std::int32_t> ids = prompt_.ids(asked);
    if (static_cast<std::int64_t>(ids.size()) > session.capacity()) {
      throw InputError(
          "the conversation", "length", fmt::format("{} tokens", ids.size()),
          fmt::format("at most {}, the context; /reset begins a new one", session.capacity()));
    }
    StreamingDetokenizer detokenizer(tokenizer_);
    std::string text;
    const auto print = [&](const std::string& more) {
      text += more;
      if (!json_) std::cout << more << std::flush;
    };
    const Generation generation = session.generate(ids, options_, [&](std::int32_t id) {
      print(detokenizer.push(id));
      return !interrupted() && std::cout.good();
    });
    print(detokenizer.finish());
    if (json_) std::cout << generation_json(generation, &tokenizer_, model_, context_).dump();
    std::cout << std::endl;
    asked.push_back({"assistant", text});
    messages_ = std::move(asked);
    conclude(generation, session);
  }

  void conclude(const Generation& generation, const Session& session) {
    if (generation.stop == StopReason::caller) {
      if (!editor_.interactive()) throw Interrupted{};
      clear_interrupt();
      if (interrupted()) throw Interrupted{};
    }
    if (generation.stop == StopReason::context_full) {
      say(fmt::format("the context of {} tokens is full: /reset begins a new conversation",
                      session.capacity()));
    }
    if (!editor_.interactive() || isatty(STDERR_FILENO) != 1) return;
    say_dimly(
        fmt::format("{} tokens, {:.1f} tokens/s | context {} of {} | stopped: {}",
                    generation.ids.size(), generation.decode_tokens_per_second(),
                    generation.prompt_tokens + static_cast<std::int64_t>(generation.ids.size()),
                    session.capacity(), stop_reason_name(generation.stop)));
  }

  const ChatPrompt& prompt_;
  const Tokenizer& tokenizer_;
  const std::string model_;
  const ops::Context context_;
  const std::vector<ChatMessage> opening_;  // the system's
  std::vector<ChatMessage> messages_;
  GenerateOptions options_;
  const bool json_;
  LineEditor editor_;
};

/// Fails now, not after the first question, where the template refuses the system message.
void try_template(const ChatPrompt& prompt, const std::vector<ChatMessage>& opening) {
  const ChatMessage question{"user", "Hello"};
  std::vector<ChatMessage> messages = opening;
  messages.push_back(question);
  const std::string text = prompt.text(messages);
  if (!opening.empty() && text == prompt.text({&question, 1})) {
    say("warning: --system has no effect: the chat template leaves system messages out");
  }
}

}  // namespace

void chat(const ModelFlags& model_flags, const ChatFlags& flags, GenerateOptions options,
          const std::string& format) {
  const std::string& name = model_flags.model;
  if (is_shape(name)) {
    throw InputError(name, "tokenizer", "none", "a checkpoint folder, since --chat needs one");
  }
  const ops::Context wanted = model_flags.context();
  const auto tokenizer = load_tokenizer(name, load_config(name));
  const ChatPrompt prompt(find_template(name, flags.chat_template), template_variables(name),
                          *tokenizer);
  std::vector<ChatMessage> opening;
  if (!flags.system.empty()) opening.push_back({"system", flags.system});
  try_template(prompt, opening);

  const ModelConfig config = load_config(name);
  options.allow_long = model_flags.allow_long;
  const std::int64_t positions =
      flags.context > 0 ? flags.context : std::min(kDefaultContext, config.max_positions);
  check_context(config, positions, options.allow_long, "--context");
  if (options.max_new_tokens < 0) options.max_new_tokens = positions;

  const auto model = model_flags.load();
  const ops::Context context = settled(wanted, *model);
  Session session(*model, context, positions);
  Chat(prompt, *tokenizer, name, context, opening, options, format == "json").talk(session);
}

}  // namespace plimsoll::cli
