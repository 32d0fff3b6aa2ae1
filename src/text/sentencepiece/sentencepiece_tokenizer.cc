#include "text/sentencepiece/sentencepiece_tokenizer.h"

#include <sentencepiece_processor.h>

#include <algorithm>

#include "core/error.h"
#include "core/quote.h"
#include "storage/mapped_file.h"
#include "text/cut_finder.h"
#include "text/frame.h"
#include "text/sentencepiece/sentencepiece_file.h"
#include "text/utf8.h"
#include "text/word_batch.h"

namespace plimsoll {

namespace {

using sentencepiece::SentencePieceProcessor;
using Type = SentencePieceFile::Type;

constexpr std::string_view kSpace = "\xE2\x96\x81";  // "▁"

std::unique_ptr<SentencePieceProcessor> load_processor(const std::string& model,
                                                       const std::string& where) {
  auto processor = std::make_unique<SentencePieceProcessor>();
  std::string problem;
  try {
    const auto status = processor->LoadFromSerializedProto(model);
    if (status.ok()) return processor;
    problem = status.ToString();
  } catch (const std::exception& error) {
    problem = error.what();
  }
  throw InputError(where, "model", quote(problem, 200), "one that SentencePiece accepts");
}

std::int32_t byte_value(std::string_view piece) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10; };
  return digit(piece[3]) * 16 + digit(piece[4]);
}

/// "<0x0A>"
bool is_byte_piece(std::string_view piece) {
  const auto is_digit = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
  };
  return piece.size() == 6 && piece.starts_with("<0x") && piece[5] == '>' && is_digit(piece[3]) &&
         is_digit(piece[4]);
}

class SentencePieceTokenizer final : public Tokenizer {
 public:
  SentencePieceTokenizer(SentencePieceFile file, const TokenizerSettings& settings,
                         const std::string& where);

  std::unique_ptr<DecodeStream> decode_stream(bool skip_special) const override;
  std::string piece(std::int32_t id) const override;
  std::optional<std::int32_t> id_of(std::string_view piece) const override {
    return vocabulary_.id_of(piece);
  }
  std::int64_t vocab_size() const override { return vocabulary_.size(); }
  bool is_special(std::int32_t id) const override {
    return id >= 0 && id < vocab_size() && special_[static_cast<std::size_t>(id)];
  }

 protected:
  void encode_text(std::string_view text, bool parse_special, bool with_spans,
                   Encoding& encoding) const override;

 private:
  class Worker;
  class Stream;

  /// Of an id: added tokens count as user defined.
  Type type_of(std::int32_t id) const {
    const auto index = static_cast<std::size_t>(id);
    return index < file_.pieces.size() ? file_.pieces[index].type : Type::user_defined;
  }
  void add_tokens(const TokenizerSettings& settings, const std::string& where);
  void prepare_cuts();
  void cut(std::string_view text, std::size_t offset, std::vector<Unit>& units) const;
  /// Whether the model's prefix goes in front of units[index].
  bool has_prefix(const std::vector<Unit>& units, std::size_t index) const;

  SentencePieceFile file_;
  Vocabulary vocabulary_;
  std::vector<bool> special_;
  AddedTokenMatcher tokens_in_text_;
  std::optional<CutFinder> cuts_;                              // none when nowhere is safe
  std::unique_ptr<SentencePieceProcessor> first_, continued_;  // with the prefix, and without
  bool legacy_ = false;                                        // TokenizerSettings::legacy
};

