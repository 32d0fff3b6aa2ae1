#include "text/tokenizer.h"

#include <algorithm>

#include "core/error.h"
#include "storage/atomic_file.h"
#include "storage/json.h"
#include "text/huggingface/json_tokenizer.h"
#include "text/sentencepiece/sentencepiece_tokenizer.h"
#include "text/tokenizer_settings.h"
#include "text/utf8.h"

namespace plimsoll {

namespace {

namespace fs = std::filesystem;

std::unique_ptr<Tokenizer> load_json(const fs::path& file, const TokenizerSettings& settings) {
  const std::string where = file.string();
  return std::make_unique<JsonTokenizer>(read_tokenizer_json(read_json_file(file), where), settings,
                                         where);
}

std::unique_ptr<Tokenizer> load_vocab_and_merges(const fs::path& folder,
                                                 const TokenizerSettings& settings) {
  const fs::path vocab = folder / "vocab.json";
  const fs::path merges = folder / "merges.txt";
  if (!fs::exists(merges)) {
    throw InputError(vocab.string(), "merges.txt", "no such file beside it", "the merges");
  }
  std::string class_name = settings.tokenizer_class;
  if (class_name.empty()) {
    class_name = settings.model_type == "qwen2" ? "Qwen2Tokenizer" : "GPT2Tokenizer";
  }
  const std::string where = vocab.string();
  TokenizerParts parts =
      byte_level_parts(read_json_file(vocab), read_text_file(merges), class_name, where);
  parts.added_tokens = settings.added_tokens;
  for (const auto& special :
       {settings.bos_token, settings.eos_token, std::optional<std::string>("<|endoftext|>")}) {
    if (!special) continue;
    const auto id = parts.model->vocabulary().id_of(*special);
    const bool known =
        std::any_of(parts.added_tokens.begin(), parts.added_tokens.end(),
                    [&](const AddedToken& token) { return token.content == *special; });
    if (id && !known) parts.added_tokens.push_back({*id, *special, /*special=*/true});
  }
  return std::make_unique<JsonTokenizer>(std::move(parts), settings, where);
}

}  // namespace

std::unique_ptr<Tokenizer> Tokenizer::load(const fs::path& path) {
  if (!fs::exists(path)) throw InputError(path.string(), "tokenizer", "nothing there", "a file");
  if (!fs::is_directory(path)) {
    const TokenizerSettings settings = TokenizerSettings::read(path.parent_path());
    if (path.filename() == "vocab.json" || path.filename() == "merges.txt") {
      return load_vocab_and_merges(path.parent_path(), settings);
    }
    if (path.extension() == ".json") return load_json(path, settings);
    return load_sentencepiece(path, settings);
  }
  const TokenizerSettings settings = TokenizerSettings::read(path);
  if (fs::exists(path / "tokenizer.json")) return load_json(path / "tokenizer.json", settings);
  if (fs::exists(path / "tokenizer.model")) {
    return load_sentencepiece(path / "tokenizer.model", settings);
  }
  if (fs::exists(path / "vocab.json")) return load_vocab_and_merges(path, settings);
  throw InputError(path.string(), "tokenizer", "none",
                   "tokenizer.json, tokenizer.model, or vocab.json with merges.txt");
}

void Tokenizer::complete_frame(const std::string& where) {
  if (frame_.front.empty() && frame_.bos) frame_.front = {*frame_.bos};
  if (frame_.back.empty() && frame_.eos) frame_.back = {*frame_.eos};
  if (frame_.adds_bos && frame_.front.empty()) {
    throw InputError(where, "bos_token", "none", "one, as add_bos_token says that it is added");
  }
  if (frame_.adds_eos && frame_.back.empty()) {
    throw InputError(where, "eos_token", "none", "one, as add_eos_token says that it is added");
  }
}

std::vector<std::int32_t> Tokenizer::encode(std::string_view text,
                                            const EncodeOptions& options) const {
  return encode_framed(text, options, /*with_spans=*/false).ids;
}

Encoding Tokenizer::encode_with_spans(std::string_view text, const EncodeOptions& options) const {
  return encode_framed(text, options, /*with_spans=*/true);
}

Encoding Tokenizer::encode_framed(std::string_view text, const EncodeOptions& options,
                                  bool with_spans) const {
  if (const auto bad = find_invalid_utf8(text)) {
    throw InputError("text to tokenise", fmt::format("byte {}", *bad),
                     fmt::format("0x{:02X}", static_cast<unsigned char>(text[*bad])),
                     "valid UTF-8");
  }
  Encoding encoding;
  const auto add = [&](bool wanted, const std::vector<std::int32_t>& ids, std::string_view what,
                       std::uint64_t place) {
    if (!wanted) return;
    if (ids.empty()) {
      throw InputError("tokenizer", what, "none in its files", "one, as it is asked for");
    }
    encoding.ids.insert(encoding.ids.end(), ids.begin(), ids.end());
    if (with_spans) encoding.spans.insert(encoding.spans.end(), ids.size(), {place, place});
  };
  add(options.add_bos.value_or(frame_.adds_bos), frame_.front, "beginning of sequence", 0);
  encode_text(text, options.parse_special, with_spans, encoding);
  add(options.add_eos.value_or(frame_.adds_eos), frame_.back, "end of sequence", text.size());
  PLIMSOLL_CHECK(!with_spans || encoding.spans.size() == encoding.ids.size());
  return encoding;
}

std::string Tokenizer::decode(std::span<const std::int32_t> ids, bool skip_special) const {
  std::string text;
  const auto stream = decode_stream(skip_special);
  for (const std::int32_t id : ids) stream->push(id, text);
  stream->finish(text);
  return text;
}

void Tokenizer::check_id(std::int32_t id) const {
  if (id < 0 || id >= vocab_size()) {
    throw InputError("tokenizer", "token id", fmt::format("{}", id),
                     fmt::format("0 to {}", vocab_size() - 1));
  }
}

}  // namespace plimsoll
