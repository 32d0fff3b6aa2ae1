// A tokenizer.model, run by Google's SentencePiece.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "text/tokenizer.h"
#include "text/tokenizer_settings.h"

namespace plimsoll {

/// Ids and text are SentencePiece's. What it does not know:
/// - Tokens that the settings add have the ids behind its pieces and are found in any text.
/// - With parse_special its control pieces and its unknown piece are found in the text. The prefix
///   that the model puts in front of a text comes only in front of text at the very start, as
///   transformers' LlamaTokenizer and "prepend_scheme": "first" have it: "<s>a" has none. With
///   "legacy": true in tokenizer_config.json every text between such pieces has one.
/// InputError naming `where` when the bytes are no such model or cannot be run exactly.
std::unique_ptr<Tokenizer> parse_sentencepiece(std::string_view bytes,
                                               const TokenizerSettings& settings,
                                               const std::string& where);
std::unique_ptr<Tokenizer> load_sentencepiece(const std::filesystem::path& file,
                                              const TokenizerSettings& settings);

}  // namespace plimsoll
