// Python's operators on values.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace plimsoll::jinja {

enum class Operator { add, subtract, multiply, divide, floor_divide, modulo, power };
enum class Comparison { equal, not_equal, less, less_equal, greater, greater_equal, in, not_in };

/// Integers and booleans.
std::optional<std::int64_t> as_integer(const Value& value);
/// Integers, booleans and floats.
std::optional<double> as_real(const Value& value);

/// TemplateError with the reason that `value` carries when it is undefined.
void require_defined(const Value& value);

/// == of anything but lists and dicts, which are equal here only when they are the same object.
bool scalars_equal(const Value& a, const Value& b);
bool equal(Runtime& runtime, const Value& a, const Value& b);
/// a < b. TemplateError for values without an order.
bool less(Runtime& runtime, const Value& a, const Value& b);
bool compare(Runtime& runtime, Comparison comparison, const Value& a, const Value& b);
/// `item in container`.
bool contains(Runtime& runtime, const Value& container, const Value& item);

/// TemplateError for operands that Python refuses, and where an integer leaves 64 bits.
Value arithmetic(Runtime& runtime, Operator operation, const Value& a, const Value& b);
Value negative(const Value& value);
Value positive(const Value& value);

/// The elements that a for loop would see: characters of a text, keys of a dict. A generator is
/// spent by it. TemplateError for what Python cannot iterate.
std::vector<Value> iterate(Runtime& runtime, const Value& value);
bool is_iterable(const Value& value);
/// len(); nothing for values that have none.
std::optional<std::size_t> length_of(const Value& value);

/// HTML's special characters as entities.
std::string escape_html(Runtime& runtime, std::string_view text);

}  // namespace plimsoll::jinja