SentencePieceTokenizer::SentencePieceTokenizer(SentencePieceFile file,
                                               const TokenizerSettings& settings,
                                               const std::string& where)
    : file_(std::move(file)), legacy_(settings.legacy) {
  for (std::size_t id = 0; id < file_.pieces.size(); ++id) {
    const auto& [text, type] = file_.pieces[id];
    vocabulary_.add(text, static_cast<std::int64_t>(id), where);
    if (type == Type::byte && !is_byte_piece(text)) {
      throw InputError(where, fmt::format("piece {}", id), quote(text), "a byte like <0x0A>");
    }
  }
  first_ = load_processor(file_.model, where);
  continued_ = file_.add_dummy_prefix ? load_processor(file_.continued, where) : nullptr;
  file_.model.clear();
  file_.continued.clear();
  add_tokens(settings, where);
  prepare_cuts();

  const auto find = [&](std::string_view piece) { return id_of(piece); };
  const auto own = [](int id) { return id < 0 ? std::nullopt : std::optional<std::int32_t>(id); };
  frame_.bos = settings.bos_token ? find_special(settings.bos_token, {}, find, where)
                                  : own(first_->bos_id());
  frame_.eos = settings.eos_token ? find_special(settings.eos_token, {}, find, where)
                                  : own(first_->eos_id());
  frame_.adds_bos = settings.add_bos.value_or(frame_.bos.has_value());
  frame_.adds_eos = settings.add_eos.value_or(false);
  complete_frame(where);
}

void SentencePieceTokenizer::add_tokens(const TokenizerSettings& settings,
                                        const std::string& where) {
  special_.resize(file_.pieces.size());
  std::vector<AddedToken> found;
  for (std::size_t id = 0; id < file_.pieces.size(); ++id) {
    const auto& [text, type] = file_.pieces[id];
    special_[id] = type == Type::control;
    if (type != Type::control && type != Type::unknown) continue;
    found.push_back({static_cast<std::int32_t>(id), text, /*special=*/true});
  }
  for (const AddedToken& token : settings.added_tokens) {
    const auto id = static_cast<std::size_t>(token.id);
    if (id < file_.pieces.size() && file_.pieces[id].text != token.content) {
      throw InputError(where, fmt::format("added token {}", quote(token.content)),
                       fmt::format("id {}, which is {}", id, quote(file_.pieces[id].text)),
                       "an id behind the model's pieces");
    }
    if (id < file_.pieces.size() && type_of(token.id) != Type::normal) continue;  // as it was
    vocabulary_.add(token.content, token.id, where);
    if (special_.size() <= id) special_.resize(id + 1);
    special_[id] = token.special;
    found.push_back(token);
  }
  std::vector<std::string> spellings;
  spellings.reserve(found.size());
  for (const AddedToken& token : found) spellings.push_back(token.content);
  tokens_in_text_ = AddedTokenMatcher(std::move(found), spellings);
}

/// Cuts are safe where the model is BPE and its normaliser only spells spaces. (Unigram adds up
/// scores in floats from the start of the text: parts might round otherwise.)
void SentencePieceTokenizer::prepare_cuts() {
  if (file_.algorithm != SentencePieceFile::Algorithm::bpe || file_.has_character_map ||
      file_.remove_extra_whitespaces || !file_.escape_whitespaces || file_.whitespace_is_suffix) {
    return;
  }
  CutFinder cuts;
  for (const auto& [text, type] : file_.pieces) {
    if (text.find(' ') != std::string::npos) return;  // would match before spaces are spelt
    cuts.add_piece(text);
  }
  cuts_ = std::move(cuts);
}

void SentencePieceTokenizer::cut(std::string_view text, std::size_t offset,
                                 std::vector<Unit>& units) const {
  static const char32_t space = utf8::first(kSpace);
  std::size_t begin = 0;
  if (cuts_ && !text.empty()) {
    char32_t before = text.front() == ' ' ? space : utf8::first(text);
    for (std::size_t at = utf8::length(text.front()); at < text.size();) {
      const utf8::Step step = utf8::next(text.substr(at));
      const bool is_space = step.code_point == ' ';
      const char32_t after = is_space ? space : step.code_point;
      if (cuts_->allows(before, after)) {
        // Neighbouring unknown characters are one token: a part starts with a known one.
        const auto id = id_of(is_space ? kSpace : text.substr(at, step.length));
        if (id && *id < first_->GetPieceSize() && type_of(*id) == Type::normal) {
          units.push_back({{offset + begin, offset + at}});
          begin = at;
        }
      }
      before = after;
      at += step.length;
    }
  }
  if (begin < text.size()) units.push_back({{offset + begin, offset + text.size()}});
}

