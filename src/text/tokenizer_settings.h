// What the files beside a tokenizer say about it: tokenizer_config.json, special_tokens_map.json,
// added_tokens.json and config.json.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "storage/json.h"
#include "text/added_tokens.h"

namespace plimsoll {

struct TokenizerSettings {
  std::optional<std::string> bos_token, eos_token;
  std::optional<bool> add_bos, add_eos;
  /// Of tokenizer.model: each text between special tokens gets the model's prefix, not only the
  /// first. transformers 5 takes it as false where the file says nothing.
  bool legacy = false;
  std::string tokenizer_class;  // without "Fast"; empty when unknown
  std::string model_type;       // of config.json; empty when unknown
  std::vector<AddedToken> added_tokens;

  /// Files that do not exist say nothing. InputError when one is broken.
  static TokenizerSettings read(const std::filesystem::path& folder);
};

/// The fields of an added token that are the same everywhere; `id` comes from elsewhere.
AddedToken read_added_token(const Json& token, std::int64_t id, const std::string& where);

}  // namespace plimsoll
