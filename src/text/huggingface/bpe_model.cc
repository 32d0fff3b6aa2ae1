#include "text/huggingface/bpe_model.h"

#include <algorithm>
#include <bit>
#include <unordered_set>

#include "text/utf8.h"

namespace plimsoll {

namespace {

std::uint64_t pair_of(std::int32_t left, std::int32_t right) {
  return static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint32_t>(right);
}

std::size_t slot_of(std::uint64_t pair, std::size_t slots) {
  return pair * 0x9E3779B97F4A7C15u >> (64 - std::countr_zero(slots));
}

}  // namespace

BpeModel::BpeModel(Vocabulary vocabulary, const Merges& merges, BpeSettings settings,
                   const std::string& where)
    : vocabulary_(std::move(vocabulary)), settings_(std::move(settings)) {
  if (settings_.unk_token) {
    // Like the reference, an unknown token outside the vocabulary matters only when it is needed.
    unk_id_ = vocabulary_.id_of(*settings_.unk_token);
  }
  for (int byte = 0; byte < 256; ++byte) {
    byte_ids_.push_back(vocabulary_.id_of(fmt::format("<0x{:02X}>", byte)).value_or(-1));
    const char c = static_cast<char>(byte);
    ascii_ids_.push_back(byte < 128 ? vocabulary_.id_of({&c, 1}).value_or(-1) : -1);
  }

  merges_.resize(std::bit_ceil(std::max<std::size_t>(2 * merges.size(), 2)));
  CutFinder cuts;
  const std::string& prefix = settings_.continuing_subword_prefix;
  bool may_cut = prefix.empty() && settings_.end_of_word_suffix.empty() && !settings_.ignore_merges;
  const auto id_of = [&](std::size_t rank, const std::string& piece) {
    const auto id = vocabulary_.id_of(piece);
    if (id) return *id;
    throw InputError(where,
                     fmt::format("merge {} of {} and {}", rank, quote(merges[rank].first),
                                 quote(merges[rank].second)),
                     fmt::format("no {} in the vocabulary", quote(piece)),
                     "both pieces and their union");
  };
  // Bytes of unknown characters, and the unknown token, are symbols whose spelling is not their
  // text: where they take part in merges, a merged piece says nothing about the text that it
  // crosses.
  std::unordered_set<std::int32_t> made_up;
  if (unk_id_) made_up.insert(*unk_id_);
  if (settings_.byte_fallback) made_up.insert(byte_ids_.begin(), byte_ids_.end());
  for (std::size_t rank = 0; rank < merges.size(); ++rank) {
    const auto& [left, right] = merges[rank];
    if (right.size() < prefix.size()) {
      throw InputError(where, fmt::format("merge {}", rank), quote(right),
                       fmt::format("a piece that starts with {}", quote(prefix)));
    }
    const std::string whole = left + right.substr(prefix.size());
    const std::int32_t left_id = id_of(rank, left);
    const std::int32_t right_id = id_of(rank, right);
    insert_merge(
        {pair_of(left_id, right_id), static_cast<std::uint32_t>(rank), id_of(rank, whole)});
    cuts.add_piece(whole);
    may_cut = may_cut && !made_up.contains(left_id) && !made_up.contains(right_id);
  }
  if (may_cut) cuts_ = std::move(cuts);
}

void BpeModel::insert_merge(const Merge& merge) {
  std::size_t slot = slot_of(merge.pair, merges_.size());
  while (merges_[slot].pair != kNoPair && merges_[slot].pair != merge.pair) {
    slot = (slot + 1) & (merges_.size() - 1);
  }
  merges_[slot] = merge;  // of a pair that is there twice the last counts, as in the reference
}

const BpeModel::Merge* BpeModel::find_merge(std::int32_t left, std::int32_t right) const {
  const std::uint64_t pair = pair_of(left, right);
  std::size_t slot = slot_of(pair, merges_.size());
  while (merges_[slot].pair != pair) {
    if (merges_[slot].pair == kNoPair) return nullptr;
    slot = (slot + 1) & (merges_.size() - 1);
  }
  return &merges_[slot];
}

std::int32_t BpeModel::character_id(std::string_view character) const {
  if (character.size() == 1) return ascii_ids_[static_cast<unsigned char>(character.front())];
  return vocabulary_.id_of(character).value_or(-1);
}

void BpeModel::cut(std::string_view word, const std::function<void(Range)>& visit) const {
  constexpr std::size_t kShortWord = 64;  // not worth cutting: it is merged, or remembered, at once
  std::size_t begin = 0;
  if (cuts_ && word.size() > kShortWord) {
    char32_t before = utf8::first(word);
    for (std::size_t at = utf8::length(word.front()); at < word.size();) {
      const utf8::Step step = utf8::next(word.substr(at));
      // Neighbouring unknown characters may fuse: a part starts with a known one.
      if (cuts_->allows(before, step.code_point) &&
          character_id(word.substr(at, step.length)) >= 0) {
        visit({begin, at});
        begin = at;
      }
      before = step.code_point;
      at += step.length;
    }
  }
  visit({begin, word.size()});
}

/// Symbols are a linked list in an array; a heap holds the merges that were possible when they were
/// pushed. An entry is stale unless the pair now at its place still makes the same piece: this is
/// the reference's test, which also decides which of two ways to the same piece counts.
class BpeModel::MergingWorker final : public WordModel::Worker {
 public:
  explicit MergingWorker(const BpeModel& model) : model_(model) {}

