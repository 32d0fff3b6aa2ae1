// Expectations marked "library" are tests of Hugging Face's tokenizers.
#include "text/huggingface/bpe_model.h"

#include <gtest/gtest.h>

#include <set>

#include "core/error.h"
#include "core/rng.h"
#include "support/support.h"
#include "text/utf8.h"

namespace plimsoll {
namespace {

using Ids = std::vector<std::int32_t>;

Vocabulary vocabulary_of(std::initializer_list<std::string_view> pieces) {
  Vocabulary vocabulary;
  for (const std::string_view piece : pieces) vocabulary.add(piece, vocabulary.size(), "test");
  return vocabulary;
}

Ids ids_of(const WordModel& model, std::string_view word) {
  std::vector<WordToken> tokens;
  model.worker()->tokenize(word, tokens);
  Ids ids;
  for (const WordToken& token : tokens) ids.push_back(token.id);
  return ids;
}

TEST(BpeModelTest, UnknownCharacters) {  // library
  BpeSettings settings;
  settings.unk_token = "<unk>";
  const BpeModel apart(vocabulary_of({"<unk>", "a", "b"}), {}, settings, "test");
  EXPECT_EQ(ids_of(apart, "c"), (Ids{0}));
  EXPECT_EQ(ids_of(apart, "accb"), (Ids{1, 0, 0, 2}));
  settings.fuse_unk = true;
  const BpeModel fused(vocabulary_of({"<unk>", "a", "b"}), {}, settings, "test");
  EXPECT_EQ(ids_of(fused, "cc"), (Ids{0}));
  EXPECT_EQ(ids_of(fused, "accb"), (Ids{1, 0, 2}));
  const BpeModel silent(vocabulary_of({"a", "b"}), {}, {}, "test");
  EXPECT_EQ(ids_of(silent, "acb"), (Ids{0, 1}));
}

TEST(BpeModelTest, ByteFallback) {  // library
  BpeSettings settings;
  settings.unk_token = "<unk>";
  settings.byte_fallback = true;
  const BpeModel model(vocabulary_of({"<unk>", "<0x61>", "<0xC3>", "<0xA9>"}), {}, settings,
                       "test");
  EXPECT_EQ(ids_of(model, "c"), (Ids{0}));
  EXPECT_EQ(ids_of(model, "a"), (Ids{1}));
  EXPECT_EQ(ids_of(model, "\u00E9\u00E8"), (Ids{2, 3, 0}));  // all bytes or none
}

TEST(BpeModelTest, PrefixAndSuffix) {  // library
  BpeSettings settings;
  settings.continuing_subword_prefix = "##";
  const BpeModel prefixed(vocabulary_of({"a", "##b", "##c", "ab", "abc"}),
                          {{"a", "##b"}, {"ab", "##c"}}, settings, "test");
  EXPECT_EQ(ids_of(prefixed, "ab"), (Ids{3}));
  EXPECT_EQ(ids_of(prefixed, "abc"), (Ids{4}));
  settings = {};
  settings.end_of_word_suffix = "</w>";
  const BpeModel suffixed(vocabulary_of({"a", "b", "b</w>", "ab</w>"}), {{"a", "b</w>"}}, settings,
                          "test");
  EXPECT_EQ(ids_of(suffixed, "ab"), (Ids{3}));
  EXPECT_EQ(ids_of(suffixed, "bab"), (Ids{1, 3}));
}

TEST(BpeModelTest, IgnoringMergesTakesWholeWords) {
  BpeSettings settings;
  const auto pieces = {"a", "b", "c", "bc", "abc"};
  const Merges merges = {{"b", "c"}};
  Vocabulary vocabulary, copy;
  for (const char* piece : pieces) {
    vocabulary.add(piece, vocabulary.size(), "test");
    copy.add(piece, copy.size(), "test");
  }
  EXPECT_EQ(ids_of(BpeModel(std::move(vocabulary), merges, settings, "test"), "abc"), (Ids{0, 3}));
  settings.ignore_merges = true;
  EXPECT_EQ(ids_of(BpeModel(std::move(copy), merges, settings, "test"), "abc"), (Ids{4}));
}

/// A random model over a few characters, in which every piece is made by one merge.
struct RandomModel {
  Merges merges;
  std::vector<std::string> pieces;

  explicit RandomModel(Rng& rng) {
    pieces = {"a", "b", "c", "▁", "é"};
    std::set<std::string> known(pieces.begin(), pieces.end());
    for (int i = 0; i < 30; ++i) {
      const std::string left = pieces[rng.below(pieces.size())];
      const std::string right = pieces[rng.below(pieces.size())];
      if (left.size() + right.size() > 12 || !known.insert(left + right).second) continue;
      merges.emplace_back(left, right);
      pieces.push_back(left + right);
    }
  }
  BpeModel build(const BpeSettings& settings) const {
    Vocabulary vocabulary;
    for (const std::string& piece : pieces) vocabulary.add(piece, vocabulary.size(), "test");
    vocabulary.add("<unk>", vocabulary.size(), "test");
    return {std::move(vocabulary), merges, settings, "test"};
  }
  std::string text(Rng& rng, std::size_t length) const {
    std::string text;
    const std::vector<std::string> characters = {"a", "b", "c", "▁", "é", "x", "日"};
    for (std::size_t i = 0; i < length; ++i) text += characters[rng.below(characters.size())];
    return text;
  }
};

/// Byte-pair encoding as the paper states it: over and over, the best merge, leftmost first.
std::vector<std::string> merged_slowly(const RandomModel& model, std::string_view word) {
  std::vector<std::string> symbols;
  while (!word.empty()) {
    symbols.emplace_back(word.substr(0, utf8::length(word.front())));
    word.remove_prefix(symbols.back().size());
  }
  for (;;) {
    std::size_t best_rank = model.merges.size(), best_at = 0;
    for (std::size_t rank = 0; rank < best_rank; ++rank) {
      for (std::size_t at = 0; at + 1 < symbols.size(); ++at) {
        if (symbols[at] == model.merges[rank].first &&
            symbols[at + 1] == model.merges[rank].second) {
          best_rank = rank;
          best_at = at;
          break;
        }
      }
    }
    if (best_rank == model.merges.size()) return symbols;
    symbols[best_at] += symbols[best_at + 1];
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best_at) + 1);
  }
}

