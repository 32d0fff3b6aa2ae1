// Expectations marked "library" are examples of Hugging Face's documentation and tests.
#include "text/huggingface/pre_tokenizer.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/support.h"

namespace plimsoll {
namespace {

using Strings = std::vector<std::string>;

Strings words(const char* json, std::string_view text) {
  const PreTokenizer pre_tokenizer(Json::parse(json), "test");
  const WordList list = pre_tokenizer.apply(AlignedText(text, 0, /*tracked=*/true));
  Strings strings;
  for (const Range& word : list.words) strings.emplace_back(list.text.view(word));
  return strings;
}

TEST(PreTokenizerTest, SplitBehaviours) {  // library
  const auto split = [](const std::string& behaviour, bool invert = false) {
    const Json json = {{"type", "Split"},
                       {"pattern", {{"String", "-"}}},
                       {"behavior", behaviour},
                       {"invert", invert}};
    return words(json.dump().c_str(), "the-final--countdown");
  };
  EXPECT_EQ(split("Removed"), (Strings{"the", "final", "countdown"}));
  EXPECT_EQ(split("Isolated"), (Strings{"the", "-", "final", "-", "-", "countdown"}));
  EXPECT_EQ(split("MergedWithPrevious"), (Strings{"the-", "final-", "-", "countdown"}));
  EXPECT_EQ(split("MergedWithNext"), (Strings{"the", "-final", "-", "-countdown"}));
  EXPECT_EQ(split("Contiguous"), (Strings{"the", "-", "final", "--", "countdown"}));
  EXPECT_EQ(split("Removed", /*invert=*/true), (Strings{"-", "-", "-"}));
}

TEST(PreTokenizerTest, Characters) {  // library
  EXPECT_EQ(words(R"({"type": "Whitespace"})", "Hey friend!     How are you?!?"),
            (Strings{"Hey", "friend", "!", "How", "are", "you", "?!?"}));
  EXPECT_EQ(words(R"({"type": "WhitespaceSplit"})", "Hey friend!     How"),
            (Strings{"Hey", "friend!", "How"}));
  EXPECT_EQ(words(R"({"type": "Punctuation", "behavior": "Isolated"})", "Hey friend!  you?!?"),
            (Strings{"Hey friend", "!", "  you", "?", "!", "?"}));
  EXPECT_EQ(words(R"({"type": "Digits", "individual_digits": true})", "Hey 123 friend!"),
            (Strings{"Hey ", "1", "2", "3", " friend!"}));
  EXPECT_EQ(words(R"({"type": "Digits", "individual_digits": false})", "Hey 123 friend!"),
            (Strings{"Hey ", "123", " friend!"}));
}

TEST(PreTokenizerTest, Metaspace) {
  const char* first = R"({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first"})";
  EXPECT_EQ(words(R"({"type": "Metaspace", "replacement": "▁", "add_prefix_space": true})",
                  "Hey   friend!"),  // library
            (Strings{"▁Hey", "▁", "▁", "▁friend!"}));
  EXPECT_EQ(words(first, "a b"), (Strings{"▁a", "▁b"}));
  EXPECT_EQ(words(first, " a b"), (Strings{"▁a", "▁b"}));
  EXPECT_EQ(words(R"({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never",
                      "split": false})",
                  "a b"),
            (Strings{"a▁b"}));
  // What follows an added token is not the first.
  const PreTokenizer pre_tokenizer(Json::parse(first), "test");
  EXPECT_EQ(pre_tokenizer.apply(AlignedText("a b", 3, false)).text.text(), "a▁b");
}

TEST(PreTokenizerTest, ByteLevel) {
  EXPECT_EQ(words(R"({"type": "ByteLevel", "add_prefix_space": true})",
                  "Hello my friend, it's 100 \xC3\xA9  \n"),
            (Strings{"ĠHello", "Ġmy", "Ġfriend", ",", "Ġit", "'s", "Ġ100", "ĠÃ©", "ĠĠĊ"}));
  EXPECT_EQ(
      words(R"({"type": "ByteLevel", "add_prefix_space": false, "use_regex": false})", "a b\x01"),
      (Strings{"aĠbā"}));
}

TEST(PreTokenizerTest, WordsKnowWhereTheyComeFrom) {
  const PreTokenizer pre_tokenizer(
      Json::parse(R"({"type": "ByteLevel", "add_prefix_space": true})"), "test");
  const WordList list = pre_tokenizer.apply(AlignedText("\xC3\xA9 b", 100, /*tracked=*/true));
  ASSERT_EQ(list.words.size(), 2u);
  EXPECT_EQ(list.text.origin(list.words[0]), (TokenSpan{100, 102}));
  EXPECT_EQ(list.text.origin(list.words[1]), (TokenSpan{102, 104}));
}

TEST(PreTokenizerTest, SequencesSeeWhatEarlierStepsLeft) {
  // The pre-tokeniser of Llama 3.
  const char* json = R"json({"type": "Sequence", "pretokenizers": [
      {"type": "Split", "pattern": {"Regex": "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},
       "behavior": "Isolated", "invert": false},
      {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]})json";
  EXPECT_EQ(words(json, "IT'S 12345 x=y;\n\n  end "),
            (Strings{"IT", "'S", "Ġ", "123", "45", "Ġx", "=y", ";ĊĊ", "Ġ", "Ġend", "Ġ"}));
}

TEST(PreTokenizerTest, NamesWhatItDoesNotKnow) {
  EXPECT_EQ(test::message_of<InputError>([] {
              words(R"({"type": "Sequence", "pretokenizers": [{"type": "UnicodeScripts"}]})", "");
            }),
            "test: pretokenizers[0]: type: found \"UnicodeScripts\", expected a type that this "
            "program knows");
  EXPECT_THROW(words(R"({"type": "Metaspace", "replacement": "ab"})", ""), InputError);
  EXPECT_THROW(words(R"({"type": "Split", "pattern": {"String": ""}, "behavior": "Removed"})", ""),
               InputError);
  EXPECT_THROW(words(R"({"type": "Split", "pattern": {"String": "a"}, "behavior": "x"})", ""),
               InputError);
  EXPECT_THROW(words(R"([])", ""), InputError);
}

}  // namespace
}  // namespace plimsoll
