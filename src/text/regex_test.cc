#include "text/regex.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/support.h"

namespace plimsoll {
namespace {

std::vector<std::string> matches(std::string_view oniguruma, std::string_view text) {
  const Pattern pattern = Pattern::regex(Regex(oniguruma_to_pcre(oniguruma, "test"), "test"));
  std::vector<std::string> found;
  pattern.for_each_match(
      text, [&](Range match) { found.emplace_back(text.substr(match.begin, match.size())); });
  return found;
}
using Strings = std::vector<std::string>;

TEST(RegexTest, SpacesAreThoseOfUnicode) {
  EXPECT_EQ(matches(R"(\s+)", "a\u00A0\u2003b\u0085c"), (Strings{"\u00A0\u2003", "\u0085"}));
  // U+180E was a space long ago, and PCRE2's own \s still has it; U+001C never was one.
  EXPECT_EQ(matches(R"(\s)", "\u180E\x1C"), Strings{});
  EXPECT_EQ(matches(R"([^\S\n])", " \n\t"), (Strings{" ", "\t"}));
}

TEST(RegexTest, WordsHaveMarksAndDigitsButNoSuperscripts) {
  EXPECT_EQ(matches(R"(\w+)", "e\u0301_9\u0664 \u00B2"), (Strings{"e\u0301_9\u0664"}));
  EXPECT_EQ(matches(R"(\d+)", "1\u0664\u00BD"), (Strings{"1\u0664"}));
}

TEST(RegexTest, RepeatedRepeatsAreNotPossessive) {
  EXPECT_EQ(matches(R"(\d{1,3}+)", "1234567"), (Strings{"1234567"}));
  EXPECT_EQ(matches(R"(a{2}?b)", "aab b"), (Strings{"aab", "b"}));
  EXPECT_EQ(matches(R"((?:ab){2}+)", "ababab abababab"), (Strings{"abab", "abababab"}));
  EXPECT_EQ(matches(R"(a{,2})", "aaa"), (Strings{"aa", "a"}));
  EXPECT_EQ(matches(R"(a{x}|{)", "a{x}{"), (Strings{"a{x}", "{"}));
  EXPECT_EQ(matches(R"(a++a|b?+b)", "aaab"), Strings{});
}

TEST(RegexTest, ScriptsAreNotScriptExtensions) {
  // U+30FC is used with Hiragana and Katakana; its own script is Common.
  EXPECT_EQ(matches(R"(\p{Katakana}+)", "\u30AB\u30FC"), (Strings{"\u30AB"}));
  EXPECT_EQ(matches(R"(\p{^Han}+)", "ab\u4E2D"), (Strings{"ab"}));
  EXPECT_EQ(matches(R"([\p{Lu}\p{Alpha}]+)", "Ab1"), (Strings{"Ab"}));
}

TEST(RegexTest, HexadecimalDigitsAndCodePoints) {
  EXPECT_EQ(matches(R"(\h+)", "xFFg \t"), (Strings{"FF"}));
  EXPECT_EQ(matches(R"([\x{4E00}-\x{9FA5}\u3041-\u3043]+)", "a\u4E2D\u3042"),
            (Strings{"\u4E2D\u3042"}));
  EXPECT_EQ(matches("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~]", "a]-\\^"),
            (Strings{"]", "-", "\\", "^"}));
}

TEST(RegexTest, EmptyMatchesMoveOn) {
  EXPECT_EQ(matches("x*", "axxb"), (Strings{"", "xx", ""}));
  EXPECT_EQ(matches("(?=\u00E9)", "\u00E9\u00E9").size(), 2u);
}

TEST(RegexTest, RefusesWhatPcreWouldTakeOtherwise) {
  for (const char* pattern :
       {"[a[bc]]", "[a-z&&[^b]]", "(?m:a)", "(a)\\1", "(*FAIL)", "\\xE9", "a(?i)b", "[", "(", ")",
        "\\", "\\p{NoSuch}", "\\pL", "\\R", "[\\W]"}) {
    EXPECT_THROW(matches(pattern, "a"), InputError) << pattern;
  }
  EXPECT_EQ(test::message_of<InputError>([] { matches("[a[b]]", ""); }),
            "test: pattern \"[a[b]]\": found a class in a class at byte 2, expected a regular "
            "expression that means the same to PCRE2");
}

TEST(RegexTest, RunsOfMegabytesAreOneMatch) {
  const std::string spaces(2'000'000, ' ');
  const auto found = matches(R"((?:\s)+(?!\S)|\s+)", spaces + "x");
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].size(), spaces.size() - 1);
}

TEST(RegexTest, SaysWhenPcreGivesUp) {
  const Regex regex("(?:(?:a|b)|(?:a|c))*d", "test");
  const std::string text(8'000'000, 'a');
  const std::string message = test::message_of<InputError>([&] { regex.find(text); });
  EXPECT_TRUE(message.starts_with("test: PCRE2 gave up at byte 0 of 8000000: ")) << message;
}

}  // namespace
}  // namespace plimsoll
