// The JSON half of print.h.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "text/jinja/characters.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/utf8.h"

namespace plimsoll::jinja {

namespace {

std::string json_quoted(std::string_view text, bool ensure_ascii) {
  std::string quoted = "\"";
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view bytes = code_point_at(text, at);
    const char32_t c = next_code_point(text, &at);
    const auto code = static_cast<std::uint32_t>(c);
    constexpr std::string_view kShort = "\"\\\n\r\t\b\f";
    constexpr std::string_view kShortNames = "\"\\nrtbf";
    const std::size_t found = c < 0x80 ? kShort.find(static_cast<char>(c)) : std::string::npos;
    if (found != std::string::npos) {
      quoted += '\\';
      quoted += kShortNames[found];
    } else if (c < 0x20 || (ensure_ascii && c >= 0x7F && c < 0x10000)) {
      quoted += fmt::format("\\u{:04x}", code);
    } else if (ensure_ascii && c >= 0x10000) {
      const std::uint32_t offset = code - 0x10000;
      quoted += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 | offset >> 10, 0xDC00 | (offset & 0x3FF));
    } else {
      quoted += bytes;
    }
  }
  return quoted += '"';
}

class JsonWriter {
 public:
  JsonWriter(Runtime& runtime, const JsonStyle& style)
      : runtime_(runtime), style_(style), out_(runtime) {}

  void write(const Value& value) {
    runtime_.step();
    if (const Text* text = value.text()) {
      out_.append(json_quoted(text->bytes, style_.ensure_ascii));
    } else if (const Dict* dict = value.dict()) {
      write_dict(*dict);
    } else if (const Sequence* sequence = value.sequence();
               sequence != nullptr &&
               (sequence->kind == Sequence::Kind::list || sequence->is_tuple())) {
      write_list(*sequence);
    } else {
      out_.append(scalar(value));
    }
  }

  Value finish() { return out_.finish(); }

 private:
  static std::string scalar(const Value& value) {
    if (value.is_none()) return "null";
    if (const auto* flag = value.get_if<bool>()) return *flag ? "true" : "false";
    if (const auto* number = value.integer()) return fmt::to_string(*number);
    if (const auto* number = value.get_if<double>()) {
      if (std::isnan(*number)) return "NaN";
      if (std::isinf(*number)) return *number > 0 ? "Infinity" : "-Infinity";
      return float_text(*number);
    }
    throw TemplateError(
        fmt::format("Object of type {} is not JSON serializable", type_name(value)));
  }

  void new_line() {
    if (!style_.indent) return;
    out_.append("\n");
    out_.append(level_, *style_.indent);
  }

  void write_list(const Sequence& sequence) {
    if (sequence.elements.empty()) return out_.append("[]");
    const Runtime::Nesting nesting(runtime_);
    out_.append("[");
    ++level_;
    bool first = true;
    for (const Value& element : sequence.elements) {
      if (!first) out_.append(style_.item_separator);
      first = false;
      new_line();
      write(element);
    }
    --level_;
    new_line();
    out_.append("]");
  }

  std::string key_text(const Value& key) const {
    if (const Text* text = key.text()) return json_quoted(text->bytes, style_.ensure_ascii);
    if (!key.is_none() && !as_real(key)) {
      throw TemplateError(
          fmt::format("keys must be str, int, float, bool or None, not {}", type_name(key)));
    }
    return '"' + scalar(key) + '"';
  }

  void write_dict(const Dict& dict) {
    if (dict.entries().empty()) return out_.append("{}");
    const Runtime::Nesting nesting(runtime_);
    Dict::Entries entries = dict.entries();
    if (style_.sort_keys) {
      std::stable_sort(entries.begin(), entries.end(), [this](const auto& a, const auto& b) {
        return less(runtime_, a.first, b.first);
      });
    }
    out_.append("{");
    ++level_;
    bool first = true;
    for (const auto& [key, value] : entries) {
      if (!first) out_.append(style_.item_separator);
      first = false;
      new_line();
      out_.append(key_text(key));
      out_.append(style_.key_separator);
      write(value);
    }
    --level_;
    new_line();
    out_.append("}");
  }

  Runtime& runtime_;
  const JsonStyle& style_;
  Builder out_;
  std::size_t level_ = 0;
};

}  // namespace

Value to_json(Runtime& runtime, const Value& value, const JsonStyle& style) {
  JsonWriter writer(runtime, style);
  writer.write(value);
  return writer.finish();
}

Value from_json(Runtime& runtime, const nlohmann::ordered_json& json) {
  runtime.step();
  switch (json.type()) {
    case nlohmann::json::value_t::null:
      return Value(None{});
    case nlohmann::json::value_t::boolean:
      return Value(json.get<bool>());
    case nlohmann::json::value_t::number_integer:
      return Value(json.get<std::int64_t>());
    case nlohmann::json::value_t::number_unsigned:
      if (json.get<std::uint64_t>() > std::numeric_limits<std::int64_t>::max()) {
        throw TemplateError("a variable holds an integer beyond 64 bits");
      }
      return Value(json.get<std::int64_t>());
    case nlohmann::json::value_t::number_float:
      return Value(json.get<double>());
    case nlohmann::json::value_t::string: {
      const auto& text = json.get_ref<const std::string&>();
      if (utf8::find_invalid(text))
        throw TemplateError("a variable holds a text that is not UTF-8");
      return runtime.text(text);
    }
    case nlohmann::json::value_t::array: {
      const Runtime::Nesting nesting(runtime);
      std::vector<Value> elements;
      for (const auto& element : json) elements.push_back(from_json(runtime, element));
      return runtime.list(std::move(elements));
    }
    case nlohmann::json::value_t::object: {
      const Runtime::Nesting nesting(runtime);
      Dict::Entries entries;
      for (const auto& [key, value] : json.items()) {
        if (utf8::find_invalid(key)) throw TemplateError("a variable has a key that is not UTF-8");
        entries.emplace_back(runtime.text(key), from_json(runtime, value));
      }
      return runtime.dict(entries);
    }
    case nlohmann::json::value_t::binary:
    case nlohmann::json::value_t::discarded:
      break;
  }
  throw TemplateError("a variable is not JSON");
}

}  // namespace plimsoll::jinja
