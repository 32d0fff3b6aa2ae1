#include <fmt/format.h>

#include <algorithm>

#include "text/jinja/attributes.h"
#include "text/jinja/characters.h"
#include "text/jinja/format.h"
#include "text/jinja/format_spec.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"

namespace plimsoll::jinja {

namespace {

bool is_align(char c) {
  return c == '<' || c == '>' || c == '^' || c == '=';
}

FormatSpec parse_spec(std::string_view text) {
  FormatSpec spec;
  std::size_t at = 0;
  const auto peek = [&] { return at < text.size() ? text[at] : '\0'; };
  const std::size_t fill_size = text.empty() ? 0 : code_point_at(text, 0).size();
  if (fill_size > 0 && fill_size < text.size() && is_align(text[fill_size])) {
    spec.fill = text.substr(0, fill_size);
    at = fill_size;
  }
  if (is_align(peek())) spec.align = text[at++];
  if (peek() == '+' || peek() == ' ' || peek() == '-') spec.sign = text[at++];
  if (peek() == '#') {
    spec.alternate = true;
    ++at;
  }
  if (peek() == '0' && spec.align == 0) {
    spec.align = '=';
    spec.fill = "0";
  }
  spec.width = read_number(text, &at).value_or(0);
  if (peek() == ',' || peek() == '_') spec.grouping = text[at++];
  if (peek() == '.') {
    ++at;
    spec.precision = read_number(text, &at);
    if (!spec.precision) throw TemplateError("Format specifier missing precision");
  }
  if (at < text.size()) spec.type = text[at++];
  if (at < text.size()) throw TemplateError(fmt::format("Invalid format specifier '{}'", text));
  return spec;
}

class BraceFormatter {
 public:
  BraceFormatter(Runtime& runtime, std::string_view format, const Arguments& arguments)
      : runtime_(runtime), format_(format), arguments_(arguments), out_(runtime) {}

  Value run() {
    std::size_t at = 0;
    while (at < format_.size()) {
      const std::size_t brace = std::min(format_.find_first_of("{}", at), format_.size());
      out_.append(format_.substr(at, brace - at));
      if (brace == format_.size()) break;
      if (brace + 1 < format_.size() && format_[brace + 1] == format_[brace]) {
        out_.append(format_.substr(brace, 1));
        at = brace + 2;
        continue;
      }
      const std::size_t close = format_.find_first_of("{}", brace + 1);
      if (format_[brace] == '}' || close == std::string_view::npos) {
        throw TemplateError("a single brace in a format string");
      }
      if (format_[close] == '{') {
        throw TemplateError("a format string's field within a field is not supported");
      }
      field(format_.substr(brace + 1, close - brace - 1));
      at = close + 1;
    }
    return out_.finish();
  }

 private:
  void field(std::string_view text) {
    const std::size_t colon = std::min(text.find(':'), text.size());
    std::string_view path = text.substr(0, colon);
    const std::string_view spec = text.substr(std::min(colon + 1, text.size()));
    char conversion = 0;
    if (const std::size_t mark = path.find('!'); mark != std::string_view::npos) {
      if (mark + 2 != path.size() || (path[mark + 1] != 'r' && path[mark + 1] != 's')) {
        throw TemplateError("a format string's conversion is neither !r nor !s");
      }
      conversion = path[mark + 1];
      path = path.substr(0, mark);
    }
    const Value value = lookup(path);
    if (conversion == 0) return write(value, parse_spec(spec), spec.empty());
    format_text(conversion == 'r' ? to_repr(runtime_, value) : to_text(runtime_, value),
                parse_spec(spec), &out_);
  }

  /// NAME, NAME.attribute, NAME[key] and so on.
  Value lookup(std::string_view path) {
    const std::size_t end = std::min(path.find_first_of(".["), path.size());
    Value value = argument(path.substr(0, end));
    for (std::size_t at = end; at < path.size();) {
      const bool bracket = path[at] == '[';
      const std::size_t stop =
          bracket ? path.find(']', at) : std::min(path.find_first_of(".[", at + 1), path.size());
      if (stop == std::string_view::npos) throw TemplateError("a format string lacks ']'");
      const std::string_view name = path.substr(at + 1, stop - at - 1);
      std::size_t digits = 0;
      const std::optional<std::uint64_t> index = read_number(name, &digits);
      if (bracket && index && digits == name.size()) {
        value = get_item(runtime_, value, Value(static_cast<std::int64_t>(*index)));
      } else if (bracket) {
        value = get_item(runtime_, value, runtime_.text(std::string(name)));
      } else {
        value = get_attribute(runtime_, value, name);
      }
      require_defined(value);
      at = stop + (bracket ? 1 : 0);
    }
    return value;
  }

  Value argument(std::string_view name) {
    std::size_t digits = 0;
    std::optional<std::uint64_t> index = read_number(name, &digits);
    if (name.empty()) index = next_++;
    if (index && digits == name.size()) {
      if (*index < arguments_.positional.size()) return arguments_.positional[*index];
      throw TemplateError(fmt::format("format has no argument number {}", *index));
    }
    const auto found = std::find_if(arguments_.named.begin(), arguments_.named.end(),
                                    [&](const auto& entry) { return entry.first == name; });
    if (found == arguments_.named.end()) {
      throw TemplateError(fmt::format("format has no argument '{}'", name));
    }
    return found->second;
  }

  void write(const Value& value, const FormatSpec& spec, bool plain) {
    if (plain) return print(runtime_, value, &out_);
    if (const Text* text = value.text()) return format_text(text->bytes, spec, &out_);
    if (const auto* real = value.get_if<double>()) return format_real(*real, spec, &out_);
    if (const std::optional<std::int64_t> whole = as_integer(value)) {
      return format_integer(*whole, spec, &out_);
    }
    throw TemplateError(
        fmt::format("unsupported format string passed to {}.__format__", type_name(value)));
  }

  Runtime& runtime_;
  std::string_view format_;
  const Arguments& arguments_;
  Builder out_;
  std::size_t next_ = 0;
};

}  // namespace

Value brace_format(Runtime& runtime, const Text& format, const Arguments& arguments) {
  return BraceFormatter(runtime, format.bytes, arguments).run();
}

}  // namespace plimsoll::jinja
