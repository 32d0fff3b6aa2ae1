#include "text/huggingface/json_tokenizer.h"

#include <algorithm>

#include "text/frame.h"
#include "text/word_batch.h"

namespace plimsoll {

/// A text on its way to ids. A unit's source is a section, or where it is an added token its span.
struct JsonTokenizer::Work {
  std::vector<Unit> units;
  std::vector<AlignedText> sections;
  std::vector<TokenSpan> added_spans;

  void add_token(std::int32_t id, TokenSpan span) {
    units.push_back({{}, static_cast<std::uint32_t>(added_spans.size()), id});
    added_spans.push_back(span);
  }
};

JsonTokenizer::JsonTokenizer(TokenizerParts parts, const TokenizerSettings& settings,
                             const std::string& where)
    : parts_(std::move(parts)) {
  const Vocabulary& vocabulary = parts_.model->vocabulary();
  std::vector<AddedToken> raw, normalized;
  std::vector<std::string> raw_spellings, normalized_spellings;
  for (const AddedToken& token : parts_.added_tokens) {
    const std::string place = where + ": added_tokens";
    added_.add(token.content, token.id, place);
    const auto model_id = vocabulary.id_of(token.content);
    const std::string* model_piece = vocabulary.piece(token.id);
    if ((model_id && *model_id != token.id) || (model_piece && *model_piece != token.content)) {
      throw InputError(
          place, quote(token.content),
          fmt::format("id {}, where the model has {}", token.id,
                      model_id ? fmt::format("id {} for it", *model_id) : quote(*model_piece)),
          "one id for one piece");
    }
    if (special_.size() <= static_cast<std::size_t>(token.id)) special_.resize(token.id + 1);
    special_[token.id] = special_[token.id] || token.special;
    if (token.normalized) {
      normalized_spellings.push_back(
          parts_.normalizer.apply(AlignedText(token.content, 0, false)).text());
      normalized.push_back(token);
    } else {
      raw_spellings.push_back(token.content);
      raw.push_back(token);
    }
  }
  raw_tokens_ = AddedTokenMatcher(std::move(raw), raw_spellings);
  normalized_tokens_ = AddedTokenMatcher(std::move(normalized), normalized_spellings);
  if (vocab_size() == 0) throw InputError(where, "vocab", "no pieces", "at least one");

  const auto find = [&](std::string_view piece) { return id_of(piece); };
  frame_.bos =
      find_special(settings.bos_token, {"<s>", "<|begin_of_text|>", "<|endoftext|>"}, find, where);
  frame_.eos =
      find_special(settings.eos_token, {"</s>", "<|end_of_text|>", "<|endoftext|>"}, find, where);
  frame_.front = parts_.post_processor.front;
  frame_.back = parts_.post_processor.back;
  const bool like_llama = settings.tokenizer_class == "LlamaTokenizer" ||
                          settings.tokenizer_class == "CodeLlamaTokenizer";
  frame_.adds_bos = settings.add_bos.value_or(!frame_.front.empty() || like_llama);
  frame_.adds_eos = settings.add_eos.value_or(!frame_.back.empty());
  complete_frame(where);
}

const std::string* JsonTokenizer::find_piece(std::int32_t id) const {
  const std::string* added = added_.piece(id);
  return added != nullptr ? added : parts_.model->vocabulary().piece(id);
}

std::string JsonTokenizer::piece(std::int32_t id) const {
  check_id(id);
  const std::string* piece = find_piece(id);
  return piece != nullptr ? *piece : "";
}

std::optional<std::int32_t> JsonTokenizer::id_of(std::string_view piece) const {
  const auto added = added_.id_of(piece);
  return added ? added : parts_.model->vocabulary().id_of(piece);
}

std::int64_t JsonTokenizer::vocab_size() const {
  return std::max(added_.size(), parts_.model->vocabulary().size());
}

bool JsonTokenizer::is_special(std::int32_t id) const {
  return id >= 0 && static_cast<std::size_t>(id) < special_.size() && special_[id];
}

// Added tokens are found in the raw text first, then those marked "normalized" in what lies
// between, once it is normalised. The rest is cut into words.
void JsonTokenizer::encode_text(std::string_view text, bool parse_special, bool with_spans,
                                Encoding& encoding) const {
  const bool tracked =
      with_spans || parts_.pre_tokenizer.needs_tracking(!parts_.normalizer.empty());
  Work work;
  for (const auto& part : raw_tokens_.split(text, parse_special)) {
    if (part.id) {
      work.add_token(*part.id, {part.range.begin, part.range.end});
    } else {
      add_section(text.substr(part.range.begin, part.range.size()), part.range.begin, parse_special,
                  tracked, work);
    }
  }
  const UnitReader reader{
      .worker = [&] { return parts_.model->worker(); },
      .word = [&](const Unit& unit) { return work.sections[unit.source].view(unit.range); },
      .span =
          [&](const Unit& unit, const WordToken& token) {
            if (unit.id >= 0) return work.added_spans[unit.source];
            return work.sections[unit.source].origin(
                {unit.range.begin + token.begin, unit.range.begin + token.end});
          }};
  encode_units(work.units, reader, with_spans, encoding);
}

void JsonTokenizer::add_section(std::string_view part, std::uint64_t offset, bool parse_special,
                                bool tracked, Work& work) const {
  const AlignedText normalized = parts_.normalizer.apply(AlignedText(part, offset, tracked));
  for (const auto& piece : normalized_tokens_.split(normalized.text(), parse_special)) {
    if (piece.id) {
      work.add_token(*piece.id, normalized.origin(piece.range));
      continue;
    }
    WordList list = parts_.pre_tokenizer.apply(normalized.slice(piece.range));
    const auto section = static_cast<std::uint32_t>(work.sections.size());
    for (const Range& word : list.words) {
      parts_.model->cut(list.text.view(word), [&](Range range) {
        work.units.push_back({{word.begin + range.begin, word.begin + range.end}, section, -1});
      });
    }
    work.sections.push_back(std::move(list.text));
  }
}

/// Token strings through the decoder's stages.
class JsonTokenizer::Stream final : public DecodeStream {
 public:
  Stream(const JsonTokenizer& tokenizer, bool skip_special)
      : tokenizer_(tokenizer),
        skip_special_(skip_special),
        stages_(tokenizer.parts_.decoder.stages()) {
    DecodeStage* next = &sink_;
    for (auto stage = stages_.rbegin(); stage != stages_.rend(); ++stage) {
      (*stage)->set_next(next);
      next = stage->get();
    }
    first_ = next;
  }

  void push(std::int32_t id, std::string& text) override {
    tokenizer_.check_id(id);
    const std::string* piece = tokenizer_.find_piece(id);
    // Like the reference, an id in a hole of the vocabulary is no text.
    if (piece == nullptr || (skip_special_ && tokenizer_.is_special(id))) return;
    sink_.text = &text;
    first_->push(*piece);
  }
  void finish(std::string& text) override {
    sink_.text = &text;
    first_->finish();
  }

 private:
  struct Sink final : DecodeStage {
    std::string* text = nullptr;
    void push(std::string token) override { *text += token; }
    void finish() override {}
  };

  const JsonTokenizer& tokenizer_;
  bool skip_special_;
  std::vector<std::unique_ptr<DecodeStage>> stages_;
  Sink sink_;
  DecodeStage* first_;
};

std::unique_ptr<DecodeStream> JsonTokenizer::decode_stream(bool skip_special) const {
  return std::make_unique<Stream>(*this, skip_special);
}

}  // namespace plimsoll
