// Against what Jinja itself renders: tools/render_templates.py makes the golden files.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "support/support.h"
#include "text/chat_template.h"

namespace plimsoll {
namespace {

using OrderedJson = nlohmann::ordered_json;

OrderedJson read_golden(const std::string& name) {
  return OrderedJson::parse(test::read_file(test::golden("templates/" + name)));
}

/// The text, or "error: ..." when the template cannot be parsed or rendered.
std::string outcome(const std::string& source, const OrderedJson& variables) {
  try {
    return ChatTemplate::parse(source, "template").render(variables);
  } catch (const InputError& error) {
    return std::string("error: ") + error.what();
  }
}

/// Where Jinja raised, we must raise too; the words may differ.
void expect_same(const OrderedJson& golden, const std::string& source,
                 const OrderedJson& variables) {
  const std::string actual = outcome(source, variables);
  if (golden.contains("expected")) {
    EXPECT_EQ(actual, golden["expected"].get<std::string>()) << source;
  } else {
    EXPECT_TRUE(actual.starts_with("error: template:"))
        << source << "\ngave: " << actual << "\nJinja: " << golden["error"];
  }
}

TEST(JinjaGolden, SmallCases) {
  const OrderedJson variables = read_golden("variables.json");
  const OrderedJson cases = read_golden("cases.json");
  EXPECT_GE(cases.size(), 350U);
  for (const OrderedJson& golden : cases) {
    SCOPED_TRACE(golden["case"].get<std::string>());
    expect_same(golden, golden["template"].get<std::string>(), variables);
  }
}

TEST(JinjaGolden, FamiliesOfTemplates) {
  const OrderedJson data = read_golden("conversations.json");
  const OrderedJson renderings = read_golden("renderings.json");
  EXPECT_GE(renderings.size(), 200U);
  for (const OrderedJson& golden : renderings) {
    const auto name = golden["template"].get<std::string>();
    const auto conversation = golden["conversation"].get<std::string>();
    SCOPED_TRACE(testing::Message() << name << " " << conversation);
    OrderedJson variables = data["tokens"];
    variables.update(data["conversations"][conversation]);
    expect_same(golden, test::read_file(test::source_path(name)), variables);
  }
}

}  // namespace
}  // namespace plimsoll
