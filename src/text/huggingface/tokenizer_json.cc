// Reads the parts of a tokenizer.json.
#include "text/huggingface/bpe_model.h"
#include "text/huggingface/json_tokenizer.h"
#include "text/huggingface/pipeline_json.h"
#include "text/huggingface/unigram_model.h"

namespace plimsoll {

namespace {

/// Older files leave the type out; the fields then tell.
std::string model_type(const Json& model, const std::string& where) {
  if (const auto type = find_string(model, "type", where)) return *type;
  if (find_field(model, "merges") != nullptr) return "BPE";
  if (const Json* vocab = find_field(model, "vocab"); vocab != nullptr && vocab->is_array()) {
    return "Unigram";
  }
  throw InputError(where, "type", "nothing", "BPE or Unigram");
}

Vocabulary read_vocabulary(const Json& vocab, const std::string& where) {
  Vocabulary vocabulary;
  for (const auto& [piece, id] : object_value(vocab, "vocab", where).items()) {
    vocabulary.add(piece, int_value(id, quote(piece), where), where);
  }
  return vocabulary;
}

std::unique_ptr<const WordModel> read_model(const Json& model, const std::string& where) {
  const std::string type = model_type(model, where);
  if (type == "Unigram") return std::make_unique<UnigramModel>(model, where);
  if (type != "BPE") refuse_type(type, where);
  return std::make_unique<BpeModel>(
      read_vocabulary(require_object(model, "vocab", where), where + ": vocab"),
      read_merges(require_array(model, "merges", where), where), BpeSettings::read(model, where),
      where);
}

}  // namespace

TokenizerParts read_tokenizer_json(const Json& json, const std::string& where) {
  object_value(json, "value", where);
  TokenizerParts parts;
  parts.model = read_model(require_object(json, "model", where), where + ": model");
  if (const Json* tokens = find_array(json, "added_tokens", where)) {
    const std::string place = where + ": added_tokens";
    for (const Json& token : *tokens) {
      const std::int64_t id = require_int(object_value(token, "token", place), "id", place, 0,
                                          Vocabulary::kMaxSize - 1);
      parts.added_tokens.push_back(read_added_token(token, id, place));
      if (parts.added_tokens.back().content.empty()) parts.added_tokens.pop_back();
    }
  }
  std::int64_t vocab_size = parts.model->vocabulary().size();
  for (const AddedToken& token : parts.added_tokens) {
    vocab_size = std::max<std::int64_t>(vocab_size, token.id + std::int64_t{1});
  }
  if (const Json* part = find_field(json, "normalizer")) {
    parts.normalizer = Normalizer(*part, where + ": normalizer");
  }
  if (const Json* part = find_field(json, "pre_tokenizer")) {
    parts.pre_tokenizer = PreTokenizer(*part, where + ": pre_tokenizer");
  }
  if (const Json* part = find_field(json, "post_processor")) {
    parts.post_processor = PostProcessor(*part, where + ": post_processor", vocab_size);
  }
  if (const Json* part = find_field(json, "decoder")) {
    parts.decoder = Decoder(*part, where + ": decoder");
  }
  return parts;
}

TokenizerParts byte_level_parts(const Json& vocab, std::string_view merges,
                                const std::string& class_name, const std::string& where) {
  TokenizerParts parts;
  if (class_name == "GPT2Tokenizer") {
    parts.pre_tokenizer = PreTokenizer(
        Json{{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}, where);
  } else if (class_name == "Qwen2Tokenizer") {
    // https://github.com/huggingface/transformers: models/qwen2/tokenization_qwen2.py
    constexpr std::string_view kPattern =
        R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)"
        R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
    const Json split = {{"type", "Split"},
                        {"pattern", {{"Regex", kPattern}}},
                        {"behavior", "Isolated"},
                        {"invert", false}};
    const Json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
    parts.normalizer = Normalizer::nfc();
    parts.pre_tokenizer = PreTokenizer(
        Json{{"type", "Sequence"}, {"pretokenizers", Json::array({split, bytes})}}, where);
  } else {
    throw InputError(where, "tokenizer_class", quote(class_name),
                     "GPT2Tokenizer or Qwen2Tokenizer, or a tokenizer.json");
  }
  parts.model = std::make_unique<BpeModel>(read_vocabulary(vocab, where),
                                           parse_merges(merges, where + ": merges.txt"),
                                           BpeSettings{}, where);
  parts.decoder = Decoder::byte_level();
  return parts;
}

}  // namespace plimsoll
