// Filters that apply another filter or test to every element.
#include <fmt/format.h>

#include "text/jinja/arguments.h"
#include "text/jinja/attributes.h"
#include "text/jinja/builtins.h"
#include "text/jinja/operators.h"

namespace plimsoll::jinja {

namespace {

/// The arguments behind the first `count` positional ones.
Arguments without_first(const Arguments& arguments, std::size_t count) {
  Arguments rest = arguments;
  rest.positional.erase(rest.positional.begin(),
                        rest.positional.begin() + static_cast<std::ptrdiff_t>(count));
  return rest;
}

std::string_view name_at(const Arguments& arguments, std::size_t index, std::string_view filter) {
  const Text* name = arguments.positional[index].text();
  if (name != nullptr) return name->bytes;
  throw TemplateError(
      fmt::format("{} expects a name, found {}", filter, type_name(arguments.positional[index])));
}

Value map(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  std::vector<Value> mapped;
  const std::vector<Value> elements =
      truthy(subject) ? iterate(runtime, subject) : std::vector<Value>();
  const Runtime::Nesting nesting(runtime);
  if (arguments.positional.empty()) {
    const Parameters parameters("filter 'map'", arguments, {"attribute", "default"}, 1);
    for (const Value& element : elements) {
      const Value found = get_path(runtime, element, parameters.value(0));
      mapped.push_back(found.is_undefined() && !parameters.absent(1) ? parameters.value(1) : found);
    }
  } else {
    const std::string_view name = name_at(arguments, 0, "filter 'map'");
    const Arguments rest = without_first(arguments, 1);
    for (const Value& element : elements) {
      mapped.push_back(apply_filter(runtime, name, element, rest));
    }
  }
  return runtime.generator(std::move(mapped));
}

template <bool kByAttribute, bool kKeep>
Value select(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  std::vector<Value> kept;
  if (!truthy(subject)) return runtime.generator({});
  constexpr std::size_t kTest = kByAttribute ? 1 : 0;
  if (arguments.positional.size() < kTest) {
    throw TemplateError("Missing parameter for attribute name");
  }
  const bool tests = arguments.positional.size() > kTest;
  const std::string_view test = tests ? name_at(arguments, kTest, "a select filter") : "";
  const Arguments rest = tests ? without_first(arguments, kTest + 1) : Arguments();
  for (const Value& element : iterate(runtime, subject)) {
    const Value value =
        kByAttribute ? get_path(runtime, element, arguments.positional[0]) : element;
    const bool passes = tests ? apply_test(runtime, test, value, rest) : truthy(value);
    if (passes == kKeep) kept.push_back(element);
  }
  return runtime.generator(std::move(kept));
}

Value attr(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const Parameters parameters("filter 'attr'", arguments, {"name"}, 1);
  require_defined(subject);
  const std::string_view name = parameters.text(0, "");
  // Attributes and methods only: a dict's keys are none.
  if (const Dict* dict = subject.dict(); dict != nullptr) {
    if (std::optional<Value> method = container_method(runtime, subject, name)) return *method;
    return runtime.undefined(fmt::format("'dict object' has no attribute '{}'", name));
  }
  return get_attribute(runtime, subject, name);
}

}  // namespace

void add_selection_filters(FilterTable* table) {
  table->insert({{"map", map},
                 {"select", select<false, true>},
                 {"reject", select<false, false>},
                 {"selectattr", select<true, true>},
                 {"rejectattr", select<true, false>},
                 {"attr", attr}});
}

}  // namespace plimsoll::jinja