TEST(BpeModelTest, TheHeapMergesAsTheDefinitionDoes) {
  Rng rng(2);
  for (int round = 0; round < 300; ++round) {
    const RandomModel random(rng);
    BpeSettings settings;
    settings.unk_token = "<unk>";
    const BpeModel model = random.build(settings);
    const std::string text = random.text(rng, 1 + rng.below(40));
    Ids expected;
    std::size_t at = 0;
    std::vector<WordToken> tokens;
    model.worker()->tokenize(text, tokens);
    const auto slow = merged_slowly(random, text);
    ASSERT_EQ(tokens.size(), slow.size());
    for (std::size_t i = 0; i < slow.size(); ++i) {
      ASSERT_EQ(tokens[i].id,
                model.vocabulary().id_of(slow[i]).value_or(*model.vocabulary().id_of("<unk>")));
      ASSERT_EQ(tokens[i].begin, at);
      at += slow[i].size();
      ASSERT_EQ(tokens[i].end, at);
    }
  }
}

TEST(BpeModelTest, PartsHaveTheTokensOfTheWhole) {
  Rng rng(3);
  std::size_t cuts = 0;
  for (int round = 0; round < 300; ++round) {
    const RandomModel random(rng);
    BpeSettings settings;
    settings.unk_token = "<unk>";
    settings.fuse_unk = round % 2 == 0;
    const BpeModel model = random.build(settings);
    const std::string text = random.text(rng, 100);
    Ids in_parts;
    model.cut(text, [&](Range part) {
      const Ids ids = ids_of(model, std::string_view(text).substr(part.begin, part.size()));
      in_parts.insert(in_parts.end(), ids.begin(), ids.end());
      ++cuts;
    });
    ASSERT_EQ(in_parts, ids_of(model, text)) << text;
  }
  EXPECT_GT(cuts, 1000u);
}

TEST(BpeModelTest, NowhereToCutWhereBytesMerge) {
  BpeSettings settings;
  settings.byte_fallback = true;
  const BpeModel model(vocabulary_of({"<0xC3>", "<0xA9>", "<0xC3><0xA9>", "a"}),
                       {{"<0xC3>", "<0xA9>"}}, settings, "test");
  std::size_t parts = 0;
  model.cut(std::string(200, 'a'), [&](Range) { ++parts; });
  EXPECT_EQ(parts, 1u);
  EXPECT_EQ(ids_of(model, "\u00E9a"), (Ids{2, 3}));
}

TEST(BpeModelTest, AMegabyteIsOneWord) {
  Vocabulary vocabulary = vocabulary_of({"a", "aa", "aaaa"});
  const BpeModel model(std::move(vocabulary), {{"a", "a"}, {"aa", "aa"}}, {}, "test");
  EXPECT_EQ(ids_of(model, std::string(1 << 20, 'a')), Ids((1 << 20) / 4, 2));
}

TEST(BpeModelTest, RefusesMergesOfMissingPieces) {
  EXPECT_EQ(test::message_of<InputError>([] {
              BpeModel(vocabulary_of({"a", "b"}), {{"a", "b"}}, {}, "test");
            }),
            "test: merge 0 of \"a\" and \"b\": found no \"ab\" in the vocabulary, expected both "
            "pieces and their union");
  EXPECT_THROW(BpeModel(vocabulary_of({"a", "ab"}), {{"a", "b"}}, {}, "test"), InputError);
}

TEST(BpeModelTest, ReadsMergesOfBothKinds) {
  const Merges expected = {{"a", "b"}, {"ab", "c"}};
  EXPECT_EQ(read_merges(Json::parse(R"(["#version: 0.2", "a b", "ab c"])"), "test"), expected);
  EXPECT_EQ(read_merges(Json::parse(R"([["a", "b"], ["ab", "c"]])"), "test"), expected);
  EXPECT_EQ(parse_merges("#version: 0.2\na b\r\nab c\n", "test"), expected);
  EXPECT_EQ(test::message_of<InputError>([] { parse_merges("a b\nabc\n", "merges.txt"); }),
            "merges.txt: line 2: merge: found \"abc\", expected two pieces with a space between");
  EXPECT_THROW(read_merges(Json::parse(R"([["a", "b", "c"]])"), "test"), InputError);
  EXPECT_THROW(read_merges(Json::parse(R"([1])"), "test"), InputError);
}

TEST(BpeModelTest, RefusesDropout) {
  EXPECT_THROW(BpeSettings::read(Json::parse(R"({"dropout": 0.1})"), "test"), InputError);
}

}  // namespace
}  // namespace plimsoll
