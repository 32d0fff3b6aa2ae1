// Unigram language model (Kudo, https://arxiv.org/abs/1804.10959) as Hugging Face's tokenizers
// library runs it: of all ways to spell a word with pieces, the one with the largest sum of scores.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/json.h"
#include "text/byte_trie.h"
#include "text/word_model.h"

namespace plimsoll {

class UnigramModel final : public WordModel {
 public:
  /// "model" of a tokenizer.json: "vocab" is [[piece, score], ...], "unk_id", "byte_fallback".
  /// InputError naming `where` when it is broken.
  UnigramModel(const Json& model, const std::string& where);

  const Vocabulary& vocabulary() const override { return vocabulary_; }
  std::unique_ptr<Worker> worker() const override;

 private:
  class ViterbiWorker;

  Vocabulary vocabulary_;
  std::vector<double> scores_;
  double unknown_score_ = 0;  // of one unknown character
  std::optional<std::int32_t> unk_id_;
  bool byte_fallback_ = false;
  ByteTrie pieces_;  // values are ids
};

}  // namespace plimsoll
