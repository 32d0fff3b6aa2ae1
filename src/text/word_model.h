// The "model" of a tokenizer.json: a word to ids.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "text/aligned_text.h"
#include "text/vocabulary.h"

namespace plimsoll {

/// A token and the bytes of the word that it stands for.
struct WordToken {
  std::int32_t id = 0;
  std::uint32_t begin = 0;
  std::uint32_t end = 0;
  bool operator==(const WordToken&) const = default;
};

/// Immutable: any number of workers at once.
class WordModel {
 public:
  /// Has the scratch memory of one thread.
  class Worker {
   public:
    virtual ~Worker() = default;
    /// Appends the tokens of `word`, which is UTF-8 and shorter than 4 GiB.
    virtual void tokenize(std::string_view word, std::vector<WordToken>& tokens) = 0;
  };

  virtual ~WordModel() = default;
  virtual const Vocabulary& vocabulary() const = 0;
  virtual std::unique_ptr<Worker> worker() const = 0;
  /// Visits parts of `word`, in order and without gaps, whose tokens one after another are those of
  /// the word.
  virtual void cut(std::string_view word, const std::function<void(Range)>& visit) const {
    visit({0, word.size()});
  }
};

/// A worker that remembers short words: text repeats itself.
std::unique_ptr<WordModel::Worker> with_memory(std::unique_ptr<WordModel::Worker> worker);

}  // namespace plimsoll
