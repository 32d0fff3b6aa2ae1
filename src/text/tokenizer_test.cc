#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/error.h"
#include "core/rng.h"
#include "core/threads.h"
#include "storage/json.h"
#include "support/support.h"
#include "text/detokenizer.h"
#include "text/utf8.h"

namespace plimsoll {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<std::int32_t>;

constexpr EncodeOptions kBare{.add_bos = false, .add_eos = false};

// The reference: ids and text that sentencepiece and Hugging Face tokenizers gave for 31 hard
// strings.
class ReferenceTest : public testing::TestWithParam<const char*> {};

TEST_P(ReferenceTest, GivesItsIdsAndText) {
  PLIMSOLL_SHARED_OR_SKIP("tokenizers");
  const Json reference = read_json_file(test::shared("tokenizers/expected.json"));
  const Json& texts = reference["texts"];
  const Json& expected = reference["tokenizers"][GetParam()];
  const auto tokenizer = Tokenizer::load(test::shared("tokenizers") / GetParam());
  const bool parses_special = std::string_view(GetParam()).ends_with(".json");
  ASSERT_EQ(texts.size(), 31u);
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto text = texts[i].get<std::string>();
    const Ids ids = tokenizer->encode(
        text, {.add_bos = false, .add_eos = false, .parse_special = parses_special});
    EXPECT_EQ(ids, expected["ids"][i].get<Ids>()) << texts[i];
    EXPECT_EQ(tokenizer->decode(ids, /*skip_special=*/false),
              expected["decoded"][i].get<std::string>())
        << texts[i];
  }
}

INSTANTIATE_TEST_SUITE_P(All, ReferenceTest,
                         testing::Values("mistral/mistral_instruct_tokenizer_240323.model.v3",
                                         "mistral/tokenizer.model.v1", "gpt2-hf/tokenizer.json",
                                         "gpt2-hf/vocab.json", "llama2/tokenizer.model",
                                         "mistral-v0.1-hf/tokenizer.json"));

/// Tokenizers with different insides; those below ../shared are skipped where it is absent.
class AnyTokenizerTest : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string name = GetParam();
    const fs::path path =
        name.starts_with("models/") ? test::source_path(name) : test::shared(name);
    if (!fs::exists(path)) GTEST_SKIP() << "needs ../shared/" << name << ", which a clone has not";
    tokenizer_ = Tokenizer::load(path);
    for (int id = 0; id < tokenizer_->vocab_size(); ++id) {
      const std::string piece = tokenizer_->piece(id);
      if (piece.starts_with("<0x") || piece.size() == 2) bytes_.push_back(id);
    }
    ASSERT_FALSE(bytes_.empty());
  }

  Ids random_ids(Rng& rng, std::size_t count) const {
    Ids ids;
    while (ids.size() < count) {
      ids.push_back(rng.below(2) == 0
                        ? bytes_[rng.below(bytes_.size())]
                        : static_cast<std::int32_t>(rng.below(tokenizer_->vocab_size())));
    }
    return ids;
  }

  /// Words, spaces, scripts, special tokens and rubbish, valid UTF-8.
  static std::string random_text(Rng& rng, std::size_t parts) {
    static const std::vector<std::string> kParts = {" ",
                                                    "  ",
                                                    "\n",
                                                    "the",
                                                    " ship",
                                                    "'s",
                                                    "x1234",
                                                    "é",
                                                    "e\u0301",
                                                    "日本語",
                                                    "▁",
                                                    "😀",
                                                    "<s>",
                                                    "</s>",
                                                    "<unk>",
                                                    "[INST]",
                                                    "\t",
                                                    "—",
                                                    "aaaaaaaa",
                                                    ", ",
                                                    "\u00A0",
                                                    std::string(1, '\0'),
                                                    "<|endoftext|>",
                                                    "ab ab ab",
                                                    "\u0627\u0644",
                                                    "\r\n"};
    std::string text;
    for (std::size_t i = 0; i < parts; ++i) text += kParts[rng.below(kParts.size())];
    return text;
  }

  std::unique_ptr<Tokenizer> tokenizer_;
  Ids bytes_;  // pieces that may be bytes, which make parts of characters
};

TEST_P(AnyTokenizerTest, StreamsWholeCharactersThatJoinToTheWhole) {
  Rng rng(5);
  for (int round = 0; round < 60; ++round) {
    const Ids ids = random_ids(rng, rng.below(60));
    const bool skip_special = round % 2 == 0;
    StreamingDetokenizer detokenizer(*tokenizer_, skip_special);
    std::string joined;
    for (const std::int32_t id : ids) {
      const std::string part = detokenizer.push(id);
      ASSERT_EQ(utf8::find_invalid(part), std::nullopt);
      joined += part;
    }
    const std::string last = detokenizer.finish();
    ASSERT_EQ(utf8::find_invalid(last), std::nullopt);
    ASSERT_EQ(joined + last, tokenizer_->decode(ids, skip_special));
    // What comes after finish() is a new text.
    std::string again = detokenizer.push(5);
    again += detokenizer.finish();
    ASSERT_EQ(again, tokenizer_->decode(Ids{5}, skip_special));
  }
}

