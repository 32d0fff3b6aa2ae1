#include <fmt/format.h>

#include <algorithm>

#include "text/jinja/arguments.h"
#include "text/jinja/attributes.h"
#include "text/jinja/builtins.h"
#include "text/jinja/characters.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"

namespace plimsoll::jinja {

namespace {

Value length(Runtime&, const Value& subject, const Arguments& arguments) {
  const Parameters none("filter 'length'", arguments, {});
  if (const std::optional<std::size_t> size = length_of(subject)) {
    return Value(static_cast<std::int64_t>(*size));
  }
  throw TemplateError(fmt::format("object of type '{}' has no len()", type_name(subject)));
}

Value first(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const Parameters none("filter 'first'", arguments, {});
  if (const Text* text = subject.text(); text != nullptr && !text->bytes.empty()) {
    return runtime.text(std::string(code_point_at(text->bytes, 0)));
  }
  const std::vector<Value> elements = iterate(runtime, subject);
  return elements.empty() ? runtime.undefined("No first item, sequence was empty.")
                          : elements.front();
}

Value last(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const Parameters none("filter 'last'", arguments, {});
  if (!length_of(subject)) {
    throw TemplateError(fmt::format("'{}' object is not reversible", type_name(subject)));
  }
  const std::vector<Value> elements = iterate(runtime, subject);
  return elements.empty() ? runtime.undefined("No last item, sequence was empty.")
                          : elements.back();
}

Value join(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const Parameters parameters("filter 'join'", arguments, {"d", "attribute"});
  const std::string separator =
      parameters.given(0) ? to_text(runtime, parameters.value(0)) : std::string();
  Builder out(runtime);
  bool is_first = true;
  for (const Value& element : iterate(runtime, subject)) {
    if (!is_first) out.append(separator);
    is_first = false;
    print(runtime, parameters.absent(1) ? element : get_path(runtime, element, parameters.value(1)),
          &out);
  }
  return out.finish();
}

Value list(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const Parameters none("filter 'list'", arguments, {});
  return runtime.list(iterate(runtime, subject));
}

Value items(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const Parameters none("filter 'items'", arguments, {});
  if (subject.is_undefined()) return runtime.generator({});
  if (subject.dict() == nullptr) {
    throw TemplateError("Can only get item pairs from a mapping.");
  }
  std::vector<Value> pairs;
  for (const auto& [key, value] : subject.dict()->entries()) {
    pairs.push_back(runtime.tuple({key, value}));
  }
  return runtime.generator(std::move(pairs));
}

Value reverse(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const Parameters none("filter 'reverse'", arguments, {});
  if (subject.text() != nullptr) {
    return get_slice(runtime, subject, Value(None{}), Value(None{}), Value(std::int64_t{-1}));
  }
  std::vector<Value> elements = iterate(runtime, subject);
  std::reverse(elements.begin(), elements.end());
  return runtime.generator(std::move(elements));
}

Value otherwise(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const Parameters parameters("filter 'default'", arguments, {"default_value", "boolean"});
  const bool missing = subject.is_undefined() || (parameters.flag(1, false) && !truthy(subject));
  if (!missing) return subject;
  return parameters.given(0) ? parameters.value(0) : runtime.text("");
}

Value sum(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const Parameters parameters("filter 'sum'", arguments, {"attribute", "start"});
  Value total = parameters.given(1) ? parameters.value(1) : Value(std::int64_t{0});
  if (total.text() != nullptr) throw TemplateError("sum() can't sum strings [use join instead]");
  for (const Value& element : iterate(runtime, subject)) {
    total = arithmetic(
        runtime, Operator::add, total,
        parameters.absent(0) ? element : get_path(runtime, element, parameters.value(0)));
  }
  return total;
}

Value batch(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const Parameters parameters("filter 'batch'", arguments, {"linecount", "fill_with"}, 1);
  const std::int64_t size = parameters.integer(0, 0);
  std::vector<Value> batches;
  std::vector<Value> current;
  for (const Value& element : iterate(runtime, subject)) {
    if (static_cast<std::int64_t>(current.size()) == size) {
      batches.push_back(runtime.list(std::move(current)));
      current = {};
    }
    current.push_back(element);
  }
  if (!current.empty()) {
    const auto wanted = static_cast<std::size_t>(std::max<std::int64_t>(0, size));
    if (!parameters.absent(1) && wanted > current.size()) {
      runtime.step(wanted - current.size());
      runtime.take((wanted - current.size()) * sizeof(Value));
      current.resize(wanted, parameters.value(1));
    }
    batches.push_back(runtime.list(std::move(current)));
  }
  return runtime.generator(std::move(batches));
}

Value slice(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const Parameters parameters("filter 'slice'", arguments, {"slices", "fill_with"}, 1);
  const std::vector<Value> elements = iterate(runtime, subject);
  const std::int64_t wanted = parameters.integer(0, 0);
  if (wanted == 0) throw TemplateError("filter 'slice': slices must not be zero");
  const auto slices = static_cast<std::size_t>(std::max<std::int64_t>(wanted, 0));
  std::vector<Value> result;
  auto place = elements.begin();
  for (std::size_t i = 0; i < slices; ++i) {
    const bool longer = i < elements.size() % slices;
    const auto end =
        place + static_cast<std::ptrdiff_t>(elements.size() / slices + (longer ? 1 : 0));
    std::vector<Value> part(place, end);
    if (!parameters.absent(1) && !longer) part.push_back(parameters.value(1));
    result.push_back(runtime.list(std::move(part)));
    place = end;
  }
  return runtime.generator(std::move(result));
}

}  // namespace

void add_sequence_filters(FilterTable* table) {
  table->insert({{"length", length},
                 {"count", length},
                 {"first", first},
                 {"last", last},
                 {"join", join},
                 {"list", list},
                 {"items", items},
                 {"reverse", reverse},
                 {"default", otherwise},
                 {"d", otherwise},
                 {"sum", sum},
                 {"batch", batch},
                 {"slice", slice}});
}

}  // namespace plimsoll::jinja
