// value.name, value[key] and value[a:b:c], and the methods behind the names.
#pragma once

#include <optional>
#include <string_view>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace plimsoll::jinja {

/// Jinja's foo.bar: the method or attribute, else foo['bar'], else undefined. TemplateError when
/// the value itself is undefined.
Value get_attribute(Runtime& runtime, const Value& value, std::string_view name);
/// Jinja's foo[bar]: the element, else (for a text) the method or attribute, else undefined.
Value get_item(Runtime& runtime, const Value& value, const Value& key);
/// value[start:stop:step], none for a bound that is left out. TemplateError for what has no slices.
Value get_slice(Runtime& runtime, const Value& value, const Value& start, const Value& stop,
                const Value& step);
/// What map(attribute="a.b.0"), sort and their like look up: a dotted path, or an index.
Value get_path(Runtime& runtime, const Value& value, const Value& path);

/// The method as a callable; nothing when the type has none of that name.
std::optional<Value> string_method(Runtime& runtime, const Value& text, std::string_view name);
std::optional<Value> container_method(Runtime& runtime, const Value& container,
                                      std::string_view name);
std::optional<Value> loop_attribute(Runtime& runtime, Loop* loop, std::string_view name);

}  // namespace plimsoll::jinja
