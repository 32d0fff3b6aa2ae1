#include "core/quote.h"

#include <gtest/gtest.h>

namespace plimsoll {
namespace {

TEST(Quote, ShowsPlainTextAndUtf8AsItIs) {
  EXPECT_EQ(quote(""), "\"\"");
  EXPECT_EQ(quote("model.layers.0"), "\"model.layers.0\"");
  EXPECT_EQ(quote("Größe 数 🙂"), "\"Größe 数 🙂\"");
}

TEST(Quote, EscapesWhatATerminalWouldObey) {
  EXPECT_EQ(quote("a\nb\tc\x1b[31m\"\\"), R"("a\nb\tc\u001b[31m\"\\")");
  EXPECT_EQ(quote(std::string_view("\0", 1)), R"("\u0000")");
  EXPECT_EQ(quote("\x7f\xc2\x9b\xe2\x80\xae\xe2\x80\xa8"), R"("\u007f\u009b\u202e\u2028")");
}

TEST(Quote, EscapesBytesThatAreNotUtf8) {
  EXPECT_EQ(quote("\xff"), R"("\xff")");
  EXPECT_EQ(quote("\xc3"), R"("\xc3")");                  // cut off
  EXPECT_EQ(quote("\xc0\x80"), R"("\xc0\x80")");          // overlong NUL
  EXPECT_EQ(quote("\xe0\x80\xaf"), R"("\xe0\x80\xaf")");  // overlong slash
  EXPECT_EQ(quote("\xed\xa0\x80"), R"("\xed\xa0\x80")");  // a surrogate
  EXPECT_EQ(quote("\xf4\x90\x80\x80"), R"("\xf4\x90\x80\x80")");
}

TEST(Quote, CapsLongTextWithoutCuttingACharacter) {
  EXPECT_EQ(quote(std::string(1000, 'x'), 4), "\"xxxx...\" (1000 bytes)");
  EXPECT_EQ(quote("aaaé", 4), "\"aaa...\" (5 bytes)");
  EXPECT_EQ(quote("aaaé", 5), "\"aaaé\"");
}

}  // namespace
}  // namespace plimsoll
