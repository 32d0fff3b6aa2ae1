#include "text/chat_template.h"

#include <gtest/gtest.h>

#include <ctime>
#include <thread>

#include "core/error.h"
#include "support/support.h"

namespace plimsoll {
namespace {

using OrderedJson = nlohmann::ordered_json;

std::string error_of(const std::string& source, const OrderedJson& variables = {{"x", 1}}) {
  return test::message_of<InputError>(
      [&] { ChatTemplate::parse(source, "t.jinja").render(variables); });
}

TEST(ChatTemplate, ErrorsNameFileLineAndConstruct) {
  EXPECT_EQ(error_of("a\nb {{ raise_exception('Roles must alternate!') }}"),
            "t.jinja:2: Roles must alternate!");
  EXPECT_EQ(error_of("{% for m in [1] %}\n{{ m\n + y.z }}{% endfor %}"),
            "t.jinja:3: 'y' is undefined");
  EXPECT_EQ(error_of("\n{{ x | xmlattr }}"), "t.jinja:2: no filter named 'xmlattr'");
  EXPECT_EQ(error_of("\n{{ x is prime }}"), "t.jinja:2: no test named 'prime'");
  EXPECT_EQ(error_of("\n\n{% include 'other.jinja' %}"),
            "t.jinja:3: the tag 'include' is not supported");
  EXPECT_EQ(error_of("{% for a in x recursive %}{% endfor %}"),
            "t.jinja:1: a recursive for loop is not supported");
  EXPECT_EQ(error_of("{% if x %}\n{% endfor %}"), "t.jinja:2: unknown tag 'endfor'");
  EXPECT_EQ(error_of("{% if x %}\n"), "t.jinja:1: found the end of the template, expected 'endif'");
  EXPECT_EQ(error_of("{{ x.y.z }}", {{"x", OrderedJson::object()}}),
            "t.jinja:1: 'dict object' has no attribute 'y'");
  EXPECT_EQ(error_of("{{ x.append(1) }}", {{"x", {1, 2}}}),
            "t.jinja:1: 'append' would change a list, which templates may not");
  EXPECT_EQ(error_of("{{ 'a' | replace('a') }}"),
            "t.jinja:1: filter 'replace' needs the argument 'new'");
  EXPECT_EQ(error_of("\xFF"), "t.jinja:1: a template that is not UTF-8");
  EXPECT_EQ(error_of(std::string(1 << 20, ' ')),
            "t.jinja:1: a template of 1048576 bytes, expected at most 262144");
}

TEST(ChatTemplate, LineIsTheOneOfTheMacroThatFailed) {
  EXPECT_EQ(error_of("{% macro m(a) %}\n{{ a + 1 }}\n{% endmacro %}\n\n{{ m('b') }}"),
            "t.jinja:2: unsupported operand type(s) for +: 'str' and 'int'");
  EXPECT_EQ(error_of("{% macro m(a) %}\n{{ a }}\n{% endmacro %}\n\n{{ m(1) + 1 }}"),
            "t.jinja:5: unsupported operand type(s) for +: 'str' and 'int'");
}

TEST(ChatTemplate, VariablesKeepTheirOrderAndTypes) {
  const ChatTemplate shown = ChatTemplate::parse("{{ v }}{{ v | tojson }}", "v");
  const auto variables =
      OrderedJson::parse(R"({"v": {"z": 1, "a": [1.0, -5, null, true, "x"], "e": 1e-7}})");
  EXPECT_EQ(shown.render(variables),
            "{'z': 1, 'a': [1.0, -5, None, True, 'x'], 'e': 1e-07}"
            R"({"z": 1, "a": [1.0, -5, null, true, "x"], "e": 1e-07})");
}

TEST(ChatTemplate, RefusesVariablesItCannotHold) {
  EXPECT_EQ(error_of("x", {{"n", 18446744073709551615ULL}}),
            "t.jinja:1: a variable holds an integer beyond 64 bits");
  EXPECT_EQ(error_of("x", {{"s", "\xFF"}}), "t.jinja:1: a variable holds a text that is not UTF-8");
  EXPECT_EQ(error_of("x", OrderedJson::array()),
            "t.jinja: variables: found no object, expected an object");
}

TEST(ChatTemplate, StrftimeNowIsLocalTime) {
  const ChatTemplate today = ChatTemplate::parse("{{ strftime_now('%d %b %Y') }}", "t");
  const auto now = [] {
    const std::time_t seconds = std::time(nullptr);
    std::tm local{};
    localtime_r(&seconds, &local);
    char text[64];
    return std::string(text, std::strftime(text, sizeof text, "%d %b %Y", &local));
  };
  // Twice, since midnight may fall between.
  const std::string before = now();
  const std::string rendered = today.render(OrderedJson::object());
  EXPECT_TRUE(rendered == before || rendered == now()) << rendered;
}

TEST(ChatTemplate, OneTemplateServesManyThreads) {
  const ChatTemplate shared = ChatTemplate::parse(
      "{% set n = namespace(x=0) %}{% for i in range(k) %}{% set n.x = n.x + i %}{% endfor %}"
      "{{ n.x }}{{ 'é' | upper }}",
      "t");
  std::vector<std::thread> threads;
  threads.reserve(4);
  std::vector<std::string> texts(4);
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      texts[static_cast<std::size_t>(i)] = shared.render({{"k", 100 + i}});
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(texts, (std::vector<std::string>{"4950É", "5050É", "5151É", "5253É"}));
}

class ChatTemplateFolder : public testing::Test {
 protected:
  void write(const std::string& name, std::string_view text) {
    std::filesystem::create_directories((folder_.path() / name).parent_path());
    test::write_file(folder_.path() / name, text);
  }
  std::string rendered(std::string_view which = "default") {
    const auto found = ChatTemplate::load(folder_.path(), which);
    return found ? found->render(OrderedJson::object()) : "none";
  }
  const std::filesystem::path& path() const { return folder_.path(); }

