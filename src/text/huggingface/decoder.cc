#include "text/huggingface/decoder.h"

#include <algorithm>

#include "text/huggingface/byte_level.h"
#include "text/huggingface/metaspace.h"
#include "text/huggingface/pipeline_json.h"
#include "text/utf8.h"

namespace plimsoll {

namespace {

/// How tokens are joined when there is no decoder.
class JoinWithSpaces final : public DecodeStage {
 public:
  void push(std::string token) override {
    if (!first_) token.insert(0, 1, ' ');
    first_ = false;
    next_->push(std::move(token));
  }

 private:
  bool first_ = true;
};

class Replace final : public DecodeStage {
 public:
  Replace(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}

  void push(std::string token) override {
    std::string result;
    std::size_t end = 0;
    pattern_.for_each_match(token, [&](Range match) {
      result.append(token, end, match.begin - end).append(content_);
      end = match.end;
    });
    next_->push(end == 0 && result.empty() ? std::move(token) : result.append(token, end));
  }

 private:
  Pattern pattern_;
  std::string content_;
};

/// Turns "<0xE2>" and its neighbours into the bytes that they name. A run of them is one string, or
/// where it is not UTF-8 as a whole one U+FFFD for each byte: nothing is certain before the run
/// ends.
class ByteFallback final : public DecodeStage {
 public:
  void push(std::string token) override {
    if (const auto byte = byte_of(token)) {
      run_.push_back(*byte);
      return;
    }
    flush();
    next_->push(std::move(token));
  }
  void finish() override {
    flush();
    next_->finish();
  }

 private:
  static std::optional<char> byte_of(std::string_view token) {
    if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return std::nullopt;
    int value = 0;
    for (const char c : token.substr(3, 2)) {
      const char lower = static_cast<char>(c | 0x20);
      const bool digit = c >= '0' && c <= '9';
      if (!digit && (lower < 'a' || lower > 'f')) return std::nullopt;
      value = value * 16 + (digit ? c - '0' : lower - 'a' + 10);
    }
    return static_cast<char>(value);
  }

  void flush() {
    if (run_.empty()) return;
    if (!utf8::find_invalid(run_)) {
      next_->push(std::move(run_));
    } else {
      for (std::size_t i = 0; i < run_.size(); ++i) next_->push(std::string(utf8::kReplacement));
    }
    run_.clear();
  }

  std::string run_;
};

/// Removes up to `start` characters in front of each token and `stop` behind.
class Strip final : public DecodeStage {
 public:
  Strip(std::string content, std::size_t start, std::size_t stop)
      : content_(std::move(content)), start_(start), stop_(stop) {}

  void push(std::string token) override {
    std::string_view rest = token;
    for (std::size_t i = 0; i < start_ && rest.starts_with(content_); ++i) {
      rest.remove_prefix(content_.size());
    }
    for (std::size_t i = 0; i < stop_ && rest.ends_with(content_); ++i) {
      rest.remove_suffix(content_.size());
    }
    next_->push(std::string(rest));
  }

 private:
  std::string content_;
  std::size_t start_, stop_;
};

/// Strip for one token that comes in parts: a run of the character is held back while it may be the
/// end.
class StripParts final : public DecodeStage {
 public:
  StripParts(std::string content, std::size_t start, std::size_t stop)
      : content_(std::move(content)), start_(start), stop_(stop) {}

  void push(std::string token) override {
    std::string_view rest = token;
    while (stripped_ < start_ && rest.starts_with(content_)) {
      rest.remove_prefix(content_.size());
      ++stripped_;
    }
    if (rest.empty()) return;
    stripped_ = start_;  // whatever follows is not the front any more
    std::string text;
    for (; held_ > 0; --held_) text += content_;
    std::size_t kept = rest.size();
    while (stop_ > 0 && rest.substr(0, kept).ends_with(content_)) {
      kept -= content_.size();
      ++held_;
    }
    const std::size_t before = text.size() / content_.size();
    if (kept == 0) {  // the run goes on
      held_ += before;
      return;
    }
    next_->push(text.append(rest.substr(0, kept)));
  }
  void finish() override {
    std::string text;
    for (; held_ > stop_; --held_) text += content_;
    held_ = 0;
    if (!text.empty()) next_->push(std::move(text));
    next_->finish();
  }

 private:
  std::string content_;
  std::size_t start_, stop_;
  std::size_t stripped_ = 0;
  std::size_t held_ = 0;
};

/// The bytes that the tokens spell, as whole characters.
class ByteLevel final : public DecodeStage {
 public:
  void push(std::string token) override {
    const auto bytes = byte_level::bytes_of(token);
    pending_ += bytes ? *bytes : token;
    std::string_view rest = pending_;
    std::string text;
    while (!rest.empty()) {
      const utf8::Step step = utf8::next(rest);
      if (step.kind == utf8::Step::Kind::truncated) break;
      text += step.kind == utf8::Step::Kind::character ? rest.substr(0, step.length)
                                                       : utf8::kReplacement;
      rest.remove_prefix(step.length);
    }
    pending_ = std::string(rest);
    if (!text.empty()) next_->push(std::move(text));
  }
  void finish() override {
    if (!pending_.empty()) next_->push(std::string(utf8::kReplacement));
    pending_.clear();
    next_->finish();
  }

