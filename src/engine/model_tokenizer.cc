#include "engine/model_tokenizer.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "core/error.h"

namespace plimsoll {

namespace {

// Vocabularies are padded with rows that no token uses, so that matrices divide well: by up to 127
// in small models, and by some percent in large ones (2.3 % in DeepSeek LLM).
constexpr std::int64_t kPaddingRows = 127;
constexpr std::int64_t kPaddingShare = 16;

}  // namespace

std::unique_ptr<Tokenizer> load_tokenizer(const std::string& model, const ModelConfig& config) {
  auto tokenizer = Tokenizer::load(model);
  const std::int64_t most = config.vocab_size;
  const std::int64_t least = most - std::max(kPaddingRows, most / kPaddingShare);
  if (tokenizer->vocab_size() > most || tokenizer->vocab_size() < least) {
    throw InputError(model, "tokenizer", fmt::format("{} tokens", tokenizer->vocab_size()),
                     fmt::format("{}, the vocab_size of config.json", most));
  }
  return tokenizer;
}

bool has_tokenizer(const std::string& model) {
  const std::filesystem::path folder = model;
  return std::ranges::any_of(
      std::array{"tokenizer.json", "tokenizer.model", "vocab.json"},
      [&](const char* file) { return std::filesystem::exists(folder / file); });
}

}  // namespace plimsoll
