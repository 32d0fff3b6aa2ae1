#include "text/word_model.h"

#include <string>

namespace plimsoll {

namespace {

class RememberingWorker final : public WordModel::Worker {
 public:
  explicit RememberingWorker(std::unique_ptr<WordModel::Worker> worker)
      : worker_(std::move(worker)) {}

  void tokenize(std::string_view word, std::vector<WordToken>& tokens) override {
    if (word.size() > kLongestWord) return worker_->tokenize(word, tokens);
    if (const auto known = words_.find(word); known != words_.end()) {
      const auto first = tokens_.begin() + static_cast<std::ptrdiff_t>(known->second.begin);
      const auto size = static_cast<std::ptrdiff_t>(known->second.size());
      tokens.insert(tokens.end(), first, first + size);
      return;
    }
    const std::size_t begin = tokens.size();
    worker_->tokenize(word, tokens);
    if (words_.size() == kMostWords) return;
    const std::size_t at = tokens_.size();
    tokens_.insert(tokens_.end(), tokens.begin() + static_cast<std::ptrdiff_t>(begin),
                   tokens.end());
    words_.emplace(word, Range{at, tokens_.size()});
  }

 private:
  static constexpr std::size_t kLongestWord = 64;     // bytes
  static constexpr std::size_t kMostWords = 1 << 17;  // some 20 MB

  std::unique_ptr<WordModel::Worker> worker_;
  StringMap<Range> words_;  // ranges of tokens_
  std::vector<WordToken> tokens_;
};

}  // namespace

std::unique_ptr<WordModel::Worker> with_memory(std::unique_ptr<WordModel::Worker> worker) {
  return std::make_unique<RememberingWorker>(std::move(worker));
}

}  // namespace plimsoll
