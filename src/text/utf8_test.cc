#include "text/utf8.h"

#include <gtest/gtest.h>

namespace plimsoll::utf8 {
namespace {

TEST(Utf8Test, EveryCodePointSurvives) {
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    std::string text;
    if (c == 0xD800) c = 0xE000;
    append(text, c);
    const Step step = next(text + "x");
    ASSERT_EQ(step.kind, Step::Kind::character);
    ASSERT_EQ(step.code_point, c);
    ASSERT_EQ(step.length, text.size());
    ASSERT_EQ(length(text.front()), text.size());
  }
}

TEST(Utf8Test, FindsTheFirstBadByte) {
  EXPECT_EQ(find_invalid("plain \xC3\xA9 \xF0\x9F\x98\x80"), std::nullopt);
  EXPECT_EQ(find_invalid(std::string_view("\0ok", 3)), std::nullopt);
  EXPECT_EQ(find_invalid("ab\x80"), 2u);               // a continuation without a beginning
  EXPECT_EQ(find_invalid("a\xC0\xAF"), 1u);            // overlong
  EXPECT_EQ(find_invalid("\xE0\x9F\xBF"), 0u);         // overlong
  EXPECT_EQ(find_invalid("\xED\xA0\x80"), 0u);         // a surrogate
  EXPECT_EQ(find_invalid("abc\xF4\x90\x80\x80"), 3u);  // above U+10FFFF
  EXPECT_EQ(find_invalid("abc\xE2\x82"), 3u);          // cut off
  EXPECT_EQ(find_invalid("\xFF"), 0u);
}

TEST(Utf8Test, ReplacesMaximalSubparts) {
  // The example of Unicode 15, table 3-8.
  std::string text;
  append_lossy(text, "\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64");
  EXPECT_EQ(text, "a\uFFFD\uFFFD\uFFFDb\uFFFDc\uFFFD\uFFFDd");
}

}  // namespace
}  // namespace plimsoll::utf8
