#include "text/huggingface/pre_tokenizer.h"

#include <functional>
#include <optional>

#include "text/huggingface/byte_level.h"
#include "text/huggingface/metaspace.h"
#include "text/huggingface/pipeline_json.h"
#include "text/huggingface/split_behaviour.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace plimsoll {

namespace {

// The pattern of GPT-2's encoder (https://github.com/openai/gpt-2/blob/master/src/encoder.py).
constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

/// Cuts at the matches of a pattern, which sees each word by itself.
class PatternSplit final : public PreTokenizerStep {
 public:
  PatternSplit(Pattern pattern, SplitBehaviour behaviour, bool invert)
      : pattern_(std::move(pattern)), behaviour_(behaviour), invert_(invert) {}

  WordList apply(WordList list) const override {
    std::vector<Range> words;
    std::vector<Piece> pieces;
    for (const Range& word : list.words) {
      pieces.clear();
      std::size_t end = word.begin;
      pattern_.for_each_match(list.text.view(word), [&](Range match) {
        match = {word.begin + match.begin, word.begin + match.end};
        if (match.begin > end) pieces.push_back({{end, match.begin}, invert_});
        pieces.push_back({match, !invert_});
        end = match.end;
      });
      if (end < word.end) pieces.push_back({{end, word.end}, invert_});
      join_pieces(pieces, behaviour_, words);
    }
    list.words = std::move(words);
    return list;
  }

 private:
  Pattern pattern_;
  SplitBehaviour behaviour_;
  bool invert_;
};

/// Cuts around single characters of a kind.
class CharacterSplit final : public PreTokenizerStep {
 public:
  CharacterSplit(std::function<bool(char32_t)> matches, SplitBehaviour behaviour)
      : matches_(std::move(matches)), behaviour_(behaviour) {}

  WordList apply(WordList list) const override {
    std::vector<Range> words;
    std::vector<Piece> pieces;
    for (const Range& word : list.words) {
      pieces.clear();
      std::size_t end = word.begin;
      for (std::size_t at = word.begin; at < word.end;) {
        const utf8::Step step = utf8::next(std::string_view(list.text.text()).substr(at));
        if (matches_(step.code_point)) {
          if (at > end) pieces.push_back({{end, at}, false});
          pieces.push_back({{at, at + step.length}, true});
          end = at + step.length;
        }
        at += step.length;
      }
      if (end < word.end) pieces.push_back({{end, word.end}, false});
      join_pieces(pieces, behaviour_, words);
    }
    list.words = std::move(words);
    return list;
  }

 private:
  std::function<bool(char32_t)> matches_;
  SplitBehaviour behaviour_;
};

/// Rewrites each word by itself.
template <class RewriteWord>
WordList rewrite_words(const WordList& list, const RewriteWord& rewrite_word) {
  Rewriter rewriter(list.text);
  std::vector<Range> words;
  words.reserve(list.words.size());
  for (const Range& word : list.words) {
    rewriter.keep(word.begin - rewriter.read());
    const std::size_t begin = rewriter.written();
    rewrite_word(rewriter, word);
    words.push_back({begin, rewriter.written()});
  }
  return {rewriter.finish(), std::move(words)};
}

/// ByteLevel's first half: a space in front of every word that has none.
class PrefixSpace final : public PreTokenizerStep {
 public:
  bool rewrites() const override { return true; }
  WordList apply(WordList list) const override {
    return rewrite_words(list, [&](Rewriter& rewriter, const Range& word) {
      if (list.text.text()[word.begin] != ' ') rewriter.replace(0, " ");
      rewriter.keep(word.size());
    });
  }
};

/// ByteLevel's last half: each byte becomes its character.
class ByteCharacters final : public PreTokenizerStep {
 public:
  bool rewrites() const override { return true; }
  WordList apply(WordList list) const override {
    return rewrite_words(list, [&](Rewriter& rewriter, const Range& word) {
      const std::string& text = list.text.text();
      for (std::size_t at = word.begin; at < word.end;) {
        std::size_t same = at;
        while (same < word.end && text[same] >= '!' && text[same] <= '~') ++same;
        if (same > at) {
          rewriter.keep(same - at);
          at = same;
        } else {
          rewriter.replace(1, byte_level::character(static_cast<unsigned char>(text[at++])));
        }
      }
    });
  }
};

class MetaspaceStep final : public PreTokenizerStep {
 public:
  explicit MetaspaceStep(const Metaspace& metaspace) : metaspace_(metaspace) {}
  bool rewrites() const override { return true; }
  bool needs_origin() const override { return metaspace_.prepend == Metaspace::Prepend::first; }

