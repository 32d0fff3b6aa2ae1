// A hostile template must end soon, in an error that names the limit.
#include <gtest/gtest.h>

#include <chrono>

#include "core/error.h"
#include "core/memory.h"
#include "support/support.h"
#include "text/chat_template.h"

namespace plimsoll {
namespace {

struct Hostile {
  const char* name;
  std::string source;
  /// A part of the message.
  std::string says;
};

void PrintTo(const Hostile& hostile, std::ostream* out) {
  *out << hostile.name;
}

std::string nested(std::size_t times, const std::string& open, const std::string& middle,
                   const std::string& close) {
  std::string text;
  for (std::size_t i = 0; i < times; ++i) text += open;
  text += middle;
  for (std::size_t i = 0; i < times; ++i) text += close;
  return text;
}

std::vector<Hostile> hostile_templates() {
  const std::string forever =
      "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}";
  const std::string ends = "{% endfor %}{% endfor %}{% endfor %}";
  std::string long_sum = "{{ 1";
  for (int i = 0; i < 100'000; ++i) long_sum += "+1";
  std::string many_pairs = "{% set x = 'a' * 400000 %}{% set y = ('a' * 200000) + 'b' %}";
  return {
      {"EndlessLoop", forever + "{% set x = a %}" + ends, "limit of"},
      {"EndlessOutput", forever + "output " + ends, "limit of"},
      {"LongText", "{{ 'a' * 10 ** 9 }}", "bytes of text"},
      {"LongTextBack", "{{ 10 ** 18 * 'ab' }}", "bytes of text"},
      {"DoublingText",
       "{% set n = namespace(x='ab') %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}"
       "{% endfor %}",
       "bytes of text"},
      {"DoublingList",
       "{% set n = namespace(x=[1, 2]) %}{% for i in range(99) %}{% set n.x = n.x + n.x %}"
       "{% endfor %}",
       "bytes of values"},
      {"LongList", "{{ ([1] * 10 ** 12) | length }}", "bytes of values"},
      {"LongEmptyList", "{{ ([] * 10 ** 18) | length }}{{ [[]] * 10 ** 17 }}", "bytes of values"},
      {"LongRange", "{{ range(10 ** 12) | length }}", "range()"},
      {"LargeInteger", "{{ 10 ** 19 }}", "64 bits"},
      {"LargeProduct", "{{ 9223372036854775807 * 2 }}", "64 bits"},
      {"LargeLiteral", "{{ 99999999999999999999 }}", "64 bits"},
      {"WideFormat", "{{ '%999999999d' | format(1) }}", "bytes of text"},
      {"WiderFormat", "{{ '%99999999999d' | format(1) }}", "too large"},
      {"WideBraces", "{{ '{:>999999999}'.format(1) }}", "bytes of text"},
      {"WideCentre", "{{ 'a' | center(10 ** 12) }}", "bytes of text"},
      {"WideZeros", "{{ '1'.zfill(10 ** 12) }}", "bytes of text"},
      {"WideIndent", "{{ 'a' | indent(10 ** 12) }}", "bytes of text"},
      {"WideJson", "{{ [1] | tojson(indent=10 ** 12) }}", "bytes of text"},
      {"LongFill", "{{ [1] | batch(10 ** 12, 'x') | list }}", "limit of"},
      {"ManySlices", "{{ [1] | slice(10 ** 12) | list }}", "limit of"},
      {"WideTime", "{{ strftime_now('%999999999Y') }}", "strftime_now"},
      {"Recursion", "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nested deeper"},
      {"MutualRecursion",
       "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}{{ a() }}{% endmacro %}{{ a() }}",
       "nested deeper"},
      {"RecursionThroughCaller",
       "{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{{ caller() }}{% endmacro %}"
       "{% call m() %}x{% endcall %}",
       "nested deeper"},
      {"DeepLists", "{{ " + nested(50'000, "[", "1", "]") + " }}", "nested deeper"},
      {"DeepParentheses", "{{ " + nested(50'000, "(", "1", ")") + " }}", "nested deeper"},
      {"DeepMinus", "{{ " + nested(50'000, "- ", "1", "") + " }}", "nested deeper"},
      {"DeepNot", "{{ " + nested(50'000, "not ", "1", "") + " }}", "nested deeper"},
      {"DeepIf", nested(10'000, "{% if 1 %}", "x", "{% endif %}"), "nested deeper"},
      {"DeepElse", "{{ " + nested(20'000, "1 if 0 else ", "1", "") + " }}", "nested deeper"},
      {"DeepTarget", "{% set " + nested(20'000, "(", "a", ")") + " = 1 %}", "nested deeper"},
      {"LongSum", long_sum + " }}", "nested deeper"},
      {"LongSubscript", "{{ [1]" + nested(50'000, "[0:]", "", "") + " }}", "nested deeper"},
      {"LongFilterChain", "{{ 1" + nested(50'000, "|abs", "", "") + " }}", "nested deeper"},
      {"DeepValue",
       "{% set n = namespace(x=[]) %}{% for i in range(9999) %}{% set n.x = [n.x] %}{% endfor %}"
       "{{ n.x }}",
       "nested deeper"},
      {"DeepJson",
       "{% set n = namespace(x=[]) %}{% for i in range(9999) %}{% set n.x = {'a': n.x} %}"
       "{% endfor %}{{ n.x | tojson }}",
       "nested deeper"},
      {"DeepEquality",
       "{% set n = namespace(x=[], y=[]) %}{% for i in range(9999) %}{% set n.x = [n.x] %}"
       "{% set n.y = [n.y] %}{% endfor %}{{ n.x == n.y }}",
       "nested deeper"},
      {"DeepKey",
       "{% set n = namespace(x=1) %}{% for i in range(9999) %}{% set n.x = (n.x,) %}{% endfor %}"
       "{{ {n.x: 1} }}",
       "tuples"},
      {"WideValue",
       "{% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = [n.x, n.x] %}"
       "{% endfor %}{{ n.x }}",
       "limit of"},
      {"SelfReference", "{% set n = namespace() %}{% set n.x = [n] %}{{ n.x }}", "has no text"},
      {"QuadraticSearch",
       many_pairs + "{% for i in range(99999) %}{{ y in x }}{{ x.rfind(y) }}{% endfor %}",
       "limit of"},
      {"QuadraticSplit",
       "{% set x = 'a' * 400000 %}{% for i in range(999) %}{{ x.split('a') | length }}"
       "{% endfor %}",
       "limit of"},
      {"ManyNames",
       "{% for i in range(99999) %}{% for j in range(99999) %}" +
           nested(500, "{% set a = b %}", "", "") + "{% endfor %}{% endfor %}",
       "limit of"},
      {"SameTextOften",
       "{% set x = 'a' * 900000 %}{% set l = [x] * 100000 %}{{ l | join | length }}", "limit of"},
      {"EscapesGrow",
       "{% set n = namespace(x='&' * 1000) %}{% for i in range(99) %}"
       "{% set n.x = n.x | replace('&', '&&&&&&&&&&') %}{% endfor %}",
       "bytes of text"},
  };
}

class HostileTemplate : public testing::TestWithParam<Hostile> {};

TEST_P(HostileTemplate, EndsInAnErrorThatNamesTheLimit) {
  // A tenth of the defaults, and time enough for the other limits to decide on any machine.
  RenderLimits limits;
  limits.steps = 1'000'000;
  limits.output_bytes = 1 << 20;
  limits.value_bytes = 16 << 20;
  limits.time = std::chrono::minutes(5);
  const auto start = std::chrono::steady_clock::now();
  const std::string message = test::message_of<InputError>([&] {
    ChatTemplate::parse(GetParam().source, "hostile.jinja").render({{"b", 1}}, limits);
  });
  const auto took = std::chrono::steady_clock::now() - start;
  EXPECT_TRUE(message.starts_with("hostile.jinja:1: ")) << message;
  EXPECT_NE(message.find(GetParam().says), std::string::npos) << message;
  // Each takes well below a second; the rest is room for a busy machine under a sanitizer.
  EXPECT_LT(took, std::chrono::seconds(10));
}

INSTANTIATE_TEST_SUITE_P(All, HostileTemplate, testing::ValuesIn(hostile_templates()),
                         [](const auto& tested) { return std::string(tested.param.name); });

TEST(RenderLimits, EachIsKept) {
  const ChatTemplate loop =
      ChatTemplate::parse("{% for i in range(1000) %}{{ i }}{% endfor %}{{ [[[1]]] }}", "loop");
  const nlohmann::ordered_json none = nlohmann::ordered_json::object();
  EXPECT_EQ(loop.render(none).size(), 2890U + 7U);

  const auto refused = [&](const RenderLimits& limits) {
    return test::message_of<InputError>([&] { loop.render(none, limits); });
  };
  RenderLimits limits;
  limits.steps = 500;
  EXPECT_EQ(refused(limits), "loop:1: the limit of 500 steps is passed");
  limits = {};
  limits.output_bytes = 2000;
  EXPECT_EQ(refused(limits), "loop:1: the limit of 2000 bytes of text is passed");
  limits = {};
  limits.value_bytes = 20'000;
  EXPECT_EQ(refused(limits), "loop:1: the limit of 20000 bytes of values is passed");
  limits = {};
  limits.time = std::chrono::milliseconds(-1);
  EXPECT_EQ(refused(limits), "loop:1: the limit of -1 ms is passed");
  limits = {};
  limits.depth = 2;
  EXPECT_EQ(refused(limits), "loop:1: nested deeper than 2 levels");
}

TEST(RenderLimits, TimeEndsWhatStepsWouldAllow) {
  RenderLimits limits;
  limits.steps = 1ULL << 60;
  limits.value_bytes = 1ULL << 60;
  limits.time = std::chrono::milliseconds(50);
  const ChatTemplate endless = ChatTemplate::parse(
      "{% set x = 'a' * 4000000 %}{% set y = ('a' * 2000000) + 'b' %}"
      "{% for a in range(99999) %}{% for b in range(99999) %}{{ '' if y in x }}{% endfor %}"
      "{% endfor %}",
      "endless");
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(test::message_of<InputError>(
                [&] { endless.render(nlohmann::ordered_json::object(), limits); }),
            "endless:1: the limit of 50 ms is passed");
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

TEST(RenderLimits, HoldForTheVariablesToo) {
  nlohmann::ordered_json deep = 1;
  for (int i = 0; i < 1000; ++i) deep = nlohmann::ordered_json::array({deep});
  const ChatTemplate plain = ChatTemplate::parse("x", "plain");
  EXPECT_NE(test::message_of<InputError>([&] {
              plain.render({{"deep", deep}});
            }).find("nested deeper than 200 levels"),
            std::string::npos);
}

TEST(RenderLimits, DeepValuesThatAreNotShownAreHarmless) {
  const ChatTemplate grow = ChatTemplate::parse(
      "{% set n = namespace(x=[]) %}{% for i in range(99999) %}{% set n.x = [n.x] %}{% endfor %}"
      "{{ n.x | length }}",
      "grow");
  EXPECT_EQ(grow.render(nlohmann::ordered_json::object()), "1");
}

TEST(RenderLimits, MemoryStaysNearTheLimit) {
  const std::uint64_t before = resident_memory();
  RenderLimits limits;
  limits.value_bytes = 32 << 20;
  const ChatTemplate grow = ChatTemplate::parse(
      "{% set n = namespace(x=[]) %}{% for i in range(99999) %}{% set n.x = n.x + [i ~ 'text'] %}"
      "{% endfor %}",
      "grow");
  reset_peak_memory();
  EXPECT_THROW(grow.render(nlohmann::ordered_json::object(), limits), InputError);
  EXPECT_LT(peak_memory(), before + (300ULL << 20));
}

}  // namespace
}  // namespace plimsoll
