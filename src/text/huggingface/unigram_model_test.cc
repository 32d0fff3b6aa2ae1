// Expectations marked "library" are tests of Hugging Face's tokenizers.
#include "text/huggingface/unigram_model.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/support.h"

namespace plimsoll {
namespace {

std::string pieces_of(const char* json, std::string_view word) {
  const UnigramModel model(Json::parse(json), "test");
  std::vector<WordToken> tokens;
  model.worker()->tokenize(word, tokens);
  std::string pieces;
  for (const WordToken& token : tokens) {
    if (!pieces.empty()) pieces += '|';
    pieces += std::to_string(token.id) + "=";
    pieces += word.substr(token.begin, token.end - token.begin);
  }
  return pieces;
}

constexpr const char* kScored = R"({"unk_id": 0, "vocab": [["<unk>", 0], ["a", 0], ["b", 0],
    ["c", 0], ["d", 0], ["cd", 1], ["ab", 2], ["abc", 5], ["abcd", 10]]})";

TEST(UnigramModelTest, TheBestPath) {  // library
  EXPECT_EQ(pieces_of(kScored, "abcd"), "8=abcd");
  EXPECT_EQ(pieces_of(kScored, "abcdacdxx"), "8=abcd|1=a|5=cd|0=xx");
  EXPECT_EQ(pieces_of(kScored, ""), "");
}

TEST(UnigramModelTest, ByteFallback) {  // library
  constexpr const char* kBytes =
      R"({"unk_id": 0, "byte_fallback": true, "vocab": [["<unk>", 0], ["<0xC3>", -0.01],
          ["<0xA9>", -0.03]]})";
  EXPECT_EQ(pieces_of(kBytes, "\u00E9"), "1=\xC3|2=\xA9");
  EXPECT_EQ(pieces_of(kBytes, "?\u00E9"), "0=?\u00E9");  // one run, not all of it bytes
}

TEST(UnigramModelTest, RefusesBrokenVocabularies) {
  EXPECT_THROW(pieces_of(R"({"vocab": [["a"]]})", "a"), InputError);
  EXPECT_THROW(pieces_of(R"({"vocab": [["a", "b"]]})", "a"), InputError);
  EXPECT_THROW(pieces_of(R"({"vocab": [["a", 0], ["a", 1]]})", "a"), InputError);
  EXPECT_THROW(pieces_of(R"({"unk_id": 1, "vocab": [["a", 0]]})", "a"), InputError);
  EXPECT_EQ(test::message_of<InputError>([] { pieces_of(R"({"vocab": [["a", 0]]})", "ab"); }),
            "tokenizer: unk_id: found none, for the unknown \"b\", expected the id of the unknown "
            "piece");
}

}  // namespace
}  // namespace plimsoll
