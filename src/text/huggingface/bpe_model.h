// Byte-pair encoding as Hugging Face's tokenizers library runs it (Sennrich et al.,
// https://arxiv.org/abs/1508.07909, with a rank for every merge).
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/json.h"
#include "text/cut_finder.h"
#include "text/word_model.h"

namespace plimsoll {

struct BpeSettings {
  std::optional<std::string> unk_token;
  std::string continuing_subword_prefix;  // in front of every character but a word's first
  std::string end_of_word_suffix;         // behind a word's last character
  bool fuse_unk = false;                  // neighbouring unknown characters are one token
  bool byte_fallback = false;             // unknown characters become <0xNN> pieces
  bool ignore_merges = false;             // a word that is a piece is that piece

  /// The fields of "model". InputError when dropout is on: ids would be random.
  static BpeSettings read(const Json& model, const std::string& where);
};

using Merges = std::vector<std::pair<std::string, std::string>>;

/// ["a b", ...] or [["a", "b"], ...].
Merges read_merges(const Json& merges, const std::string& where);
/// merges.txt: a pair a line.
Merges parse_merges(std::string_view text, const std::string& where);

class BpeModel final : public WordModel {
 public:
  /// InputError naming `where` when a merge or the unknown token is not in the vocabulary.
  BpeModel(Vocabulary vocabulary, const Merges& merges, BpeSettings settings,
           const std::string& where);

  const Vocabulary& vocabulary() const override { return vocabulary_; }
  std::unique_ptr<Worker> worker() const override;
  void cut(std::string_view word, const std::function<void(Range)>& visit) const override;

 private:
  class MergingWorker;

  struct Merge {
    std::uint64_t pair = kNoPair;  // left id << 32 | right id
    std::uint32_t rank = 0;
    std::int32_t id = 0;
  };
  static constexpr std::uint64_t kNoPair = ~std::uint64_t{0};

  void insert_merge(const Merge& merge);
  const Merge* find_merge(std::int32_t left, std::int32_t right) const;
  /// The id of one character in the middle of a word; -1 when unknown.
  std::int32_t character_id(std::string_view character) const;

  Vocabulary vocabulary_;
  BpeSettings settings_;
  std::optional<std::int32_t> unk_id_;
  std::vector<std::int32_t> byte_ids_;   // of <0xNN>; -1 where the vocabulary has none
  std::vector<std::int32_t> ascii_ids_;  // of single characters; -1
  std::vector<Merge> merges_;            // open addressing, a power of two
  std::optional<CutFinder> cuts_;        // none when nowhere is safe
};

}  // namespace plimsoll
