#include <gtest/gtest.h>

#include "core/error.h"
#include "support/support.h"
#include "text/huggingface/json_tokenizer.h"

namespace plimsoll {
namespace {

using Ids = std::vector<std::int32_t>;

/// A small tokenizer.json to change in one place.
Json sample() {
  return Json::parse(R"json({
    "added_tokens": [
      {"id": 9, "content": "<eot>", "special": true, "normalized": false, "lstrip": false,
       "rstrip": false, "single_word": false},
      {"id": 10, "content": "Tool", "special": false, "normalized": true, "lstrip": false,
       "rstrip": false, "single_word": false}],
    "normalizer": {"type": "Lowercase"},
    "pre_tokenizer": {"type": "WhitespaceSplit"},
    "post_processor": {"type": "Sequence", "processors": [{"type": "ByteLevel"},
      {"type": "TemplateProcessing",
       "single": [{"SpecialToken": {"id": "<eot>", "type_id": 0}},
                  {"Sequence": {"id": "A", "type_id": 0}}],
       "pair": [], "special_tokens": {"<eot>": {"id": "<eot>", "ids": [9], "tokens": ["<eot>"]}}}]},
    "decoder": null,
    "model": {"type": "BPE", "unk_token": "<unk>", "vocab": {"<unk>": 0, "a": 1, "b": 2, "ab": 3},
              "merges": ["a b"]}})json");
}

std::unique_ptr<Tokenizer> build(const Json& json, const TokenizerSettings& settings = {}) {
  return std::make_unique<JsonTokenizer>(read_tokenizer_json(json, "file"), settings, "file");
}
std::string error_of(const Json& json) {
  return test::message_of<InputError>([&] { build(json); });
}

TEST(TokenizerJsonTest, AddedTokensAroundNormalisedText) {
  const auto tokenizer = build(sample());
  const EncodeOptions special{.add_bos = false, .parse_special = true};
  EXPECT_EQ(tokenizer->encode("AB<eot> tOOlb", special), (Ids{3, 9, 10, 2}));
  // "<EOT>" is not its spelling; in lower case it would be, but it is looked for before that.
  EXPECT_EQ(tokenizer->encode("<EOT>", special), Ids(5, 0));
  EXPECT_EQ(tokenizer->encode("<eot>", {.add_bos = false}), Ids(5, 0));
  EXPECT_EQ(tokenizer->encode("ab"), (Ids{9, 3}));
  EXPECT_TRUE(tokenizer->adds_bos());
  EXPECT_EQ(tokenizer->vocab_size(), 11);
  EXPECT_EQ(tokenizer->piece(5), "");
  EXPECT_EQ(tokenizer->decode(Ids{9, 3, 5, 10, 2}), "ab Tool b");
  const Encoding encoding = tokenizer->encode_with_spans("AB<eot> tOOlb", special);
  EXPECT_EQ(encoding.spans, (std::vector<TokenSpan>{{0, 2}, {2, 7}, {8, 12}, {12, 13}}));
}

TEST(TokenizerJsonTest, SettingsOverrideThePostProcessor) {
  TokenizerSettings settings;
  settings.add_bos = false;
  EXPECT_FALSE(build(sample(), settings)->adds_bos());
  settings.add_eos = true;
  settings.eos_token = "b";
  EXPECT_EQ(build(sample(), settings)->encode("a"), (Ids{1, 2}));
  settings.eos_token = "absent";
  EXPECT_THROW(build(sample(), settings), InputError);
}

TEST(TokenizerJsonTest, OldLlamaFilesPrependInFrontOfEveryPart) {
  Json json = sample();
  json["normalizer"] = Json::parse(R"({"type": "Sequence", "normalizers": [
      {"type": "Prepend", "prepend": "▁"},
      {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]})");
  json["pre_tokenizer"] = nullptr;
  json["model"]["vocab"] = {{"<unk>", 0}, {"▁", 1}, {"a", 2}, {"▁a", 3}};
  json["model"]["merges"] = Json::array({"▁ a"});
  json["added_tokens"].erase(1);
  const auto tokenizer = build(json);
  EXPECT_EQ(tokenizer->encode("a<eot>a a", {.add_bos = false, .parse_special = true}),
            (Ids{3, 9, 3, 3}));
}

TEST(TokenizerJsonTest, FirstMeansTheFirstOfTheText) {
  Json json = sample();
  json["normalizer"] = nullptr;
  json["pre_tokenizer"] = Json::parse(
      R"({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": false})");
  json["model"]["vocab"] = {{"<unk>", 0}, {"▁", 1}, {"a", 2}, {"▁a", 3}};
  json["model"]["merges"] = Json::array({"▁ a"});
  json["added_tokens"].erase(1);
  const EncodeOptions options{.add_bos = false, .parse_special = true};
  EXPECT_EQ(build(json)->encode("a<eot>a", options), (Ids{3, 9, 2}));
  EXPECT_EQ(build(json)->encode("<eot>a", options), (Ids{9, 2}));
  EXPECT_EQ(build(json)->encode(" a", options), (Ids{3}));
  // White space that a normaliser took from the front leaves a word that is not at the start.
  json["normalizer"] = {{"type", "Strip"}, {"strip_left", true}, {"strip_right", false}};
  EXPECT_EQ(build(json)->encode("  a", options), (Ids{2}));
  EXPECT_EQ(build(json)->encode("a", options), (Ids{3}));
}

