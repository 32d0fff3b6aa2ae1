#include "text/huggingface/unigram_model.h"

#include <algorithm>
#include <limits>

#include "text/utf8.h"

namespace plimsoll {

UnigramModel::UnigramModel(const Json& model, const std::string& where) {
  double lowest = std::numeric_limits<double>::infinity();
  for (const Json& entry : require_array(model, "vocab", where)) {
    const auto id = static_cast<std::int64_t>(scores_.size());
    const std::string place = fmt::format("{}: vocab[{}]", where, id);
    if (array_value(entry, "entry", place).size() != 2) {
      throw InputError(place, "entry", fmt::format("{} values", entry.size()), "[piece, score]");
    }
    const std::string& piece = string_value(entry[0], "piece", place);
    vocabulary_.add(piece, id, place);
    scores_.push_back(number_value(entry[1], "score", place));
    lowest = std::min(lowest, scores_.back());
    pieces_.insert(piece, static_cast<std::uint32_t>(id));
  }
  constexpr double kUnknownPenalty = 10;
  unknown_score_ = lowest - kUnknownPenalty;
  if (const auto id = find_int(model, "unk_id", where, 0, vocabulary_.size() - 1)) {
    unk_id_ = static_cast<std::int32_t>(*id);
  }
  byte_fallback_ = find_bool(model, "byte_fallback", where).value_or(false);
}

/// The best path to every place between bytes, front to back; then its pieces, back to front.
class UnigramModel::ViterbiWorker final : public WordModel::Worker {
 public:
  explicit ViterbiWorker(const UnigramModel& model) : model_(model) {}

  void tokenize(std::string_view word, std::vector<WordToken>& tokens) override {
    find_paths(word);
    path_.clear();
    for (std::size_t end = word.size(); end > 0; end = best_[end].begin) {
      const bool unknown = best_[end].id == model_.unk_id_.value_or(-1);
      if (unknown && !path_.empty() && path_.back().unknown) {
        path_.back().range.begin = best_[end].begin;  // neighbouring unknown characters fuse
      } else {
        path_.push_back({{best_[end].begin, end}, unknown});
      }
    }
    for (auto part = path_.rbegin(); part != path_.rend(); ++part) emit(word, part->range, tokens);
  }

 private:
  struct Node {
    double score = 0;
    std::size_t begin = kUnreached;  // of the piece that ends here
    std::int32_t id = -1;
  };
  struct Part {
    Range range;
    bool unknown;
  };
  static constexpr std::size_t kUnreached = static_cast<std::size_t>(-1);

  void find_paths(std::string_view word) {
    best_.assign(word.size() + 1, {});
    const auto reach = [&](std::size_t begin, std::size_t end, double score, std::int32_t id) {
      Node& node = best_[end];
      const double total = score + best_[begin].score;
      if (node.begin == kUnreached || total > node.score) node = {total, begin, id};
    };
    for (std::size_t begin = 0; begin < word.size();) {
      const std::size_t character = utf8::length(word[begin]);
      bool spelt = false;  // the character by itself is a piece
      std::uint32_t node = ByteTrie::kRoot;
      for (std::size_t end = begin; end < word.size();) {
        node = model_.pieces_.child(node, word[end++]);
        if (node == ByteTrie::kNone) break;
        const std::uint32_t id = model_.pieces_.value(node);
        if (id == ByteTrie::kNone) continue;
        reach(begin, end, model_.scores_[id], static_cast<std::int32_t>(id));
        spelt = spelt || end == begin + character;
      }
      if (!spelt) {
        reach(begin, begin + character, model_.unknown_score_, unknown_id(word, begin, character));
      }
      begin += character;
    }
  }

  std::int32_t unknown_id(std::string_view word, std::size_t begin, std::size_t size) const {
    if (model_.unk_id_) return *model_.unk_id_;
    throw InputError("tokenizer", "unk_id",
                     fmt::format("none, for the unknown {}", quote(word.substr(begin, size))),
                     "the id of the unknown piece");
  }

  void emit(std::string_view word, Range range, std::vector<WordToken>& tokens) const {
    const std::string_view text = word.substr(range.begin, range.size());
    const auto token = [](std::int32_t id, std::size_t begin, std::size_t end) {
      return WordToken{id, static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end)};
    };
    if (const auto id = model_.vocabulary_.id_of(text)) {
      tokens.push_back(token(*id, range.begin, range.end));
      return;
    }
    const std::size_t first = tokens.size();
    for (std::size_t i = 0; model_.byte_fallback_ && i < text.size(); ++i) {
      const auto byte = static_cast<unsigned char>(text[i]);
      const auto id = model_.vocabulary_.id_of(fmt::format("<0x{:02X}>", byte));
      if (!id) break;
      tokens.push_back(token(*id, range.begin + i, range.begin + i + 1));
    }
    if (tokens.size() - first == text.size()) return;
    tokens.resize(first);  // not all the bytes are pieces
    tokens.push_back(token(*model_.unk_id_, range.begin, range.end));
  }

  const UnigramModel& model_;
  std::vector<Node> best_;
  std::vector<Part> path_;
};

std::unique_ptr<WordModel::Worker> UnigramModel::worker() const {
  return std::make_unique<ViterbiWorker>(*this);
}

}  // namespace plimsoll