/// Runs SentencePiece on one part.
class SentencePieceTokenizer::Worker final : public WordModel::Worker {
 public:
  explicit Worker(const SentencePieceProcessor& processor) : processor_(processor) {}

  void tokenize(std::string_view word, std::vector<WordToken>& tokens) override {
    sentencepiece::ImmutableSentencePieceText result;
    const auto status = processor_.Encode(word, result.mutable_proto());
    if (!status.ok()) {
      throw InputError(
          fmt::format("SentencePiece cannot encode {}: {}", quote(word), status.ToString()));
    }
    for (std::size_t i = 0; i < result.pieces_size(); ++i) {
      const auto piece = result.pieces(static_cast<int>(i));
      tokens.push_back({static_cast<std::int32_t>(piece.id()), piece.begin(), piece.end()});
    }
    spread_bytes(tokens, tokens.size() - result.pieces_size());
  }

 private:
  /// SentencePiece gives a whole character to the last of its byte pieces, which come in one run.
  void spread_bytes(std::vector<WordToken>& tokens, std::size_t first) const {
    for (std::size_t i = first; i < tokens.size();) {
      std::size_t last = i;
      while (last + 1 < tokens.size() && processor_.IsByte(tokens[last].id) &&
             tokens[last].begin == tokens[last].end) {
        ++last;
      }
      const std::size_t count = last - i + 1;
      if (count > 1 && tokens[last].end - tokens[last].begin == count) {
        for (; i < last; ++i) tokens[i + 1].begin = tokens[i].end = tokens[i].begin + 1;
      }
      i = last + 1;
    }
  }

  const SentencePieceProcessor& processor_;
};

void SentencePieceTokenizer::encode_text(std::string_view text, bool parse_special, bool with_spans,
                                         Encoding& encoding) const {
  std::vector<Unit> units;
  for (const auto& part : tokens_in_text_.split(text, parse_special)) {
    if (part.id) {
      units.push_back({part.range, 0, *part.id});
    } else {
      cut(text.substr(part.range.begin, part.range.size()), part.range.begin, units);
    }
  }
  UnitReader reader{
      .worker = [&] { return std::make_unique<Worker>(*first_); },
      .word = [&](const Unit& unit) { return text.substr(unit.range.begin, unit.range.size()); },
      .span = [](const Unit& unit, const WordToken& token) -> TokenSpan {
        if (unit.id >= 0) return {unit.range.begin, unit.range.end};
        return {unit.range.begin + token.begin, unit.range.begin + token.end};
      }};
  if (!continued_) return encode_units(units, reader, with_spans, encoding);
  const auto prefixed = std::move(reader.worker);
  const auto bare = [&] { return std::make_unique<Worker>(*continued_); };
  for (std::size_t begin = 0; begin < units.size();) {
    std::size_t end = begin + 1;
    const bool has_one = has_prefix(units, begin);
    while (!has_one && end < units.size() && !has_prefix(units, end)) ++end;
    reader.worker = has_one ? prefixed : bare;
    encode_units({units.begin() + static_cast<std::ptrdiff_t>(begin),
                  units.begin() + static_cast<std::ptrdiff_t>(end)},
                 reader, with_spans, encoding);
    begin = end;
  }
}

bool SentencePieceTokenizer::has_prefix(const std::vector<Unit>& units, std::size_t index) const {
  if (units[index].id >= 0) return false;
  return index == 0 || (legacy_ && units[index - 1].id >= 0);
}

