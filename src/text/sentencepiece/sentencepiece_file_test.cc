#include "text/sentencepiece/sentencepiece_file.h"

#include <gtest/gtest.h>
#include <sentencepiece_processor.h>

#include "core/error.h"
#include "core/rng.h"
#include "support/support.h"
#include "text/tokenizer.h"

namespace plimsoll {
namespace {

std::string message(char field, std::string_view content) {
  std::string bytes{static_cast<char>(field << 3 | 2), static_cast<char>(content.size())};
  return bytes.append(content);
}
std::string piece(std::string_view text, char type) {
  return message(1, message(1, text) + std::string{3 << 3, type});
}
std::string flag(char field, char value) {
  return {static_cast<char>(field << 3), value};
}

/// A BPE model with a piece of every type; the byte b is piece kFirstByte + b.
constexpr int kFirstByte = 9;
std::string small_model(const std::string& normalizer = flag(4, 0)) {
  std::string bytes = piece("<unk>", 2) + piece("<s>", 3) + piece("</s>", 3) + piece("▁", 1) +
                      piece("a", 1) + piece("▁a", 1) + piece("▁▁", 1) + piece("[X]", 4) +
                      piece("b", 5);
  for (int byte = 0; byte < 256; ++byte) bytes += piece(fmt::format("<0x{:02X}>", byte), 6);
  const std::string byte_fallback = {'\x98', 2, 1};  // field 35 of the trainer's settings
  return bytes + message(2, flag(3, 2) + byte_fallback) + message(3, normalizer);
}

std::unique_ptr<Tokenizer> load(const std::string& bytes, const std::string& config = "{}") {
  const test::TemporaryFolder folder;
  test::write_file(folder.path() / "tokenizer.model", bytes);
  test::write_file(folder.path() / "tokenizer_config.json", config);
  return Tokenizer::load(folder.path());
}

TEST(SentencePieceFileTest, ReadsWhatMatters) {
  const SentencePieceFile file = SentencePieceFile::parse(
      small_model(flag(3, 0)) + message(4, "self test") + message(2, flag(3, 1)), "test");
  ASSERT_EQ(file.pieces.size(), 265u);
  EXPECT_EQ(file.pieces[1].text, "<s>");
  EXPECT_EQ(file.pieces[1].type, SentencePieceFile::Type::control);
  EXPECT_EQ(file.algorithm, SentencePieceFile::Algorithm::unigram);  // the last value counts
  EXPECT_FALSE(file.add_dummy_prefix);
  EXPECT_TRUE(file.remove_extra_whitespaces);
  EXPECT_EQ(file.model.find("self test"), std::string::npos);
}

/// Models that the library's trainer made, with character maps and other algorithms.
std::vector<std::string> trained_models() {
  std::vector<std::string> models;
  for (const char* name : {"unigram-with-character-map", "bpe-with-character-map", "word"}) {
    models.push_back(test::read_file(
        test::source_path(fmt::format("tests/fuzz/corpus/tokenizer_model/{}.model", name))));
  }
  models.push_back(test::read_file(test::source_path("models/demo/tokenizer.model")));
  return models;
}

/// Decoding is our own code; the library is its oracle.
TEST(SentencePieceFileTest, DecodesAsTheLibraryDoes) {
  std::vector<std::string> models;
  for (const std::string& normalizer :
       {flag(4, 0), flag(4, 1), flag(3, 0) + flag(4, 0), flag(3, 0) + flag(4, 1)}) {
    models.push_back(small_model(normalizer));
  }
  for (std::string& model : trained_models()) models.push_back(std::move(model));
  Rng rng(8);
  for (const std::string& model : models) {
    sentencepiece::SentencePieceProcessor library;
    ASSERT_TRUE(library.LoadFromSerializedProto(model).ok());
    const auto tokenizer = load(model);
    for (int round = 0; round < 1000; ++round) {
      std::vector<int> ids(rng.below(12));
      for (int& id : ids)
        id = static_cast<int>(rng.below(rng.below(3) == 0 ? library.GetPieceSize() : kFirstByte));
      ASSERT_EQ(tokenizer->decode(ids), library.DecodeIds(ids)) << testing::PrintToString(ids);
    }
  }
}

/// Cutting is our own code, too.
TEST(SentencePieceFileTest, EncodesAsTheLibraryDoes) {
  Rng rng(9);
  std::vector<std::string> models = trained_models();
  models.push_back(small_model());
  models.push_back(small_model(flag(4, 1)));
  for (const std::string& model : models) {
    sentencepiece::SentencePieceProcessor library;
    ASSERT_TRUE(library.LoadFromSerializedProto(model).ok());
    const auto tokenizer = load(model);
    const std::vector<std::string> parts = {" ", "a", "b",       "é",   "日",  "[X]", "▁",
                                            "ﬁ", "É", "e\u0301", "the", "ing", "\n"};
    for (int round = 0; round < 300; ++round) {
      std::string text;
      for (std::uint64_t n = rng.below(200); n > 0; --n) text += parts[rng.below(parts.size())];
      ASSERT_EQ(tokenizer->encode(text, {.add_bos = false}), library.EncodeAsIds(text)) << text;
    }
  }
}

TEST(SentencePieceFileTest, BytesHaveTheirOwnSpans) {
  const auto tokenizer = load(small_model());
  const Encoding encoding = tokenizer->encode_with_spans("aé a", {.add_bos = false});
  EXPECT_EQ(encoding.ids, (std::vector<std::int32_t>{5, kFirstByte + 0xC3, kFirstByte + 0xA9, 5}));
  EXPECT_EQ(encoding.spans, (std::vector<TokenSpan>{{0, 1}, {1, 2}, {2, 3}, {3, 5}}));
}

TEST(SentencePieceFileTest, PrefixesEachTextOrOnlyTheStart) {
  const EncodeOptions options{.add_bos = false, .parse_special = true};
  using Ids = std::vector<std::int32_t>;
  const auto legacy = load(small_model(), R"({"legacy": true})");
  EXPECT_EQ(legacy->encode("a<s>a a", options), (Ids{5, 1, 5, 5}));
  EXPECT_EQ(legacy->encode("<s>a", options), (Ids{1, 5}));
  const auto tokenizer = load(small_model());
  EXPECT_EQ(tokenizer->encode("a<s>a a", options), (Ids{5, 1, 4, 5}));
  EXPECT_EQ(tokenizer->encode("<s>a", options), (Ids{1, 4}));
  EXPECT_EQ(tokenizer->encode("<unk>", options), (Ids{0}));
}

TEST(SentencePieceFileTest, TokensOfTheSettingsComeBehindThePieces) {
  const test::TemporaryFolder folder;
  test::write_file(folder.path() / "tokenizer.model", small_model());
  test::write_file(folder.path() / "tokenizer_config.json", R"({"added_tokens_decoder": {
      "1": {"content": "<s>", "special": true}, "270": {"content": "<pad>", "special": true},
      "271": {"content": "<tool>", "special": false, "normalized": false}}})");
  const auto tokenizer = Tokenizer::load(folder.path());
  EXPECT_EQ(tokenizer->vocab_size(), 272);
  EXPECT_EQ(tokenizer->piece(265), "");
  EXPECT_EQ(tokenizer->encode("a<tool>a", {.add_bos = false}),
            (std::vector<std::int32_t>{5, 271, 4}));
  EXPECT_EQ(tokenizer->decode(std::vector<std::int32_t>{270, 5, 271, 265, 4}), "a<tool>a");
  test::write_file(folder.path() / "tokenizer_config.json", R"({"added_tokens_decoder": {
      "4": {"content": "<pad>", "special": true}}})");
  EXPECT_THROW(Tokenizer::load(folder.path()), InputError);
}

