#include "text/tokenizer_settings.h"

#include <algorithm>
#include <charconv>

#include "text/vocabulary.h"

namespace plimsoll {

namespace {

/// A special token is given as its spelling or as an object with it; null or false means none.
std::optional<std::string> read_special(const Json& json, std::string_view field,
                                        const std::string& where) {
  const Json* value = find_field(json, field);
  if (value == nullptr || (value->is_boolean() && !value->get<bool>())) return std::nullopt;
  if (value->is_object()) return require_string(*value, "content", where);
  return string_value(*value, field, where);
}

std::int64_t read_id_key(const std::string& key, const std::string& where) {
  std::int64_t id = -1;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
  if (error != std::errc() || end != key.data() + key.size() || id < 0) {
    throw InputError(where, "added_tokens_decoder", quote(key), "a token id");
  }
  return id;
}

void read_tokenizer_config(const Json& json, const std::string& where,
                           TokenizerSettings& settings) {
  object_value(json, "value", where);
  settings.bos_token = read_special(json, "bos_token", where);
  settings.eos_token = read_special(json, "eos_token", where);
  settings.add_bos = find_bool(json, "add_bos_token", where);
  settings.add_eos = find_bool(json, "add_eos_token", where);
  settings.legacy = find_bool(json, "legacy", where).value_or(false);
  settings.tokenizer_class = find_string(json, "tokenizer_class", where).value_or("");
  if (settings.tokenizer_class.ends_with("Fast")) {
    settings.tokenizer_class.resize(settings.tokenizer_class.size() - 4);
  }
  if (const Json* tokens = find_object(json, "added_tokens_decoder", where)) {
    for (const auto& [key, token] : tokens->items()) {
      settings.added_tokens.push_back(read_added_token(token, read_id_key(key, where), where));
    }
  }
}

void read_added_tokens(const Json& json, const std::string& where, TokenizerSettings& settings) {
  for (const auto& [content, id] : object_value(json, "value", where).items()) {
    const std::int64_t number = int_value(id, content, where, 0, Vocabulary::kMaxSize - 1);
    const bool known = std::any_of(
        settings.added_tokens.begin(), settings.added_tokens.end(),
        [content = content](const AddedToken& token) { return token.content == content; });
    if (known || content.empty()) continue;
    settings.added_tokens.push_back({static_cast<std::int32_t>(number), content});
  }
}

}  // namespace

AddedToken read_added_token(const Json& token, std::int64_t id, const std::string& where) {
  AddedToken result;
  result.content = require_string(token, "content", where);
  const std::string field = fmt::format("id of {}", quote(result.content));
  result.id = static_cast<std::int32_t>(int_value(id, field, where, 0, Vocabulary::kMaxSize - 1));
  result.special = find_bool(token, "special", where).value_or(false);
  result.normalized = find_bool(token, "normalized", where).value_or(!result.special);
  result.single_word = find_bool(token, "single_word", where).value_or(false);
  result.lstrip = find_bool(token, "lstrip", where).value_or(false);
  result.rstrip = find_bool(token, "rstrip", where).value_or(false);
  return result;
}

TokenizerSettings TokenizerSettings::read(const std::filesystem::path& folder) {
  TokenizerSettings settings;
  const auto read = [&](const char* name, const auto& use) {
    const std::filesystem::path file = folder / name;
    if (std::filesystem::exists(file)) use(read_json_file(file), file.string(), settings);
  };
  read("tokenizer_config.json", read_tokenizer_config);
  read("special_tokens_map.json",
       [](const Json& json, const std::string& where, TokenizerSettings& out) {
         if (!out.bos_token) out.bos_token = read_special(json, "bos_token", where);
         if (!out.eos_token) out.eos_token = read_special(json, "eos_token", where);
       });
  read("added_tokens.json", read_added_tokens);
  read("config.json", [](const Json& json, const std::string& where, TokenizerSettings& out) {
    out.model_type = find_string(json, "model_type", where).value_or("");
  });
  return settings;
}

}  // namespace plimsoll
