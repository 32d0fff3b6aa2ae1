// Values as text: Python's str() and repr(), and json.dumps.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace plimsoll::jinja {

/// str() onto `out`: undefined is nothing, a list shows its elements as repr() does.
void print(Runtime& runtime, const Value& value, Builder* out);
/// str(); the text itself when it is one.
std::string to_text(Runtime& runtime, const Value& value);
/// repr(): texts in quotes.
std::string to_repr(Runtime& runtime, const Value& value);
/// repr() of a float: the shortest digits that read back as the same number.
std::string float_text(double number);

/// json.dumps as Hugging Face's tojson calls it.
struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  /// One level's indentation; nothing for a single line.
  std::optional<std::string> indent;
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
/// TemplateError for values that JSON has not, undefined among them.
Value to_json(Runtime& runtime, const Value& value, const JsonStyle& style);

/// A value from JSON. TemplateError for a text that is not UTF-8 or an integer beyond 64 bits.
Value from_json(Runtime& runtime, const nlohmann::ordered_json& json);

}  // namespace plimsoll::jinja