 private:
  std::string pending_;  // the beginning of a character
};

class MetaspaceStage final : public DecodeStage {
 public:
  MetaspaceStage(std::string replacement, bool drops_prefix)
      : replacement_(std::move(replacement)), drops_prefix_(drops_prefix) {}

  void push(std::string token) override {
    const std::string_view space = first_ && drops_prefix_ ? "" : " ";
    first_ = false;
    std::string text;
    std::size_t begin = 0;
    for (std::size_t at = token.find(replacement_); at != std::string::npos;
         at = token.find(replacement_, begin)) {
      text.append(token, begin, at - begin).append(space);
      begin = at + replacement_.size();
    }
    next_->push(text.append(token, begin));
  }

 private:
  std::string replacement_;
  bool drops_prefix_;
  bool first_ = true;
};

/// BPE with a suffix that ends words: it becomes a space, nothing on the last token.
class WordSuffix final : public DecodeStage {
 public:
  explicit WordSuffix(std::string suffix) : suffix_(std::move(suffix)) {}

  void push(std::string token) override {
    if (held_) next_->push(replaced(*held_, " "));
    held_ = std::move(token);
  }
  void finish() override {
    if (held_) next_->push(replaced(*held_, ""));
    held_.reset();
    next_->finish();
  }

 private:
  std::string replaced(const std::string& token, std::string_view with) const {
    std::string text;
    std::size_t begin = 0;
    for (std::size_t at = token.find(suffix_); at != std::string::npos;
         at = token.find(suffix_, begin)) {
      text.append(token, begin, at - begin).append(with);
      begin = at + suffix_.size();
    }
    return text.append(token, begin);
  }

  std::string suffix_;
  std::optional<std::string> held_;
};

/// Makes parts one token again, for stages that need the whole: all comes at the end.
class Gather final : public DecodeStage {
 public:
  void push(std::string token) override { text_ += token; }
  void finish() override {
    next_->push(std::move(text_));
    text_.clear();
    next_->finish();
  }

 private:
  std::string text_;
};

}  // namespace

template <class Stage, class... Args>
void Decoder::add(const Args&... args) {
  factories_.push_back([... args = args] { return std::make_unique<Stage>(args...); });
}

Decoder::Decoder() {
  add<JoinWithSpaces>();
}

Decoder Decoder::byte_level() {
  Decoder decoder;
  decoder.factories_.clear();
  decoder.add<ByteLevel>();
  return decoder;
}

Decoder::Decoder(const Json& json, const std::string& where) {
  for_each_part(json, "decoders", where,
                [&](const Json& part, const std::string& type, const std::string& place) {
                  read_part(part, type, place);
                });
}

void Decoder::read_part(const Json& part, const std::string& type, const std::string& where) {
  if (type == "Fuse") {
    fused_ = true;
    return;
  }
  if (type == "Strip") {
    std::string content;
    utf8::append(content, read_character(part, "content", where));
    constexpr std::int64_t kMost = 1 << 20;
    const auto start = static_cast<std::size_t>(require_int(part, "start", where, 0, kMost));
    const auto stop = static_cast<std::size_t>(require_int(part, "stop", where, 0, kMost));
    if (fused_) {
      add<StripParts>(content, start, stop);
    } else {
      add<Strip>(content, start, stop);
    }
    return;
  }
  if (fused_) add<Gather>();
  if (type == "Replace") {
    add<Replace>(read_pattern(part, where), require_string(part, "content", where));
  } else if (type == "ByteFallback") {
    add<ByteFallback>();
  } else if (type == "ByteLevel") {
    add<ByteLevel>();
    fused_ = true;
  } else if (type == "Metaspace") {
    const Metaspace metaspace = Metaspace::read(part, where);
    add<MetaspaceStage>(metaspace.replacement, metaspace.prepend != Metaspace::Prepend::never);
  } else if (type == "BPEDecoder") {
    const std::string suffix = find_string(part, "suffix", where).value_or("</w>");
    if (suffix.empty()) throw InputError(where, "suffix", "\"\"", "a suffix to look for");
    add<WordSuffix>(suffix);
  } else {
    refuse_type(type, where);
  }
}

std::vector<std::unique_ptr<DecodeStage>> Decoder::stages() const {
  std::vector<std::unique_ptr<DecodeStage>> stages;
  for (const Factory& factory : factories_) stages.push_back(factory());
  return stages;
}

}  // namespace plimsoll