TEST_P(AnyTokenizerTest, SpansCoverTheTextInOrder) {
  Rng rng(6);
  for (int round = 0; round < 60; ++round) {
    const std::string text = random_text(rng, rng.below(30));
    const EncodeOptions options{.parse_special = round % 2 == 0};
    const Encoding encoding = tokenizer_->encode_with_spans(text, options);
    ASSERT_EQ(encoding.ids, tokenizer_->encode(text, options));
    ASSERT_EQ(encoding.spans.size(), encoding.ids.size());
    std::uint64_t end = 0;
    for (const TokenSpan& span : encoding.spans) {
      ASSERT_EQ(span.begin, end);
      ASSERT_LE(span.begin, span.end);
      end = span.end;
    }
    ASSERT_EQ(end, text.size());
  }
}

TEST_P(AnyTokenizerTest, ThreadsAndPartsDoNotChangeIds) {
  Rng rng(7);
  const std::string text = random_text(rng, 40000);
  const int before = threads();
  set_threads(1);
  const Ids expected = tokenizer_->encode(text);
  set_threads(3);
  const Encoding encoding = tokenizer_->encode_with_spans(text);
  set_threads(before);
  EXPECT_EQ(encoding.ids, expected);
  EXPECT_EQ(encoding.spans.back().end, text.size());
}

TEST_P(AnyTokenizerTest, DecodingGivesTheTextBack) {
  const std::string text = "Fifteen men on the dead man's chest—\nYo-ho-ho, 日本 😀!  \t x";
  EXPECT_EQ(tokenizer_->decode(tokenizer_->encode(text)), text);
}

TEST_P(AnyTokenizerTest, PiecesAndIdsAreInverse) {
  ASSERT_GT(tokenizer_->vocab_size(), 256);
  for (int id = 0; id < tokenizer_->vocab_size(); ++id) {
    ASSERT_EQ(tokenizer_->id_of(tokenizer_->piece(id)), id);
  }
  EXPECT_EQ(tokenizer_->id_of("no piece is spelt like this"), std::nullopt);
}

TEST_P(AnyTokenizerTest, RefusesIdsThatItDoesNotHave) {
  const auto size = static_cast<std::int32_t>(tokenizer_->vocab_size());
  const std::string expected = fmt::format("expected 0 to {}", size - 1);
  for (const std::int32_t id : {-1, size}) {
    EXPECT_EQ(test::message_of<InputError>([&] { tokenizer_->decode(Ids{id}); }),
              fmt::format("tokenizer: token id: found {}, {}", id, expected));
    EXPECT_THROW(tokenizer_->piece(id), InputError);
    EXPECT_FALSE(tokenizer_->is_special(id));
  }
}

TEST_P(AnyTokenizerTest, RefusesTextThatIsNotUtf8) {
  EXPECT_EQ(test::message_of<InputError>([&] { tokenizer_->encode("caf\xC3\xA9 \xE2\x82!"); }),
            "text to tokenise: byte 6: found 0xE2, expected valid UTF-8");
}

INSTANTIATE_TEST_SUITE_P(
    All, AnyTokenizerTest,
    testing::Values("models/demo/tokenizer.json", "models/demo/tokenizer.model", "models/gpt2-demo",
                    "models/gpt2-demo/vocab.json", "tokenizers/mistral/tokenizer.model.v1",
                    "tokenizers/mistral/mistral_instruct_tokenizer_240323.model.v3",
                    "tokenizers/llama2/tokenizer.model", "tokenizers/gpt2-hf/tokenizer.json",
                    "tokenizers/mistral-v0.1-hf/tokenizer.json", "real/stories260K"));

const std::vector<std::string>& agreement_texts() {
  static const std::vector<std::string> texts = {
      "",
      "Hello",
      "Once upon a time, there was a pirate.\n\nThe  end",
      "日本語 x\tÆ 😀",
      "[INST] Tell me a story about X and Y. [/INST]",
      "<s>hello</s> <unk>x",
      "</s>"};
  return texts;
}

TEST(TokenizerTest, TheDemoModelsFilesAgree) {
  const auto json = Tokenizer::load(test::source_path("models/demo"));
  const auto model = Tokenizer::load(test::source_path("models/demo/tokenizer.model"));
  EXPECT_EQ(json->vocab_size(), model->vocab_size());
  for (const std::string& text : agreement_texts()) {
    for (const bool parse_special : {false, true}) {
      const EncodeOptions options{.parse_special = parse_special};
      const Ids ids = json->encode(text, options);
      EXPECT_EQ(ids, model->encode(text, options)) << text;
      const bool unknown = std::count(ids.begin(), ids.end(), 0) > 0;  // " ⁇ " in one library
      EXPECT_EQ(unknown, parse_special && text.find("<unk>") != std::string::npos);
      if (!unknown) {
        EXPECT_EQ(json->decode(ids), model->decode(ids)) << text;
      }
    }
  }
  // They are different libraries: only SentencePiece puts its prefix before a leading space.
  EXPECT_EQ(json->encode(" x", kBare).size() + 1, model->encode(" x", kBare).size());
}

