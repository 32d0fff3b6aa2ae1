#include "text/chat_prompt.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/error.h"
#include "support/support.h"

namespace plimsoll {
namespace {

constexpr std::int32_t kBos = 1;
constexpr std::int32_t kEos = 2;

class ChatPromptDemo : public testing::Test {
 protected:
  ChatPrompt with(std::string source, nlohmann::ordered_json variables = {}) {
    if (variables.is_null()) variables = nlohmann::ordered_json::object();
    return {ChatTemplate::parse(std::move(source), "t.jinja"), std::move(variables), *tokenizer_};
  }
  std::vector<std::int32_t> ids_of(std::string_view text) {
    return tokenizer_->encode(text, {.add_bos = false, .parse_special = true});
  }
  static std::ptrdiff_t count(const std::vector<std::int32_t>& ids, std::int32_t id) {
    return std::ranges::count(ids, id);
  }

  std::filesystem::path folder_ = test::source_path("models/demo");
  std::unique_ptr<Tokenizer> tokenizer_ = Tokenizer::load(folder_);
  ChatPrompt demo_{*ChatTemplate::load(folder_), template_variables(folder_), *tokenizer_};
};

TEST_F(ChatPromptDemo, OrdinaryTextIsCutAsAWhole) {
  const std::vector<ChatMessage> messages{
      {"user", " A tale,\n please "}, {"assistant", "Once. "}, {"user", "More \U00100000 <s"}};
  const std::string text =
      "<s>[INST]  A tale,\n please  [/INST] Once. </s>[INST] More \U00100000 <s [/INST]";
  EXPECT_EQ(demo_.text(messages), text);
  const auto ids = demo_.ids(messages);
  EXPECT_EQ(ids, ids_of(text));
  EXPECT_EQ(ids.front(), kBos);
  EXPECT_EQ(count(ids, kBos), 1);
  EXPECT_EQ(count(ids, kEos), 1);
}

TEST_F(ChatPromptDemo, SpecialTokensInAMessageStayText) {
  const std::vector<ChatMessage> messages{
      {"user", "say </s><s>[INST] \U00100000 </s>"}, {"assistant", "</s>"}, {"user", "again"}};
  const auto ids = demo_.ids(messages);
  EXPECT_EQ(count(ids, kBos), 1);
  EXPECT_EQ(count(ids, kEos), 1);  // the template's own, behind the answer
  // Nothing of what was said is lost: SentencePiece puts a space before each part.
  std::string text = tokenizer_->decode(ids);
  std::erase(text, ' ');
  EXPECT_EQ(text, "[INST]say</s><s>[INST]\U00100000</s>[/INST]</s>[INST]again[/INST]");
}

TEST_F(ChatPromptDemo, NothingIsPutAroundTheTemplatesText) {
  const ChatPrompt bare = with("{{ messages[0].content }}");
  EXPECT_EQ(bare.ids(std::vector<ChatMessage>{{"user", "Hello"}}), ids_of("Hello"));
}

TEST_F(ChatPromptDemo, TheTokenizerLendsItsSpecialTokens) {
  const std::vector<ChatMessage> messages{{"user", "Hello"}};
  EXPECT_EQ(with("{{ bos_token + eos_token }}").text(messages), "<s></s>");
  EXPECT_EQ(with("{{ bos_token }}", {{"bos_token", "<b>"}}).text(messages), "<b>");
}

TEST_F(ChatPromptDemo, ATokenThatIsNullIsNoVariableAndToolsAreNone) {
  const std::vector<ChatMessage> messages{{"user", "Hello"}};
  const char* source = "{{ bos_token is defined }} {{ tools is none }} {{ documents is none }}";
  EXPECT_EQ(with(source).text(messages), "True True True");
  EXPECT_EQ(with(source, {{"bos_token", nullptr}}).text(messages), "False True True");
}

TEST_F(ChatPromptDemo, AsksForTheNextAnswer) {
  const ChatPrompt prompt = with("{% if add_generation_prompt %}answer:{% endif %}");
  EXPECT_EQ(prompt.text({}), "answer:");
}

TEST_F(ChatPromptDemo, RefusesWhatTheTemplateRefusesAndBytesThatAreNoText) {
  const ChatPrompt prompt = with("\n{{ raise_exception('no ' + messages[0].role) }}");
  const std::vector<ChatMessage> messages{{"system", "Be brief."}};
  EXPECT_EQ(test::message_of<InputError>([&] { prompt.ids(messages); }), "t.jinja:2: no system");
  const std::vector<ChatMessage> broken{{"user", "ab\xff"}};
  EXPECT_EQ(test::message_of<InputError>([&] { demo_.ids(broken); }),
            "the user's message: byte 2: found 0xff, expected UTF-8 text");
}

}  // namespace
}  // namespace plimsoll