 private:
  test::TemporaryFolder folder_;
};

TEST_F(ChatTemplateFolder, WithoutATemplate) {
  EXPECT_EQ(rendered(), "none");
  write("tokenizer_config.json", R"({"bos_token": "<s>"})");
  EXPECT_EQ(rendered(), "none");
  write("tokenizer_config.json", R"({"chat_template": null})");
  EXPECT_EQ(rendered(), "none");
}

TEST_F(ChatTemplateFolder, FromTokenizerConfig) {
  write("tokenizer_config.json", R"({"chat_template": "from {{ 'config' }}"})");
  EXPECT_EQ(rendered(), "from config");
  EXPECT_EQ(ChatTemplate::load(path())->name(), (path() / "tokenizer_config.json").string());
}

TEST_F(ChatTemplateFolder, SeveralNamedTemplates) {
  write("tokenizer_config.json",
        R"({"chat_template": [{"name": "default", "template": "plain"},
                              {"name": "tool_use", "template": "tools"}]})");
  EXPECT_EQ(rendered(), "plain");
  EXPECT_EQ(rendered("tool_use"), "tools");
  EXPECT_EQ(
      test::message_of<InputError>([&] { rendered("rag"); }),
      path().string() + ": chat template: found 'rag', expected one of 'default', 'tool_use'");
}

TEST_F(ChatTemplateFolder, JinjaFilesWinOverTheConfig) {
  write("tokenizer_config.json", R"({"chat_template": "config"})");
  write("chat_template.json", R"({"chat_template": "json"})");
  EXPECT_EQ(rendered(), "json");
  write("chat_template.jinja", "file\n");
  write("additional_chat_templates/rag.jinja", "additional");
  write("additional_chat_templates/readme.txt", "{{");
  EXPECT_EQ(rendered(), "file");
  EXPECT_EQ(rendered("rag"), "additional");
}

TEST_F(ChatTemplateFolder, RefusesWhatIsNoTemplate) {
  write("tokenizer_config.json", R"({"chat_template": 5})");
  EXPECT_NE(test::message_of<InputError>([&] { rendered(); }).find("chat_template"),
            std::string::npos);
  write("tokenizer_config.json", R"({"chat_template": [{"name": "default"}]})");
  EXPECT_NE(test::message_of<InputError>([&] { rendered(); }).find("template"), std::string::npos);
  write("tokenizer_config.json", "{");
  EXPECT_NE(test::message_of<InputError>([&] { rendered(); }).find("tokenizer_config.json"),
            std::string::npos);
}

TEST_F(ChatTemplateFolder, TemplateVariables) {
  EXPECT_EQ(template_variables(path()), OrderedJson::object());
  write("special_tokens_map.json", R"({"bos_token": "<map>", "pad_token": {"content": "<pad>"}})");
  write("tokenizer_config.json",
        R"({"bos_token": {"content": "<s>", "lstrip": false}, "eos_token": "</s>",
            "unk_token": null, "model_max_length": 5})");
  EXPECT_EQ(
      template_variables(path()),
      OrderedJson::parse(R"({"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>"})"));
  write("tokenizer_config.json", R"({"bos_token": null, "unk_token": null})");
  EXPECT_EQ(template_variables(path()),
            OrderedJson::parse(R"({"bos_token": null, "pad_token": "<pad>"})"));
  write("tokenizer_config.json", R"({"eos_token": 5})");
  EXPECT_NE(test::message_of<InputError>([&] { template_variables(path()); }).find("eos_token"),
            std::string::npos);
}

TEST(ChatTemplate, TheDemoModelsTemplate) {
  const auto folder = test::source_path("models/demo");
  OrderedJson variables = template_variables(folder);
  variables["messages"] = OrderedJson::parse(
      R"([{"role": "user", "content": "Ahoy"}, {"role": "assistant", "content": "Hello"}])");
  EXPECT_EQ(ChatTemplate::load(folder)->render(variables), "<s>[INST] Ahoy [/INST] Hello</s>");
}

}  // namespace
}  // namespace plimsoll
