// Expectations marked "library" are tests of Hugging Face's tokenizers.
#include "text/huggingface/decoder.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "core/rng.h"
#include "support/support.h"

namespace plimsoll {
namespace {

using Strings = std::vector<std::string>;

struct Sink final : DecodeStage {
  Strings parts;
  void push(std::string token) override { parts.push_back(std::move(token)); }
  void finish() override {}
};

Strings parts(const Decoder& decoder, const Strings& tokens) {
  Sink sink;
  const auto stages = decoder.stages();
  DecodeStage* first = &sink;
  for (auto stage = stages.rbegin(); stage != stages.rend(); ++stage) {
    (*stage)->set_next(first);
    first = stage->get();
  }
  for (const std::string& token : tokens) first->push(token);
  first->finish();
  return sink.parts;
}

std::string decoded(const char* json, const Strings& tokens) {
  std::string text;
  for (const std::string& part : parts(Decoder(Json::parse(json), "test"), tokens)) text += part;
  return text;
}

TEST(DecoderTest, ByteFallback) {  // library
  const char* json = R"({"type": "ByteFallback"})";
  EXPECT_EQ(decoded(json, {"Hey", "friend!"}), "Heyfriend!");
  EXPECT_EQ(decoded(json, {"<0x61>"}), "a");
  EXPECT_EQ(decoded(json, {"<0xE5>"}), "\uFFFD");
  EXPECT_EQ(decoded(json, {"<0xE5>", "<0x8f>"}), "\uFFFD\uFFFD");
  EXPECT_EQ(decoded(json, {"<0xE5>", "<0x8f>", "<0xab>"}), "\u53EB");
  EXPECT_EQ(decoded(json, {"<0xE5>", "<0x8f>", "<0xab>", "a"}), "\u53EBa");
  EXPECT_EQ(decoded(json, {"<0xE5>", "<0x8f>", "a", "<0x9>", "<0x4G>"}),
            "\uFFFD\uFFFDa<0x9><0x4G>");
  // One bad byte spoils its whole run.
  EXPECT_EQ(decoded(json, {"<0x61>", "<0xFF>"}), "\uFFFD\uFFFD");
}

TEST(DecoderTest, SingleSteps) {
  EXPECT_EQ(decoded(R"({"type": "Metaspace", "replacement": "▁"})", {"▁Hey", "▁friend!", "▁▁"}),
            "Hey friend!  ");
  EXPECT_EQ(decoded(R"({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never"})",
                    {"▁Hey", "▁friend!"}),
            " Hey friend!");
  EXPECT_EQ(decoded(R"({"type": "Strip", "content": "H", "start": 1, "stop": 0})",
                    {"Hey", " friend!", "HHH"}),  // library
            "ey friend!HH");
  EXPECT_EQ(decoded(R"({"type": "Strip", "content": "y", "start": 0, "stop": 1})",
                    {"Hey", " friend!"}),  // library
            "He friend!");
  EXPECT_EQ(decoded(R"({"type": "BPEDecoder", "suffix": "</w>"})", {"He", "y</w>", "you</w>"}),
            "Hey you");
  EXPECT_EQ(decoded(R"({"type": "Replace", "pattern": {"String": "_"}, "content": ""})",
                    {"_a_", "b", "_"}),
            "ab");
  Sink sink;
  std::string joined;
  for (const std::string& part : parts(Decoder(), {"a", "b", "c"})) joined += part;
  EXPECT_EQ(joined, "a b c");
}

TEST(DecoderTest, ByteLevel) {
  const char* json = R"({"type": "ByteLevel"})";
  EXPECT_EQ(decoded(json, {"ĠHello", "Ã", "©", "<|end of text|>"}), " Hello\u00E9<|end of text|>");
  EXPECT_EQ(decoded(json, {"Ã", "a", "â", "Ĥ"}), "\uFFFDa\uFFFD");
}

TEST(DecoderTest, LlamaStripsOnceForTheWholeText) {
  const char* json = R"({"type": "Sequence", "decoders": [
      {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
      {"type": "Fuse"}, {"type": "Strip", "content": " ", "start": 1, "stop": 0}]})";
  EXPECT_EQ(decoded(json, {"▁▁a", "▁b", "<0x20>", "▁"}), " a b  ");
  EXPECT_EQ(decoded(json, {"", "▁", "▁a"}), " a");
  const Strings streamed = parts(Decoder(Json::parse(json), "test"), {"▁a", "▁b", "c"});
  EXPECT_EQ(streamed, (Strings{"a", " b", "c"}));  // nothing waits for the end
}

TEST(DecoderTest, StrippingPartsIsStrippingTheWhole) {
  const char* in_parts = R"({"type": "Sequence", "decoders": [
      {"type": "Fuse"}, {"type": "Strip", "content": "x", "start": 2, "stop": 3}]})";
  const char* whole = R"({"type": "Strip", "content": "x", "start": 2, "stop": 3})";
  Rng rng(1);
  for (int round = 0; round < 2000; ++round) {
    Strings tokens(1 + rng.below(5));
    std::string all = "x-";  // the library fails where both ends would strip the same characters
    tokens.front() = all;
    for (std::string& token : tokens) {
      for (std::uint64_t n = rng.below(4); n > 0; --n) {
        token += rng.below(3) == 0 ? "a" : "x";
        all += token.back();
      }
    }
    ASSERT_EQ(decoded(in_parts, tokens), decoded(whole, {all})) << all;
  }
}

TEST(DecoderTest, NamesWhatItDoesNotKnow) {
  EXPECT_EQ(test::message_of<InputError>([] { decoded(R"({"type": "WordPiece"})", {}); }),
            "test: type: found \"WordPiece\", expected a type that this program knows");
}

}  // namespace
}  // namespace plimsoll