TEST(SentencePieceFileTest, RefusesBrokenFilesQuietly) {
  testing::internal::CaptureStderr();
  const std::string good = small_model();
  std::size_t refused = 0;
  for (std::size_t size = 1; size < good.size(); size += 7) {
    try {
      load(good.substr(0, size));
    } catch (const InputError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, good.size() / 10);  // some cuts fall between fields
  EXPECT_THROW(load("not a model at all"), InputError);
  EXPECT_THROW(load(std::string(100, '\xFF')), InputError);
  EXPECT_THROW(load(good + piece("a", 1)), InputError);           // twice
  EXPECT_THROW(load(good + piece("", 1)), InputError);            // empty
  EXPECT_THROW(load(good + piece("\xFF", 1)), InputError);        // not UTF-8
  EXPECT_THROW(load(good + piece("c", 7)), InputError);           // no such type
  EXPECT_THROW(load(good + piece("<0xZZ>", 6)), InputError);      // no byte
  EXPECT_THROW(load(good + message(2, flag(3, 9))), InputError);  // no such algorithm
  EXPECT_THROW(load(piece("a", 1)), InputError);                  // no unknown piece
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(SentencePieceFileTest, RefusesCharacterMapsThatLeaveTheirTable) {
  const auto with_map = [](const std::string& map) { return small_model(message(2, map)); };
  const std::string size(4, '\0');
  EXPECT_THROW(load(with_map("abc")), InputError);
  EXPECT_THROW(load(with_map(std::string("\xFF\xFF\xFF\xFF", 4) + "abcdefgh")), InputError);
  EXPECT_THROW(load(with_map(std::string("\4\0\0\0", 4) + std::string(4, '\0') + "x")), InputError);
  EXPECT_THROW(load(with_map(std::string("\4\0\0\0", 4) + std::string(5, '\0'))), InputError);
}

}  // namespace
}  // namespace plimsoll
