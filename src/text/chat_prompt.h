// A conversation as ids: the chat template applied, and its text cut.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace plimsoll {

struct ChatMessage {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

/// Both functions throw InputError naming the template's line where it refuses the conversation.
class ChatPrompt {
 public:
  /// What the text ends with: the question for the next answer (add_generation_prompt), or the
  /// conversation itself, to be learnt from.
  enum class Ending { next_answer, conversation };

  /// `variables` are the special tokens that the template reads (template_variables()); a BOS and
  /// an EOS that are missing come from the tokenizer, which must outlive this. `tools` and
  /// `documents` are none, as apply_chat_template gives them.
  ChatPrompt(ChatTemplate chat_template, nlohmann::ordered_json variables,
             const Tokenizer& tokenizer);

  std::string text(std::span<const ChatMessage> messages,
                   Ending ending = Ending::next_answer) const;

  /// The ids that transformers' apply_chat_template gives: nothing is put around the rendered text,
  /// and the special tokens that the template spells are tokens. Those spelt in a message are the
  /// one difference: they stay text, so that nobody can end his turn and speak for another.
  std::vector<std::int32_t> ids(std::span<const ChatMessage> messages,
                                Ending ending = Ending::next_answer) const;

 private:
  ChatTemplate template_;
  nlohmann::ordered_json variables_;
  const Tokenizer* tokenizer_;
};

}  // namespace plimsoll
