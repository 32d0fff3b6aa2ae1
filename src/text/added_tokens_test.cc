#include "text/added_tokens.h"

#include <gtest/gtest.h>

#include "core/rng.h"

namespace plimsoll {
namespace {

std::string split(const std::vector<AddedToken>& tokens, std::string_view text,
                  bool parse_special = true) {
  std::vector<std::string> spellings;
  for (const AddedToken& token : tokens) spellings.push_back(token.content);
  std::string result;
  for (const auto& part : AddedTokenMatcher(tokens, spellings).split(text, parse_special)) {
    result += part.id ? "{" : "[";
    result += text.substr(part.range.begin, part.range.size());
    result += part.id ? "}" : "]";
  }
  return result;
}

TEST(AddedTokensTest, TheLongestOfTheLeftmost) {
  const std::vector<AddedToken> tokens = {{1, "ab"}, {2, "abcd"}, {3, "bcdef"}};
  EXPECT_EQ(split(tokens, "xabcdef"), "[x]{abcd}[ef]");
  EXPECT_EQ(split(tokens, "abcbcdefab"), "{ab}[c]{bcdef}{ab}");
  EXPECT_EQ(split(tokens, ""), "");
}

TEST(AddedTokensTest, SpecialTokensAreTextUnlessAskedFor) {
  const std::vector<AddedToken> tokens = {{1, "<s>", /*special=*/true}, {2, "<t>"}, {3, "s>"}};
  EXPECT_EQ(split(tokens, "<s>a<t>", true), "{<s>}[a]{<t>}");
  EXPECT_EQ(split(tokens, "<s>a<t>", false), "[<s>a]{<t>}");  // not even "s>" inside it
}

TEST(AddedTokensTest, StrippingTakesWhiteSpace) {
  EXPECT_EQ(split({{1, "<m>", false, false, false, /*lstrip=*/true}}, "a \u3000<m> b <m>"),
            "[a]{ \u3000<m>}[ b]{ <m>}");
  EXPECT_EQ(split({{1, "<m>", false, false, false, false, /*rstrip=*/true}}, "a <m> \n<m>b"),
            "[a ]{<m> \n}{<m>}[b]");
}

TEST(AddedTokensTest, SingleWordsTouchNoWord) {
  const std::vector<AddedToken> tokens = {{1, "cat", false, false, /*single_word=*/true}};
  EXPECT_EQ(split(tokens, "cat concat cat\u0301 (cat)\u00E9cat"),
            "{cat}[ concat cat\u0301 (]{cat}[)\u00E9cat]");
}

TEST(AddedTokensTest, PartsWithoutStrippingAreTheText) {
  Rng rng(4);
  const std::vector<AddedToken> tokens = {{1, "a"}, {2, "ab"}, {3, "bab"}, {4, "cab", true}};
  for (int round = 0; round < 1000; ++round) {
    std::string text;
    for (std::uint64_t n = rng.below(20); n > 0; --n) text += static_cast<char>('a' + rng.below(4));
    std::string joined = split(tokens, text, rng.below(2) == 0);
    std::erase_if(joined, [](char c) { return c == '[' || c == ']' || c == '{' || c == '}'; });
    ASSERT_EQ(joined, text);
  }
}

}  // namespace
}  // namespace plimsoll
