// The methods of lists, tuples and dicts that do not change them, and the loop variable's
// attributes.
#include <fmt/format.h>

#include <algorithm>

#include "text/jinja/arguments.h"
#include "text/jinja/attributes.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"

namespace plimsoll::jinja {

namespace {

constexpr std::string_view kChanging[] = {"append", "clear",   "extend",    "insert",
                                          "pop",    "remove",  "reverse",   "sort",
                                          "update", "popitem", "setdefault"};

Value entries_of(Runtime& runtime, const Dict& dict, Sequence::Kind kind) {
  std::vector<Value> elements;
  runtime.take(dict.entries().size() * sizeof(Value));
  for (const auto& [key, value] : dict.entries()) {
    elements.push_back(kind == Sequence::Kind::keys     ? key
                       : kind == Sequence::Kind::values ? value
                                                        : runtime.tuple({key, value}));
  }
  return runtime.sequence(kind, std::move(elements));
}

std::optional<Value> dict_method(Runtime& runtime, const Dict& dict, std::string_view name) {
  const auto view = [&](Sequence::Kind kind) {
    return runtime.callable(std::string(name),
                            [&dict, kind](Runtime& current, const Arguments& arguments) {
                              const Parameters none("a dict method", arguments, {});
                              return entries_of(current, dict, kind);
                            });
  };
  if (name == "keys") return view(Sequence::Kind::keys);
  if (name == "values") return view(Sequence::Kind::values);
  if (name == "items") return view(Sequence::Kind::items);
  if (name == "get") {
    return runtime.callable("get", [&dict](Runtime&, const Arguments& arguments) {
      const Parameters parameters("dict.get", arguments, {"key", "default"}, 1);
      const Value* found = dict.find(parameters.value(0));
      if (found != nullptr) return *found;
      return parameters.given(1) ? parameters.value(1) : Value(None{});
    });
  }
  if (name == "copy") {
    return runtime.callable("copy", [&dict](Runtime& current, const Arguments& arguments) {
      const Parameters none("dict.copy", arguments, {});
      return current.dict(dict.entries());
    });
  }
  return std::nullopt;
}

Value index_in(Runtime& runtime, const Sequence& sequence, const Arguments& arguments) {
  const Parameters parameters("list.index", arguments, {"value", "start", "stop"}, 1);
  const auto size = static_cast<std::int64_t>(sequence.elements.size());
  const auto bound = [&](std::size_t index, std::int64_t otherwise) {
    const std::int64_t given = parameters.integer(index, otherwise);
    return std::clamp<std::int64_t>(given < 0 ? given + size : given, 0, size);
  };
  const std::int64_t stop = bound(2, size);
  for (std::int64_t i = bound(1, 0); i < stop; ++i) {
    if (equal(runtime, sequence.elements[static_cast<std::size_t>(i)], parameters.value(0))) {
      return Value(i);
    }
  }
  throw TemplateError(fmt::format("{} is not in list", to_repr(runtime, parameters.value(0))));
}

Value count_in(Runtime& runtime, const Sequence& sequence, const Arguments& arguments) {
  const Parameters parameters("list.count", arguments, {"value"}, 1);
  return Value(static_cast<std::int64_t>(std::count_if(
      sequence.elements.begin(), sequence.elements.end(),
      [&](const Value& element) { return equal(runtime, element, parameters.value(0)); })));
}

std::optional<Value> sequence_method(Runtime& runtime, const Sequence& sequence,
                                     std::string_view name) {
  if (sequence.kind == Sequence::Kind::group && (name == "grouper" || name == "list")) {
    return sequence.elements[name == "grouper" ? 0 : 1];
  }
  if (!sequence.indexed()) return std::nullopt;
  using Method = Value (*)(Runtime&, const Sequence&, const Arguments&);
  const auto bound = [&](Method method) {
    return runtime.callable(std::string(name),
                            [&sequence, method](Runtime& current, const Arguments& arguments) {
                              return method(current, sequence, arguments);
                            });
  };
  if (name == "index") return bound(index_in);
  if (name == "count") return bound(count_in);
  if (name == "copy" && sequence.kind == Sequence::Kind::list) {
    return bound([](Runtime& current, const Sequence& source, const Arguments& arguments) {
      const Parameters none("list.copy", arguments, {});
      current.take(source.elements.size() * sizeof(Value));
      return current.list(source.elements);
    });
  }
  return std::nullopt;
}

Value changed(Runtime& runtime, Loop* loop, const Arguments& arguments) {
  const Value given = runtime.tuple(arguments.positional);
  const bool same =
      loop->last_changed != nullptr && equal(runtime, Value(loop->last_changed), given);
  loop->last_changed = given.sequence();
  return Value(!same);
}

Value cycle(const Loop* loop, const Arguments& arguments) {
  if (arguments.positional.empty()) throw TemplateError("no items for cycling given");
  return arguments.positional[loop->index0 % arguments.positional.size()];
}

}  // namespace

std::optional<Value> container_method(Runtime& runtime, const Value& container,
                                      std::string_view name) {
  // As in the sandbox: an undefined value whose use says why.
  const bool mutable_in_python =
      container.dict() != nullptr || container.sequence()->kind == Sequence::Kind::list;
  if (mutable_in_python &&
      std::find(std::begin(kChanging), std::end(kChanging), name) != std::end(kChanging)) {
    return runtime.undefined(
        fmt::format("'{}' would change a {}, which templates may not", name, type_name(container)));
  }
  if (const Dict* dict = container.dict()) return dict_method(runtime, *dict, name);
  return sequence_method(runtime, *container.sequence(), name);
}

std::optional<Value> loop_attribute(Runtime& runtime, Loop* loop, std::string_view name) {
  const auto index = static_cast<std::int64_t>(loop->index0);
  const auto length = static_cast<std::int64_t>(loop->items.size());
  if (name == "index") return Value(index + 1);
  if (name == "index0") return Value(index);
  if (name == "revindex") return Value(length - index);
  if (name == "revindex0") return Value(length - index - 1);
  if (name == "first") return Value(index == 0);
  if (name == "last") return Value(index + 1 == length);
  if (name == "length") return Value(length);
  // Recursive loops, where the depth would differ, are refused by the parser.
  if (name == "depth") return Value(std::int64_t{1});
  if (name == "depth0") return Value(std::int64_t{0});
  if (name == "previtem") {
    return index > 0 ? loop->items[loop->index0 - 1]
                     : runtime.undefined("there is no previous item");
  }
  if (name == "nextitem") {
    return index + 1 < length ? loop->items[loop->index0 + 1]
                              : runtime.undefined("there is no next item");
  }
  if (name == "cycle") {
    return runtime.callable(
        "cycle", [loop](Runtime&, const Arguments& arguments) { return cycle(loop, arguments); });
  }
  if (name == "changed") {
    return runtime.callable("changed", [loop](Runtime& current, const Arguments& arguments) {
      return changed(current, loop, arguments);
    });
  }
  return std::nullopt;
}

}  // namespace plimsoll::jinja