  WordList apply(WordList list) const override {
    return rewrite_words(list, [&](Rewriter& rewriter, const Range& word) {
      const std::string_view text = list.text.view(word);
      const bool wanted =
          metaspace_.prepend == Metaspace::Prepend::always ||
          (metaspace_.prepend == Metaspace::Prepend::first && list.text.origin(word).begin == 0);
      if (wanted && text.front() != ' ' && !text.starts_with(metaspace_.replacement)) {
        rewriter.replace(0, metaspace_.replacement);
      }
      for (std::size_t at = 0; at < text.size();) {
        const std::size_t space = std::min(text.find(' ', at), text.size());
        rewriter.keep(space - at);
        if (space < text.size()) rewriter.replace(1, metaspace_.replacement);
        at = space + 1;
      }
    });
  }

 private:
  Metaspace metaspace_;
};

using Steps = std::vector<std::shared_ptr<const PreTokenizerStep>>;

void read_byte_level(const Json& part, const std::string& where, Steps& steps) {
  if (find_bool(part, "add_prefix_space", where).value_or(true)) {
    steps.push_back(std::make_shared<PrefixSpace>());
  }
  if (find_bool(part, "use_regex", where).value_or(true)) {
    steps.push_back(std::make_shared<PatternSplit>(
        Pattern::regex(Regex(oniguruma_to_pcre(kGpt2Pattern, where), where)),
        SplitBehaviour::isolated, false));
  }
  steps.push_back(std::make_shared<ByteCharacters>());
}

void read_metaspace(const Json& part, const std::string& where, Steps& steps) {
  const Metaspace metaspace = Metaspace::read(part, where);
  steps.push_back(std::make_shared<MetaspaceStep>(metaspace));
  if (metaspace.split) {
    const char32_t replacement = utf8::first(metaspace.replacement);
    steps.push_back(std::make_shared<CharacterSplit>(
        [replacement](char32_t c) { return c == replacement; }, SplitBehaviour::merged_with_next));
  }
}

void read_steps(const Json& part, const std::string& type, const std::string& where, Steps& steps) {
  if (type == "ByteLevel") return read_byte_level(part, where, steps);
  if (type == "Metaspace") return read_metaspace(part, where, steps);
  if (type == "Split") {
    steps.push_back(
        std::make_shared<PatternSplit>(read_pattern(part, where), read_split_behaviour(part, where),
                                       find_bool(part, "invert", where).value_or(false)));
  } else if (type == "Digits") {
    const bool individual = find_bool(part, "individual_digits", where).value_or(false);
    steps.push_back(std::make_shared<CharacterSplit>(
        unicode::is_number, individual ? SplitBehaviour::isolated : SplitBehaviour::contiguous));
  } else if (type == "Whitespace") {
    const std::string pattern = fmt::format(R"([{0}]+|[^{0}\p{{White_Space}}]+)", kRustWord);
    steps.push_back(std::make_shared<PatternSplit>(Pattern::regex(Regex(pattern, where)),
                                                   SplitBehaviour::removed, /*invert=*/true));
  } else if (type == "WhitespaceSplit") {
    steps.push_back(
        std::make_shared<CharacterSplit>(unicode::is_white_space, SplitBehaviour::removed));
  } else if (type == "Punctuation") {
    const bool has_behaviour = find_field(part, "behavior") != nullptr;
    steps.push_back(std::make_shared<CharacterSplit>(
        unicode::is_punctuation,
        has_behaviour ? read_split_behaviour(part, where) : SplitBehaviour::isolated));
  } else {
    refuse_type(type, where);
  }
}

}  // namespace

PreTokenizer::PreTokenizer(const Json& json, const std::string& where) {
  for_each_part(json, "pretokenizers", where,
                [&](const Json& part, const std::string& type, const std::string& place) {
                  read_steps(part, type, place, steps_);
                });
}

WordList PreTokenizer::apply(AlignedText text) const {
  WordList list{std::move(text), {}};
  if (!list.text.text().empty()) list.words.push_back({0, list.text.text().size()});
  for (const auto& step : steps_) list = step->apply(std::move(list));
  return list;
}

bool PreTokenizer::needs_tracking(bool text_was_normalized) const {
  bool moved = text_was_normalized;
  for (const auto& step : steps_) {
    if (step->needs_origin() && moved) return true;
    moved = moved || step->rewrites();
  }
  return false;
}

}  // namespace plimsoll