TEST(TokenizerTest, TheGpt2ModelsFilesAgree) {
  const auto json = Tokenizer::load(test::source_path("models/gpt2-demo"));
  const auto files = Tokenizer::load(test::source_path("models/gpt2-demo/merges.txt"));
  EXPECT_EQ(json->vocab_size(), files->vocab_size());
  EXPECT_EQ(json->bos_id(), files->bos_id());
  for (const std::string& text : agreement_texts()) {
    for (const bool parse_special : {false, true}) {
      const std::string marked = fmt::format("{0}<|endoftext|>{0}", text);
      const Ids ids = json->encode(marked, {.parse_special = parse_special});
      EXPECT_EQ(ids, files->encode(marked, {.parse_special = parse_special})) << text;
      EXPECT_EQ(std::count(ids.begin(), ids.end(), *json->bos_id()), parse_special ? 1 : 0);
      EXPECT_EQ(json->decode(ids), files->decode(ids));
    }
  }
}

TEST(TokenizerTest, TreasureIslandHasAsManyTokensAsElsewhere) {
  PLIMSOLL_SHARED_OR_SKIP("data/treasure-island.txt");
  const auto tokenizer = Tokenizer::load(test::source_path("models/demo"));
  const Ids ids = tokenizer->encode(test::read_file(test::shared("data/treasure-island.txt")));
  EXPECT_EQ(ids.size(), 122669u);
  EXPECT_EQ(ids.front(), 1);
}

TEST(TokenizerTest, BosGoesInFrontWhereTheFilesSaySo) {
  const auto demo = Tokenizer::load(test::source_path("models/demo"));
  EXPECT_TRUE(demo->adds_bos());
  EXPECT_FALSE(demo->adds_eos());
  EXPECT_EQ(demo->bos_id(), 1);
  EXPECT_EQ(demo->eos_id(), 2);
  EXPECT_EQ(demo->encode(""), Ids{1});
  EXPECT_EQ(demo->encode("", kBare), Ids{});
  EXPECT_EQ(demo->encode("", {.add_eos = true}), (Ids{1, 2}));
  EXPECT_EQ(demo->decode(Ids{1, 2}), "");
  EXPECT_EQ(demo->decode(Ids{1, 2}, /*skip_special=*/false), "<s></s>");
  EXPECT_TRUE(demo->is_special(2));
  EXPECT_FALSE(demo->is_special(500));

  const auto gpt2 = Tokenizer::load(test::source_path("models/gpt2-demo"));
  EXPECT_FALSE(gpt2->adds_bos());
  EXPECT_EQ(gpt2->bos_id(), 0);
  EXPECT_EQ(gpt2->encode(""), Ids{});
  EXPECT_EQ(gpt2->encode("", {.add_bos = true}), Ids{0});

  // A model file alone is a Llama's.
  const test::TemporaryFolder folder;
  fs::copy_file(test::source_path("models/demo/tokenizer.model"),
                folder.path() / "tokenizer.model");
  EXPECT_TRUE(Tokenizer::load(folder.path())->adds_bos());
  test::write_file(folder.path() / "tokenizer_config.json", R"({"add_bos_token": false})");
  EXPECT_FALSE(Tokenizer::load(folder.path())->adds_bos());
}

TEST(TokenizerTest, MistralsControlTokensAreFoundOnRequest) {
  PLIMSOLL_SHARED_OR_SKIP("tokenizers");
  const auto tokenizer = Tokenizer::load(
      test::shared("tokenizers/mistral/mistral_instruct_tokenizer_240323.model.v3"));
  const Ids ids =
      tokenizer->encode("<s>[INST] Hi[/INST]", {.add_bos = false, .parse_special = true});
  ASSERT_EQ(ids.size(), 4u);
  EXPECT_EQ(tokenizer->piece(ids[1]), "[INST]");
  EXPECT_EQ(tokenizer->piece(ids[2]), "▁Hi");  // its own space: no second prefix
  EXPECT_EQ(tokenizer->decode(ids), "Hi");
  for (const std::int32_t id : tokenizer->encode("<s>[INST] Hi[/INST]", kBare)) {
    EXPECT_FALSE(tokenizer->is_special(id));
  }
}

TEST(TokenizerTest, NamesWhatIsMissing) {
  const test::TemporaryFolder folder;
  const std::string path = folder.path().string();
  EXPECT_EQ(test::message_of<InputError>([&] { Tokenizer::load(path); }),
            path +
                ": tokenizer: found none, expected tokenizer.json, tokenizer.model, or "
                "vocab.json with merges.txt");
  EXPECT_THROW(Tokenizer::load(folder.path() / "absent"), InputError);
  test::write_file(folder.path() / "vocab.json", "{}");
  EXPECT_THROW(Tokenizer::load(folder.path()), InputError);
}

}  // namespace
}  // namespace plimsoll
