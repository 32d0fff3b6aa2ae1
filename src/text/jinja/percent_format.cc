#include <fmt/format.h>

#include <cmath>

#include "text/jinja/characters.h"
#include "text/jinja/format.h"
#include "text/jinja/format_spec.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/utf8.h"

namespace plimsoll::jinja {

namespace {

class PercentFormatter {
 public:
  PercentFormatter(Runtime& runtime, std::string_view format, const Value& values)
      : runtime_(runtime), format_(format), values_(values), out_(runtime) {}

  Value run() {
    while (at_ < format_.size()) {
      const std::size_t percent = std::min(format_.find('%', at_), format_.size());
      out_.append(format_.substr(at_, percent - at_));
      at_ = percent;
      if (at_ < format_.size()) conversion();
    }
    // Whatever takes an index counts as a mapping, which may have more than the format asks for.
    const bool indexed = values_.dict() != nullptr || values_.is_undefined() ||
                         (values_.sequence() != nullptr && values_.sequence()->indexed());
    if (tuple() != nullptr ? next_ < tuple()->elements.size() : !indexed && next_ == 0) {
      throw TemplateError("not all arguments converted during string formatting");
    }
    return out_.finish();
  }

 private:
  const Sequence* tuple() const {
    const Sequence* sequence = values_.sequence();
    return sequence != nullptr && sequence->is_tuple() ? sequence : nullptr;
  }

  char peek() const {
    if (at_ >= format_.size()) throw TemplateError("incomplete format");
    return format_[at_];
  }

  Value next_value() {
    const std::size_t available = tuple() == nullptr ? 1 : tuple()->elements.size();
    if (next_ >= available) throw TemplateError("not enough arguments for format string");
    return tuple() == nullptr ? (++next_, values_) : tuple()->elements[next_++];
  }

  Value named_value() {
    const std::size_t close = format_.find(')', at_);
    if (close == std::string_view::npos) throw TemplateError("incomplete format key");
    const std::string_view name = format_.substr(at_ + 1, close - at_ - 1);
    at_ = close + 1;
    if (values_.dict() == nullptr) throw TemplateError("format requires a mapping");
    const Value* found = values_.dict()->find(name);
    if (found == nullptr) throw TemplateError(fmt::format("format has no value for '{}'", name));
    return *found;
  }

  /// One %..., with at_ at the percent sign.
  void conversion() {
    ++at_;
    std::optional<Value> value;
    if (peek() == '(') value = named_value();
    FormatSpec spec;
    spec.align = '>';
    for (; std::string_view("-+ #0").find(peek()) != std::string_view::npos; ++at_) {
      if (peek() == '-') spec.align = '<';
      if (peek() == '+') spec.sign = '+';
      if (peek() == ' ' && spec.sign != '+') spec.sign = ' ';
      if (peek() == '#') spec.alternate = true;
      if (peek() == '0' && spec.align != '<') spec.align = '=';
    }
    spec.width = read_number(format_, &at_).value_or(0);
    if (peek() == '.') {
      ++at_;
      spec.precision = read_number(format_, &at_).value_or(0);
    }
    while (std::string_view("hlL").find(peek()) != std::string_view::npos) ++at_;
    spec.type = peek();
    ++at_;
    if (spec.type == '%') return out_.append("%");
    write(value ? *value : next_value(), spec);
  }

  void write(const Value& value, FormatSpec spec) {
    const bool numeric = std::string_view("diuoxXeEfFgG").find(spec.type) != std::string_view::npos;
    if (spec.align == '=' && numeric) spec.fill = "0";
    if (!numeric && spec.align == '=') spec.align = '>';
    switch (spec.type) {
      case 's':
      case 'r': {
        const std::string text =
            spec.type == 's' ? to_text(runtime_, value) : to_repr(runtime_, value);
        spec.type = 's';
        return format_text(text, spec, &out_);
      }
      case 'c':
        spec.type = 's';
        return format_text(character(value), spec, &out_);
      default:
        break;
    }
    if (!numeric) {
      throw TemplateError(fmt::format("unsupported format character '{}'", spec.type));
    }
    write_number(value, spec);
  }

  void write_number(const Value& value, const FormatSpec& spec) {
    require_defined(value);
    const std::optional<double> real = as_real(value);
    if (!real) {
      throw TemplateError(
          fmt::format("%{} format: a number is required, not {}", spec.type, type_name(value)));
    }
    if (std::string_view("eEfFgG").find(spec.type) != std::string_view::npos) {
      return format_real(*real, spec, &out_);
    }
    const std::optional<std::int64_t> whole = as_integer(value);
    if (!whole && (std::string_view("oxX").find(spec.type) != std::string_view::npos ||
                   !(std::abs(*real) < 9.2e18))) {
      throw TemplateError(
          fmt::format("%{} format: an integer is required, not {}", spec.type, type_name(value)));
    }
    format_integer(whole ? *whole : static_cast<std::int64_t>(*real), spec, &out_);
  }

  std::string character(const Value& value) const {
    if (const Text* text = value.text(); text != nullptr && text->length == 1) return text->bytes;
    const std::optional<std::int64_t> code = as_integer(value);
    const bool valid =
        code && *code >= 0 && *code <= 0x10FFFF && (*code < 0xD800 || *code > 0xDFFF);
    if (!valid) throw TemplateError("%c requires int or char");
    std::string text;
    utf8::append(text, static_cast<char32_t>(*code));
    return text;
  }

  Runtime& runtime_;
  std::string_view format_;
  const Value& values_;
  Builder out_;
  std::size_t at_ = 0;
  std::size_t next_ = 0;
};

}  // namespace

Value percent_format(Runtime& runtime, const Text& format, const Value& values) {
  return PercentFormatter(runtime, format.bytes, values).run();
}

}  // namespace plimsoll::jinja