TEST(TokenizerJsonTest, NamesTypesThatItDoesNotKnow) {
  for (const char* part : {"normalizer", "pre_tokenizer", "post_processor", "decoder", "model"}) {
    Json json = sample();
    json[part]["type"] = "Novel";
    EXPECT_EQ(error_of(json), fmt::format("file: {}: type: found \"Novel\", expected a type that "
                                          "this program knows",
                                          part));
  }
}

TEST(TokenizerJsonTest, RefusesBrokenFiles) {
  const auto broken = [](const char* pointer, const Json& value) {
    Json json = sample();
    json[Json::json_pointer(pointer)] = value;
    return error_of(json);
  };
  EXPECT_EQ(broken("/model/merges/0", "a c"),
            "file: model: merge 0 of \"a\" and \"c\": found no \"c\" in the vocabulary, expected "
            "both pieces and their union");
  EXPECT_EQ(broken("/model/vocab/b", 1),
            "file: model: vocab: \"b\": found id 1, which \"a\" has, expected an id of its own");
  EXPECT_NE(broken("/model/vocab/b", -1), "");
  EXPECT_NE(broken("/model/vocab/b", 4'000'000'000), "");
  EXPECT_NE(broken("/model/vocab/b", "2"), "");
  EXPECT_NE(broken("/model/vocab", 3), "");
  EXPECT_NE(broken("/model/merges", "a b"), "");
  EXPECT_NE(broken("/model", Json::array()), "");
  EXPECT_NE(broken("/added_tokens", "x"), "");
  EXPECT_NE(broken("/added_tokens/0/id", 2), "");         // the model's "b"
  EXPECT_NE(broken("/added_tokens/0/id", 10), "");        // another added token's
  EXPECT_NE(broken("/added_tokens/0/content", "a"), "");  // the model has another id for it
  EXPECT_NE(broken("/added_tokens/0/special", "yes"), "");
  EXPECT_NE(broken("/post_processor/processors/1/special_tokens/<eot>/ids/0", 11), "");
  EXPECT_NE(broken("/post_processor/processors/1/single/0/SpecialToken/id", "<bos>"), "");
  EXPECT_NE(broken("/post_processor/processors/1/single", Json::array()), "");
  EXPECT_NE(broken("/normalizer", 1), "");
  EXPECT_THROW(build(Json::array()), InputError);
  EXPECT_THROW(build(Json::object()), InputError);
}

TEST(TokenizerJsonTest, ModelsWithoutATypeAreToldByTheirFields) {
  Json json = sample();
  json["model"].erase("type");
  EXPECT_EQ(build(json)->encode("ab", {.add_bos = false}), Ids{3});
  json["model"] = Json::parse(R"({"unk_id": 0, "vocab": [["<unk>", 0], ["a", -1], ["ab", -1]]})");
  EXPECT_EQ(build(json)->encode("ab", {.add_bos = false}), Ids{2});
  json["model"] = Json::parse(R"({"vocab": {}})");
  EXPECT_NE(error_of(json), "");
}

TEST(TokenizerJsonTest, Qwen2IsKnownByItsVocabulary) {
  const test::TemporaryFolder folder;
  test::write_file(folder.path() / "vocab.json",
                   R"({"1": 0, "2": 1, "12": 2, "Ã": 3, "©": 4, "Ã©": 5})");
  test::write_file(folder.path() / "merges.txt", "#version: 0.2\n1 2\nÃ ©\n");
  test::write_file(folder.path() / "config.json", R"({"model_type": "qwen2"})");
  // Digits one by one, and composed characters.
  EXPECT_EQ(Tokenizer::load(folder.path())->encode("12"), (Ids{0, 1}));
  test::write_file(folder.path() / "config.json", R"({"model_type": "gpt2"})");
  EXPECT_EQ(Tokenizer::load(folder.path())->encode("12"), Ids{2});
  test::write_file(folder.path() / "tokenizer_config.json",
                   R"({"tokenizer_class": "Qwen2TokenizerFast"})");
  test::write_file(folder.path() / "added_tokens.json", R"({"<|im_end|>": 6})");
  const auto tokenizer = Tokenizer::load(folder.path());
  EXPECT_EQ(tokenizer->encode("12\xC3\xA9<|im_end|>"), (Ids{0, 1, 5, 6}));
  test::write_file(folder.path() / "tokenizer_config.json",
                   R"({"tokenizer_class": "RobertaTokenizer"})");
  EXPECT_THROW(Tokenizer::load(folder.path()), InputError);
}

}  // namespace
}  // namespace plimsoll
