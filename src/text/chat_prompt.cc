#include "text/chat_prompt.h"

#include <algorithm>
#include <optional>

#include "core/error.h"
#include "text/utf8.h"

namespace plimsoll {

namespace {

std::vector<std::int32_t> encode(const Tokenizer& tokenizer, std::string_view text,
                                 bool parse_special) {
  return tokenizer.encode(text,
                          {.add_bos = false, .add_eos = false, .parse_special = parse_special});
}

/// Where `text` spells special tokens, in order; empty when it spells none.
std::vector<TokenSpan> special_spans(const Tokenizer& tokenizer, std::string_view text) {
  const Encoding parsed = tokenizer.encode_with_spans(
      text, {.add_bos = false, .add_eos = false, .parse_special = true});
  std::vector<TokenSpan> spans;
  for (std::size_t i = 0; i < parsed.ids.size(); ++i) {
    const TokenSpan span = parsed.spans[i];
    if (tokenizer.is_special(parsed.ids[i]) && span.begin < span.end) spans.push_back(span);
  }
  // The unknown token, too, is special, but stands for what no piece covers.
  if (!spans.empty() && parsed.ids == encode(tokenizer, text, false)) spans.clear();
  return spans;
}

/// Texts that pass through a template as one private-use character each, from U+100000 on: the last
/// plane, whose characters and no others begin with the byte F4 in UTF-8. They are so rare that the
/// message's own ones can go the same way.
class HiddenTexts {
 public:
  /// `text` with its special tokens hidden.
  std::string hide(const Tokenizer& tokenizer, std::string_view text) {
    std::string shown;
    std::uint64_t at = 0;
    for (const TokenSpan& span : special_spans(tokenizer, text)) {
      append_without_last_plane(shown, text.substr(at, span.begin - at));
      append_hidden(shown, text.substr(span.begin, span.end - span.begin));
      at = span.end;
    }
    append_without_last_plane(shown, text.substr(at));
    return shown;
  }

  /// The ids of a text that a template made of hidden ones.
  std::vector<std::int32_t> encode_shown(const Tokenizer& tokenizer, std::string_view text) const {
    std::vector<std::int32_t> ids;
    const auto append = [&](std::string_view part, bool parse_special) {
      const auto more = encode(tokenizer, part, parse_special);
      ids.insert(ids.end(), more.begin(), more.end());
    };
    std::size_t begin = 0;
    for (std::size_t at = 0; at < text.size(); at += utf8::length(text[at])) {
      const std::string* hidden = hidden_by(text.substr(at));
      if (hidden == nullptr) continue;
      append(text.substr(begin, at - begin), true);
      append(*hidden, false);
      begin = at + utf8::length(text[at]);
    }
    append(text.substr(begin), true);
    return ids;
  }

 private:
  static constexpr char32_t kFirst = 0x100000;
  static constexpr std::size_t kMost = 0x10000;

  void append_hidden(std::string& shown, std::string_view text) {
    const auto known = std::ranges::find(texts_, text);
    const auto index = static_cast<std::size_t>(known - texts_.begin());
    if (index == kMost) {
      throw InputError("the conversation: more than 65536 different private-use characters");
    }
    if (known == texts_.end()) texts_.emplace_back(text);
    utf8::append(shown, kFirst + static_cast<char32_t>(index));
  }

  void append_without_last_plane(std::string& shown, std::string_view text) {
    for (std::size_t at = 0; at < text.size();) {
      const std::string_view character = text.substr(at, utf8::length(text[at]));
      if (utf8::first(character) >= kFirst) {
        append_hidden(shown, character);
      } else {
        shown += character;
      }
      at += character.size();
    }
  }

  const std::string* hidden_by(std::string_view text) const {
    const char32_t code_point = utf8::first(text);
    const bool hides = code_point >= kFirst && code_point - kFirst < texts_.size();
    return hides ? &texts_[code_point - kFirst] : nullptr;
  }

  std::vector<std::string> texts_;
};

void check_utf8(const ChatMessage& message) {
  if (const auto bad = utf8::find_invalid(message.content)) {
    throw InputError(fmt::format("the {}'s message", message.role), fmt::format("byte {}", *bad),
                     fmt::format("0x{:02x}", static_cast<unsigned char>(message.content[*bad])),
                     "UTF-8 text");
  }
}

}  // namespace

ChatPrompt::ChatPrompt(ChatTemplate chat_template, nlohmann::ordered_json variables,
                       const Tokenizer& tokenizer)
    : template_(std::move(chat_template)),
      variables_(std::move(variables)),
      tokenizer_(&tokenizer) {
  const auto add = [&](const char* name, std::optional<std::int32_t> id) {
    if (id && !variables_.contains(name)) variables_[name] = tokenizer.piece(*id);
  };
  add("bos_token", tokenizer.bos_id());
  add("eos_token", tokenizer.eos_id());
  // A token that a model has not is no variable; what the caller did not give is none.
  for (const char* name : {"bos_token", "eos_token"}) {
    if (variables_.contains(name) && variables_[name].is_null()) variables_.erase(name);
  }
  for (const char* absent : {"tools", "documents"}) {
    if (!variables_.contains(absent)) variables_[absent] = nullptr;
  }
}

std::string ChatPrompt::text(std::span<const ChatMessage> messages, Ending ending) const {
  nlohmann::ordered_json variables = variables_;
  variables["messages"] = nlohmann::ordered_json::array();
  for (const ChatMessage& message : messages) {
    check_utf8(message);
    variables["messages"].push_back({{"role", message.role}, {"content", message.content}});
  }
  variables["add_generation_prompt"] = ending == Ending::next_answer;
  return template_.render(variables);
}

std::vector<std::int32_t> ChatPrompt::ids(std::span<const ChatMessage> messages,
                                          Ending ending) const {
  std::ranges::for_each(messages, check_utf8);
  const bool ordinary = std::ranges::all_of(messages, [&](const ChatMessage& message) {
    return special_spans(*tokenizer_, message.content).empty();
  });
  if (ordinary) return encode(*tokenizer_, text(messages, ending), true);
  HiddenTexts hidden;
  std::vector<ChatMessage> shown(messages.begin(), messages.end());
  for (ChatMessage& message : shown) message.content = hidden.hide(*tokenizer_, message.content);
  return hidden.encode_shown(*tokenizer_, text(shown, ending));
}

}  // namespace plimsoll
