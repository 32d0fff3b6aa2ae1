// plimsoll run --chat: a conversation.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cli/command.h"
#include "engine/generate.h"

namespace plimsoll::cli {

struct ChatFlags {
  bool chat = false;
  std::string system;         // empty: no system message
  std::string chat_template;  // a file, or a name of one of the model's; empty: the model's own
  std::int64_t context = 0;   // tokens of the whole conversation; 0: kDefaultContext at most
};

/// Tokens that a conversation may have where nothing is said and the model could more: the cache
/// of a large model's whole context would not fit into many machines.
inline constexpr std::int64_t kDefaultContext = 8192;
/// New tokens of an answer where nothing is said.
inline constexpr std::int64_t kDefaultAnswer = 512;

/// Answers what is typed, or each line of a pipe, until the input ends. On a pipe nothing but
/// answers is on standard output, each with a line feed behind it, or as a line of JSON.
/// InputError before the model is loaded when it has no chat template, or one that refuses the
/// system message; on a pipe also for a message that cannot be answered.
void chat(const ModelFlags& model_flags, const ChatFlags& flags, GenerateOptions options,
          const std::string& format);

}  // namespace plimsoll::cli