  void tokenize(std::string_view word, std::vector<WordToken>& tokens) override {
    if (word.empty()) return;
    PLIMSOLL_CHECK(word.size() < kNone);
    if (model_.settings_.ignore_merges) {
      if (const auto id = model_.vocabulary_.id_of(word)) {
        tokens.push_back({*id, 0, static_cast<std::uint32_t>(word.size())});
        return;
      }
    }
    symbols_.clear();
    spell(word);
    merge();
    for (std::uint32_t i = symbols_.empty() ? kNone : 0; i != kNone; i = symbols_[i].next) {
      tokens.push_back(symbols_[i].token);
    }
  }

 private:
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;

  struct Symbol {
    WordToken token;
    std::uint32_t previous, next;  // index into symbols_, or kNone
    bool merged_away;
  };
  struct Candidate {
    std::uint32_t rank, left;
    std::int32_t id;
    /// For a heap whose top is the lowest rank, and of equal ones the leftmost.
    bool operator<(const Candidate& other) const {
      return rank != other.rank ? rank > other.rank : left > other.left;
    }
  };

  void add_symbol(std::int32_t id, std::size_t begin, std::size_t end) {
    const auto index = static_cast<std::uint32_t>(symbols_.size());
    symbols_.push_back({{id, static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end)},
                        index == 0 ? kNone : index - 1,
                        kNone,
                        false});
    if (index > 0) symbols_[index - 1].next = index;
  }

  /// The word's characters as symbols.
  void spell(std::string_view word) {
    for (std::size_t begin = 0; begin < word.size();) {
      const std::size_t end = begin + utf8::length(word[begin]);
      const std::int32_t id = symbol_id(word, {begin, end});
      if (id >= 0) {
        flush_unknown();
        add_symbol(id, begin, end);
      } else if (!spell_bytes(word.substr(begin, end - begin), begin)) {
        add_unknown({begin, end});
      }
      begin = end;
    }
    flush_unknown();
  }

  std::int32_t symbol_id(std::string_view word, Range character) {
    const BpeSettings& settings = model_.settings_;
    const std::string_view text = word.substr(character.begin, character.size());
    const bool prefixed = character.begin > 0 && !settings.continuing_subword_prefix.empty();
    const bool suffixed = character.end == word.size() && !settings.end_of_word_suffix.empty();
    if (!prefixed && !suffixed) return model_.character_id(text);
    std::string spelling = prefixed ? settings.continuing_subword_prefix : "";
    spelling += text;
    if (suffixed) spelling += settings.end_of_word_suffix;
    return model_.vocabulary_.id_of(spelling).value_or(-1);
  }

  /// False when the vocabulary lacks one of the bytes.
  bool spell_bytes(std::string_view character, std::size_t begin) {
    if (!model_.settings_.byte_fallback) return false;
    const auto id_of = [&](char c) { return model_.byte_ids_[static_cast<unsigned char>(c)]; };
    if (std::any_of(character.begin(), character.end(), [&](char c) { return id_of(c) < 0; })) {
      return false;
    }
    for (const char c : character) {
      add_symbol(id_of(c), begin, begin + 1);
      ++begin;
    }
    return true;
  }

  void add_unknown(Range character) {
    const BpeSettings& settings = model_.settings_;
    if (!settings.unk_token) return;  // the reference drops what it cannot spell
    if (!model_.unk_id_) {
      throw InputError("tokenizer", "unk_token", quote(*settings.unk_token),
                       "a piece of the vocabulary, as the text has an unknown character");
    }
    if (unknown_.size() > 0 && settings.fuse_unk) {
      unknown_.end = character.end;
    } else {
      flush_unknown();
      unknown_ = character;
    }
  }
  void flush_unknown() {
    if (unknown_.size() > 0) add_symbol(*model_.unk_id_, unknown_.begin, unknown_.end);
    unknown_ = {};
  }

  void push_candidate(std::uint32_t left) {
    const std::uint32_t right = symbols_[left].next;
    if (right == kNone) return;
    const Merge* merge = model_.find_merge(symbols_[left].token.id, symbols_[right].token.id);
    if (merge == nullptr) return;
    heap_.push_back({merge->rank, left, merge->id});
    std::push_heap(heap_.begin(), heap_.end());
  }

  void merge() {
    heap_.clear();
    for (std::uint32_t left = 0; left + 1 < symbols_.size(); ++left) push_candidate(left);
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end());
      const Candidate top = heap_.back();
      heap_.pop_back();
      Symbol& left = symbols_[top.left];
      if (left.merged_away || left.next == kNone) continue;
      Symbol& right = symbols_[left.next];
      const Merge* now = model_.find_merge(left.token.id, right.token.id);
      if (now == nullptr || now->id != top.id) continue;
      left.token.id = top.id;
      left.token.end = right.token.end;
      left.next = right.next;
      right.merged_away = true;
      if (left.next != kNone) symbols_[left.next].previous = top.left;
      if (left.previous != kNone) push_candidate(left.previous);
      push_candidate(top.left);
    }
  }

  const BpeModel& model_;
  std::vector<Symbol> symbols_;
  std::vector<Candidate> heap_;
  Range unknown_;  // not yet a symbol, as more may fuse with it; empty when there is none
};

std::unique_ptr<WordModel::Worker> BpeModel::worker() const {
  return std::make_unique<MergingWorker>(*this);
}

}  // namespace plimsoll
