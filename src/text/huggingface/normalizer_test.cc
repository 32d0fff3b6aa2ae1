#include "text/huggingface/normalizer.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "support/support.h"

namespace plimsoll {
namespace {

std::string normalized(const char* json, std::string_view text) {
  return Normalizer(Json::parse(json), "test").apply(AlignedText(text, 0, true)).text();
}

TEST(NormalizerTest, Forms) {
  const char* text = "e\u0301\uFB01\u00C5x\u0323\u0307";
  EXPECT_EQ(normalized(R"({"type": "NFC"})", text), "\u00E9\uFB01\u00C5\u1E8B\u0323");
  EXPECT_EQ(normalized(R"({"type": "NFD"})", text), "e\u0301\uFB01A\u030Ax\u0323\u0307");
  EXPECT_EQ(normalized(R"({"type": "NFKC"})", text), "\u00E9fi\u00C5\u1E8B\u0323");
  EXPECT_EQ(normalized(R"({"type": "NFKD"})", text), "e\u0301fiA\u030Ax\u0323\u0307");
}

TEST(NormalizerTest, TextSteps) {
  EXPECT_EQ(normalized(R"({"type": "Prepend", "prepend": "▁"})", "a"), "▁a");
  EXPECT_EQ(normalized(R"({"type": "Prepend", "prepend": "▁"})", ""), "");
  EXPECT_EQ(normalized(R"({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "_"})",
                       "a  b c   "),
            "a_b c_");
  EXPECT_EQ(normalized(R"({"type": "Lowercase"})", "\u00C9A\u0130\u03A3"), "\u00E9ai\u0307\u03C3");
  EXPECT_EQ(normalized(R"({"type": "StripAccents"})", "e\u0301\u0903x"), "ex");
  EXPECT_EQ(
      normalized(R"({"type": "Strip", "strip_left": true, "strip_right": false})", "\u3000 a b "),
      "a b ");
  EXPECT_EQ(normalized(R"({"type": "Strip", "strip_left": false, "strip_right": true})", " a \n"),
            " a");
  EXPECT_EQ(normalized(R"({"type": "Strip", "strip_left": true, "strip_right": true})", " \n"), "");
}

TEST(NormalizerTest, OriginsFollowTheText) {
  const Normalizer normalizer(Json::parse(R"({"type": "Sequence", "normalizers": [
      {"type": "Strip", "strip_left": true, "strip_right": false}, {"type": "NFC"},
      {"type": "Prepend", "prepend": "▁"},
      {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]})"),
                              "test");
  const AlignedText text = normalizer.apply(AlignedText("  a e\u0301x", 0, true));
  ASSERT_EQ(text.text(), "▁a▁\u00E9x");
  EXPECT_EQ(text.origin({0, 3}), (TokenSpan{2, 2}));
  EXPECT_EQ(text.origin({0, 4}), (TokenSpan{2, 3}));
  EXPECT_EQ(text.origin({4, 7}), (TokenSpan{3, 4}));
  EXPECT_EQ(text.origin({7, 9}), (TokenSpan{4, 7}));
  EXPECT_EQ(text.origin({9, 10}), (TokenSpan{7, 8}));
}

TEST(NormalizerTest, NamesWhatItDoesNotKnow) {
  EXPECT_EQ(test::message_of<InputError>([] { normalized(R"({"type": "Precompiled"})", ""); }),
            "test: type: found \"Precompiled\", expected a type that this program knows");
  EXPECT_THROW(normalized(R"({"type": "Strip"})", ""), InputError);
}

}  // namespace
}  // namespace plimsoll
