// Reading what is learnt: texts and JSONL.
#include <algorithm>

#include "core/quote.h"
#include "storage/atomic_file.h"
#include "storage/json.h"
#include "text/chat_prompt.h"
#include "text/utf8.h"
#include "train/data.h"

namespace plimsoll::train {

namespace {

std::string read_valid_utf8(const std::string& file) {
  std::string text = read_text_file(file);
  if (const auto bad = find_invalid_utf8(text)) {
    throw InputError(file, fmt::format("byte {}", *bad),
                     fmt::format("0x{:02x}", static_cast<unsigned char>(text[*bad])), "UTF-8 text");
  }
  return text;
}

std::size_t common_prefix(std::span<const std::int32_t> a, std::span<const std::int32_t> b) {
  return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

/// Turns lines of one JSONL file into examples.
class Reader {
 public:
  Reader(const std::string& model, const Tokenizer& tokenizer)
      : model_(model), tokenizer_(tokenizer) {}

  Example example(const Json& line, const std::string& where) {
    object_value(line, "the line", where);
    if (const Json* messages = find_array(line, "messages", where))
      return conversation(*messages, where);
    if (find_field(line, "prompt") != nullptr)
      return completion(require_string(line, "prompt", where),
                        require_string(line, "completion", where));
    const Json& text = require_field(line, "text", where,
                                     "\"messages\", \"prompt\" with \"completion\", or \"text\"");
    Example example;
    example.ids = tokenizer_.encode(string_value(text, "text", where));
    example.scored.assign(example.ids.size(), 1);
    return example;
  }

 private:
  Example completion(const std::string& prompt, const std::string& answer) const {
    const Encoding encoding = tokenizer_.encode_with_spans(prompt + answer, {.add_eos = false});
    Example example;
    example.ids = encoding.ids;
    for (const TokenSpan& span : encoding.spans)
      example.scored.push_back(span.end > prompt.size() && span.end > span.begin ? 1 : 0);
    if (tokenizer_.eos_id()) {
      example.ids.push_back(*tokenizer_.eos_id());
      example.scored.push_back(1);
    }
    return example;
  }

  /// An answer is what the conversation with it has beyond the prompt that asks for it.
  Example conversation(const Json& list, const std::string& where) {
    if (!prompt_) {
      auto chat = ChatTemplate::load(model_);
      if (!chat)
        throw InputError(model_, "chat template", "none", "one, since the data has \"messages\"");
      prompt_.emplace(std::move(*chat), template_variables(model_), tokenizer_);
    }
    std::vector<ChatMessage> messages;
    for (const Json& message : list) {
      object_value(message, "messages", where);
      messages.push_back({require_string(message, "role", where + ": messages"),
                          require_string(message, "content", where + ": messages")});
    }
    Example example;
    example.ids = prompt_->ids(messages, ChatPrompt::Ending::conversation);
    example.scored.assign(example.ids.size(), 0);
    for (std::size_t i = 0; i < messages.size(); ++i) {
      if (messages[i].role != "assistant") continue;
      const std::span before(messages.data(), i), with(messages.data(), i + 1);
      const auto asked = prompt_->ids(before, ChatPrompt::Ending::next_answer);
      const auto answered = prompt_->ids(with, ChatPrompt::Ending::conversation);
      const std::size_t begin = common_prefix(asked, example.ids);
      const std::size_t end = common_prefix(answered, example.ids);
      for (std::size_t at = begin; at < end; ++at) example.scored[at] = 1;
    }
    return example;
  }

  const std::string& model_;
  const Tokenizer& tokenizer_;
  std::optional<ChatPrompt> prompt_;
};

void read_lines(const std::string& file, Reader& reader, std::vector<Example>& examples) {
  const std::string text = read_valid_utf8(file);
  std::int64_t number = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = std::string_view(text).substr(at, end - at);
    at = end + 1;
    ++number;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string where = fmt::format("{}:{}", file, number);
    Example example = reader.example(parse_json(line, where), where);
    // The first token is predicted from nothing.
    if (example.ids.size() < 2 ||
        std::ranges::find(example.scored.begin() + 1, example.scored.end(), 1) ==
            example.scored.end()) {
      throw InputError(where, "example", "nothing to learn",
                       "an answer or a text of at least two tokens");
    }
    examples.push_back(std::move(example));
  }
}

}  // namespace

Material read_material(const std::vector<std::string>& files, const std::string& model,
                       const Tokenizer& tokenizer) {
  Material material;
  Reader reader(model, tokenizer);
  for (const std::string& file : files) {
    if (file.ends_with(".jsonl")) {
      read_lines(file, reader, material.examples);
    } else {
      const auto ids = tokenizer.encode(read_valid_utf8(file));
      material.stream.insert(material.stream.end(), ids.begin(), ids.end());
    }
    if (!material.stream.empty() && !material.examples.empty())
      throw InputError("--data", "files", "texts and JSONL together", "one kind");
  }
  if (material.stream.empty() && material.examples.empty())
    throw InputError("--data", "text", "nothing", "a text or examples");
  return material;
}

}  // namespace plimsoll::train
