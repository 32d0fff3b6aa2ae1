#include "text/huggingface/normalizer.h"

#include <algorithm>
#include <map>

#include "text/huggingface/pipeline_json.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace plimsoll {

namespace {

class Prepend final : public NormalizerStep {
 public:
  explicit Prepend(std::string text) : text_(std::move(text)) {}
  AlignedText apply(const AlignedText& text) const override {
    Rewriter rewriter(text);
    if (!text.text().empty()) rewriter.replace(0, text_);
    return rewriter.finish();
  }

 private:
  std::string text_;
};

class Replace final : public NormalizerStep {
 public:
  Replace(Pattern pattern, std::string content)
      : pattern_(std::move(pattern)), content_(std::move(content)) {}
  AlignedText apply(const AlignedText& text) const override {
    // Several replacements in a row can multiply a text without end.
    const std::size_t most = std::max(std::size_t{64} << 20, 8 * text.text().size());
    std::size_t written = 0;
    Rewriter rewriter(text);
    pattern_.for_each_match(text.text(), [&](Range match) {
      written += content_.size();
      if (written > most) {
        throw InputError("tokenizer: normalizer", "Replace",
                         fmt::format("more than {} bytes", most),
                         "a normalised text of a size near the text's");
      }
      rewriter.keep(match.begin - rewriter.read());
      rewriter.replace(match.size(), content_);
    });
    return rewriter.finish();
  }

 private:
  Pattern pattern_;
  std::string content_;
};

class UnicodeForm final : public NormalizerStep {
 public:
  explicit UnicodeForm(unicode::Form form) : form_(form) {}

  /// ASCII characters are stable, and nothing composes across the place before one: an ASCII
  /// character with all that follows up to the next is normalised by itself. A part that does not
  /// change keeps the origins of its bytes.
  AlignedText apply(const AlignedText& text) const override {
    const std::string_view all = text.text();
    const auto is_ascii = [&](std::size_t i) { return static_cast<unsigned char>(all[i]) < 0x80; };
    Rewriter rewriter(text);
    for (std::size_t begin = 0; begin < all.size();) {
      std::size_t end = begin + 1;
      while (end < all.size() && !is_ascii(end)) ++end;
      const std::string_view part = all.substr(begin, end - begin);
      const bool stable = part.size() == 1 && is_ascii(begin);
      if (const std::string form = stable ? "" : unicode::normalized(part, form_);
          stable || form == part) {
        rewriter.keep(part.size());
      } else {
        rewriter.replace(part.size(), form);
      }
      begin = end;
    }
    return rewriter.finish();
  }

 private:
  unicode::Form form_;
};

class Lowercase final : public NormalizerStep {
 public:
  AlignedText apply(const AlignedText& text) const override {
    Rewriter rewriter(text);
    std::string lower;
    for (std::string_view rest = text.text(); !rest.empty();) {
      const utf8::Step step = utf8::next(rest);
      lower.clear();
      unicode::append_lower(lower, step.code_point);
      rewriter.replace(step.length, lower);
      rest.remove_prefix(step.length);
    }
    return rewriter.finish();
  }
};

class StripAccents final : public NormalizerStep {
 public:
  AlignedText apply(const AlignedText& text) const override {
    Rewriter rewriter(text);
    for (std::string_view rest = text.text(); !rest.empty();) {
      const utf8::Step step = utf8::next(rest);
      if (unicode::is_mark(step.code_point)) {
        rewriter.replace(step.length, "");
      } else {
        rewriter.keep(step.length);
      }
      rest.remove_prefix(step.length);
    }
    return rewriter.finish();
  }
};

class Strip final : public NormalizerStep {
 public:
  Strip(bool left, bool right) : left_(left), right_(right) {}
  AlignedText apply(const AlignedText& text) const override {
    std::size_t begin = 0, end = 0,
                at = 0;  // of what stays: up to the last character that is no space
    bool seen = false;
    for (std::string_view rest = text.text(); !rest.empty();) {
      const utf8::Step step = utf8::next(rest);
      if (!unicode::is_white_space(step.code_point)) {
        if (!seen) begin = at;
        seen = true;
        end = at + step.length;
      }
      at += step.length;
      rest.remove_prefix(step.length);
    }
    if (!seen) begin = at;
    if (!left_) begin = 0;
    if (!right_) end = at;
    Rewriter rewriter(text);
    rewriter.replace(begin, "");
    if (end > begin) rewriter.keep(end - begin);
    rewriter.replace(at - rewriter.read(), "");
    return rewriter.finish();
  }

 private:
  bool left_, right_;
};

std::shared_ptr<const NormalizerStep> read_step(const Json& part, const std::string& type,
                                                const std::string& where) {
  static const std::map<std::string_view, unicode::Form> kForms = {{"NFC", unicode::Form::nfc},
                                                                   {"NFD", unicode::Form::nfd},
                                                                   {"NFKC", unicode::Form::nfkc},
                                                                   {"NFKD", unicode::Form::nfkd}};
  if (const auto form = kForms.find(type); form != kForms.end()) {
    return std::make_shared<UnicodeForm>(form->second);
  }
  if (type == "Prepend") {
    return std::make_shared<Prepend>(require_string(part, "prepend", where));
  }
  if (type == "Replace") {
    return std::make_shared<Replace>(read_pattern(part, where),
                                     require_string(part, "content", where));
  }
  if (type == "Lowercase") return std::make_shared<Lowercase>();
  if (type == "StripAccents") return std::make_shared<StripAccents>();
  if (type == "Strip") {
    return std::make_shared<Strip>(require_bool(part, "strip_left", where),
                                   require_bool(part, "strip_right", where));
  }
  refuse_type(type, where);
}

}  // namespace

Normalizer::Normalizer(const Json& json, const std::string& where) {
  for_each_part(json, "normalizers", where,
                [&](const Json& part, const std::string& type, const std::string& place) {
                  steps_.push_back(read_step(part, type, place));
                });
}

Normalizer Normalizer::nfc() {
  Normalizer normalizer;
  normalizer.steps_.push_back(std::make_shared<UnicodeForm>(unicode::Form::nfc));
  return normalizer;
}

AlignedText Normalizer::apply(AlignedText text) const {
  for (const auto& step : steps_) text = step->apply(text);
  return text;
}

}  // namespace plimsoll
