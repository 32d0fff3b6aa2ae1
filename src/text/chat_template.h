// Chat templates: the Jinja text in a checkpoint that turns a list of messages into the prompt
// which the model was trained on. Rendering agrees with what Hugging Face's apply_chat_template
// does: an immutable sandbox, trim_blocks and lstrip_blocks on, break and continue, generation
// blocks.
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "text/jinja/limits.h"

namespace plimsoll {

namespace jinja {
struct Program;
}

class ChatTemplate {
 public:
  /// From source text, UTF-8. `name` (a file) appears in errors as NAME:LINE. InputError when the
  /// text is not a template or uses a part of Jinja that chat templates cannot (include, extends).
  static ChatTemplate parse(std::string source, std::string name);

  /// The template of a checkpoint folder: chat_template.jinja with
  /// additional_chat_templates/*.jinja; without these, chat_template.json, then "chat_template" in
  /// tokenizer_config.json (a text, or a list of {name, template}). nullopt when the folder has
  /// none. `which` picks a named one; a lone template is "default". InputError for a name that is
  /// not there, listing those that are.
  static std::optional<ChatTemplate> load(const std::filesystem::path& directory,
                                          std::string_view which = "default");

  /// The text of a conversation. `variables` is an object: messages (an array of {role, content,
  /// ...}), add_generation_prompt, tools, bos_token, eos_token and whatever else the template
  /// reads. InputError ("NAME:LINE: ...") when the template raises an exception, does what Jinja
  /// refuses, or passes a limit.
  std::string render(const nlohmann::ordered_json& variables,
                     const RenderLimits& limits = {}) const;

  const std::string& name() const { return name_; }
  const std::string& source() const { return source_; }

 private:
  ChatTemplate() = default;

  std::string name_;
  std::string source_;
  std::shared_ptr<const jinja::Program> program_;
};

/// The special tokens that templates read, as an object for render(): bos_token, eos_token,
/// unk_token, pad_token and their like from special_tokens_map.json and tokenizer_config.json
/// (which wins), each as its text; null for a BOS or an EOS that the file says there is none of.
/// Empty when the folder has neither file.
nlohmann::ordered_json template_variables(const std::filesystem::path& directory);

}  // namespace plimsoll