/// SentencePieceProcessor::Decode, one piece at a time. Bytes become characters as soon as they are
/// whole; each byte that is part of none is one U+FFFD.
class SentencePieceTokenizer::Stream final : public DecodeStream {
 public:
  Stream(const SentencePieceTokenizer& tokenizer, bool skip_special)
      : tokenizer_(tokenizer), skip_special_(skip_special) {}

  void push(std::int32_t id, std::string& text) override {
    tokenizer_.check_id(id);
    const std::size_t before = text.size();
    const std::string* piece = tokenizer_.vocabulary_.piece(id);
    if (piece == nullptr) return;  // a hole between the model's pieces and added tokens
    if (tokenizer_.type_of(id) == Type::byte) {
      bytes_.push_back(static_cast<char>(byte_value(*piece)));
      take_characters(text);
    } else {
      flush_bytes(text);
      if (seen_prefix_ || seen_text_ || text.size() > before) at_start_ = false;
      decode_piece(id, *piece, text);
    }
    seen_text_ = seen_text_ || text.size() > before;
  }
  void finish(std::string& text) override { flush_bytes(text); }

 private:
  void decode_piece(std::int32_t id, std::string_view piece, std::string& text) {
    seen_prefix_ = false;
    if (tokenizer_.is_special(id)) {
      if (!skip_special_) text += piece;
      return;
    }
    if (tokenizer_.type_of(id) == Type::unknown) {
      text += tokenizer_.file_.unknown_surface;
      return;
    }
    const SentencePieceFile& file = tokenizer_.file_;
    if (at_start_ && (file.add_dummy_prefix || file.remove_extra_whitespaces) &&
        piece.starts_with(kSpace)) {
      piece.remove_prefix(kSpace.size());
      seen_prefix_ = !file.remove_extra_whitespaces;  // else every leading space goes
    }
    for (std::size_t at = piece.find(kSpace); at != std::string_view::npos;
         at = piece.find(kSpace)) {
      text.append(piece.substr(0, at)).append(" ");
      piece.remove_prefix(at + kSpace.size());
    }
    text += piece;
  }

  void take_characters(std::string& text) {
    std::string_view rest = bytes_;
    while (!rest.empty()) {
      const utf8::Step step = utf8::next(rest);
      if (step.kind == utf8::Step::Kind::truncated) break;
      const bool whole = step.kind == utf8::Step::Kind::character;
      text += whole ? rest.substr(0, step.length) : utf8::kReplacement;
      rest.remove_prefix(whole ? step.length : 1);
    }
    bytes_ = std::string(rest);
  }
  void flush_bytes(std::string& text) {
    for (std::size_t i = 0; i < bytes_.size(); ++i) text += utf8::kReplacement;
    bytes_.clear();
  }

  const SentencePieceTokenizer& tokenizer_;
  bool skip_special_;
  std::string bytes_;         // the beginning of a character
  bool at_start_ = true;      // a leading space would be the dummy prefix
  bool seen_prefix_ = false;  // the last piece lost it
  bool seen_text_ = false;
};

std::unique_ptr<DecodeStream> SentencePieceTokenizer::decode_stream(bool skip_special) const {
  return std::make_unique<Stream>(*this, skip_special);
}

std::string SentencePieceTokenizer::piece(std::int32_t id) const {
  check_id(id);
  const std::string* piece = vocabulary_.piece(id);
  return piece != nullptr ? *piece : "";
}

}  // namespace

std::unique_ptr<Tokenizer> parse_sentencepiece(std::string_view bytes,
                                               const TokenizerSettings& settings,
                                               const std::string& where) {
  return std::make_unique<SentencePieceTokenizer>(SentencePieceFile::parse(bytes, where), settings,
                                                  where);
}

std::unique_ptr<Tokenizer> load_sentencepiece(const std::filesystem::path& file,
                                              const TokenizerSettings& settings) {
  const auto mapped = MappedFile::open(file);
  return parse_sentencepiece({reinterpret_cast<const char*>(mapped->data()), mapped->size()},
                             settings, file.string());
}

}  // namespace plimsoll
