#include "text/jinja/print.h"

#include <fmt/format.h>

#include <cmath>

#include "text/jinja/characters.h"

namespace plimsoll::jinja {

namespace {

/// What repr() writes for a character that it does not show.
std::string escaped(char32_t c) {
  const auto code = static_cast<std::uint32_t>(c);
  if (code < 0x100) return fmt::format("\\x{:02x}", code);
  if (code < 0x10000) return fmt::format("\\u{:04x}", code);
  return fmt::format("\\U{:08x}", code);
}

void print_quoted(std::string_view text, Builder* out) {
  const bool double_quotes =
      text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos;
  const char quote = double_quotes ? '"' : '\'';
  std::string quoted(1, quote);
  for (std::size_t at = 0; at < text.size();) {
    const std::string_view bytes = code_point_at(text, at);
    const char32_t c = next_code_point(text, &at);
    if (c == static_cast<char32_t>(quote) || c == '\\') {
      quoted.append("\\").append(bytes);
    } else if (c == '\n') {
      quoted += "\\n";
    } else if (c == '\r') {
      quoted += "\\r";
    } else if (c == '\t') {
      quoted += "\\t";
    } else if (c < 0x20 || c == 0x7F || (c >= 0x80 && !is_printable(c))) {
      quoted += escaped(c);
    } else {
      quoted += bytes;
    }
  }
  out->append(quoted += quote);
}

void print_repr(Runtime& runtime, const Value& value, Builder* out);

void print_elements(Runtime& runtime, const std::vector<Value>& elements, Builder* out) {
  const Runtime::Nesting nesting(runtime);
  for (std::size_t i = 0; i < elements.size(); ++i) {
    if (i > 0) out->append(", ");
    print_repr(runtime, elements[i], out);
  }
}

void print_sequence(Runtime& runtime, const Sequence& sequence, Builder* out) {
  switch (sequence.kind) {
    case Sequence::Kind::list:
      out->append("[");
      print_elements(runtime, sequence.elements, out);
      return out->append("]");
    case Sequence::Kind::tuple:
    case Sequence::Kind::group:
      out->append("(");
      print_elements(runtime, sequence.elements, out);
      return out->append(sequence.elements.size() == 1 ? ",)" : ")");
    case Sequence::Kind::keys:
    case Sequence::Kind::values:
    case Sequence::Kind::items:
      out->append(type_name(Value(&sequence)) + "([");
      print_elements(runtime, sequence.elements, out);
      return out->append("])");
    case Sequence::Kind::range:
    case Sequence::Kind::generator:
      throw TemplateError(
          fmt::format("a {} has no text; make it a list first", type_name(Value(&sequence))));
  }
}

void print_dict(Runtime& runtime, const Dict& dict, Builder* out) {
  const Runtime::Nesting nesting(runtime);
  out->append("{");
  bool first = true;
  for (const auto& [key, value] : dict.entries()) {
    if (!first) out->append(", ");
    first = false;
    print_repr(runtime, key, out);
    out->append(": ");
    print_repr(runtime, value, out);
  }
  out->append("}");
}

[[noreturn]] void refuse_text(const Value& value) {
  throw TemplateError(fmt::format("a {} has no text", type_name(value)));
}

void print_repr(Runtime& runtime, const Value& value, Builder* out) {
  runtime.step();
  std::visit(
      Overloaded{
          [&](Undefined) { out->append("Undefined"); },
          [&](None) { out->append("None"); },
          [&](bool flag) { out->append(flag ? "True" : "False"); },
          [&](std::int64_t number) { out->append(fmt::to_string(number)); },
          [&](double number) { out->append(float_text(number)); },
          [&](const Text* text) {
            if (text->markup) out->append("Markup(");
            print_quoted(text->bytes, out);
            if (text->markup) out->append(")");
          },
          [&](const Sequence* sequence) { print_sequence(runtime, *sequence, out); },
          [&](const Dict* dict) { print_dict(runtime, *dict, out); },
          [&](Namespace*) { refuse_text(value); },
          [&](const Callable*) { refuse_text(value); },
          [&](Loop* loop) {
            out->append(fmt::format("<LoopContext {}/{}>", loop->index0 + 1, loop->items.size()));
          },
      },
      value.storage());
}

}  // namespace

void print(Runtime& runtime, const Value& value, Builder* out) {
  if (const Text* text = value.text()) {
    out->append(text->bytes);
  } else if (!value.is_undefined()) {
    print_repr(runtime, value, out);
  }
}

std::string to_text(Runtime& runtime, const Value& value) {
  Builder out(runtime);
  print(runtime, value, &out);
  return out.release();
}

std::string to_repr(Runtime& runtime, const Value& value) {
  Builder out(runtime);
  print_repr(runtime, value, &out);
  return out.release();
}

std::string float_text(double number) {
  if (std::isnan(number)) return "nan";
  std::string text = fmt::format("{}", number);
  if (std::isfinite(number) && text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

}  // namespace plimsoll::jinja
