#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <limits>

#include "text/jinja/arguments.h"
#include "text/jinja/builtins.h"
#include "text/jinja/operators.h"
#include "text/jinja/text_operations.h"

namespace plimsoll::jinja {

namespace {

/// Digits between which Python allows single underscores, without them; nothing when one is
/// misplaced.
std::optional<std::string> without_underscores(std::string_view text) {
  std::string digits;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      digits += text[i];
      continue;
    }
    const bool between = i > 0 && i + 1 < text.size() && std::isalnum(text[i - 1]) != 0 &&
                         std::isalnum(text[i + 1]) != 0;
    if (!between) return std::nullopt;
  }
  return digits;
}

/// int(text, base); nothing where Python raises ValueError.
std::optional<std::int64_t> parse_integer(Runtime& runtime, std::string_view text, int base) {
  std::string_view rest = strip(runtime, text, std::nullopt, true, true);
  const bool negative = rest.starts_with('-');
  if (negative || rest.starts_with('+')) rest.remove_prefix(1);
  const auto skip_prefix = [&](std::string_view lower, std::string_view upper, int its_base) {
    if (base != its_base && base != 0) return;
    if (!rest.starts_with(lower) && !rest.starts_with(upper)) return;
    rest.remove_prefix(2);
    base = its_base;
    if (rest.starts_with('_')) rest.remove_prefix(1);
  };
  skip_prefix("0x", "0X", 16);
  skip_prefix("0o", "0O", 8);
  skip_prefix("0b", "0B", 2);
  if (base == 0) base = 10;
  const std::optional<std::string> digits = without_underscores(rest);
  if (!digits || digits->empty() || digits->front() == '-') return std::nullopt;
  std::int64_t number = 0;
  const std::string signed_digits = (negative ? "-" : "") + *digits;
  const char* end = signed_digits.data() + signed_digits.size();
  const auto [stopped, error] = std::from_chars(signed_digits.data(), end, number, base);
  if (error == std::errc::result_out_of_range) {
    throw TemplateError("filter 'int': an integer leaves 64 bits");
  }
  if (error != std::errc() || stopped != end) return std::nullopt;
  return number;
}

/// float(text); nothing where Python raises ValueError.
std::optional<double> parse_real(Runtime& runtime, std::string_view text) {
  std::string_view rest = strip(runtime, text, std::nullopt, true, true);
  if (rest.starts_with('+') && !rest.starts_with("+-")) rest.remove_prefix(1);
  const std::optional<std::string> digits = without_underscores(rest);
  // from_chars knows nan(...) too, which Python does not.
  if (!digits || digits->find('(') != std::string::npos) return std::nullopt;
  double number = 0;
  const char* end = digits->data() + digits->size();
  const auto [stopped, error] = std::from_chars(digits->data(), end, number);
  if (stopped != end || error == std::errc::invalid_argument) return std::nullopt;
  if (error == std::errc::result_out_of_range) {
    const bool tiny =
        digits->find("e-") != std::string::npos || digits->find("E-") != std::string::npos;
    return tiny ? 0.0
                : std::copysign(std::numeric_limits<double>::infinity(),
                                digits->starts_with('-') ? -1 : 1);
  }
  return number;
}

std::int64_t truncated(double number) {
  if (std::isnan(number) || std::abs(number) >= 9223372036854775807.0) {
    throw TemplateError("filter 'int': a float is beyond 64 bits");
  }
  return static_cast<std::int64_t>(number);
}

Value to_int(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const Parameters parameters("filter 'int'", arguments, {"default", "base"});
  require_defined(subject);
  const Value otherwise = parameters.given(0) ? parameters.value(0) : Value(std::int64_t{0});
  if (const std::optional<std::int64_t> whole = as_integer(subject)) return Value(*whole);
  if (const auto* real = subject.get_if<double>()) {
    return std::isnan(*real) ? otherwise : Value(truncated(*real));
  }
  const Text* text = subject.text();
  if (text == nullptr) return otherwise;
  const std::int64_t base = parameters.integer(1, 10);
  const bool known = base == 0 || (base >= 2 && base <= 36);
  if (known) {
    const auto whole = parse_integer(runtime, text->bytes, static_cast<int>(base));
    if (whole) return Value(*whole);
  }
  const std::optional<double> real = parse_real(runtime, text->bytes);
  return real && !std::isnan(*real) ? Value(truncated(*real)) : otherwise;
}

Value to_float(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const Parameters parameters("filter 'float'", arguments, {"default"});
  require_defined(subject);
  if (const std::optional<double> real = as_real(subject)) return Value(*real);
  if (const Text* text = subject.text()) {
    if (const std::optional<double> real = parse_real(runtime, text->bytes)) return Value(*real);
  }
  return parameters.given(0) ? parameters.value(0) : Value(0.0);
}

Value absolute(Runtime&, const Value& subject, const Arguments& arguments) {
  const Parameters none("filter 'abs'", arguments, {});
  require_defined(subject);
  if (const std::optional<std::int64_t> whole = as_integer(subject)) {
    return *whole < 0 ? negative(subject) : Value(*whole);
  }
  if (const auto* real = subject.get_if<double>()) return Value(std::abs(*real));
  throw TemplateError(fmt::format("bad operand type for abs(): '{}'", type_name(subject)));
}

/// round(number, precision): half to even, of the number's exact decimal digits.
double rounded(double number, std::int64_t precision) {
  constexpr std::int64_t kDigitsOfAnyDouble = 350;
  if (!std::isfinite(number) || precision > kDigitsOfAnyDouble) return number;
  if (precision < -kDigitsOfAnyDouble) return std::copysign(0.0, number);
  if (precision < 0) {
    const double scale = std::pow(10.0, static_cast<double>(-precision));
    return std::nearbyint(number / scale) * scale;
  }
  const std::string digits = fmt::format("{:.{}f}", number, static_cast<int>(precision));
  double result = number;
  std::from_chars(digits.data(), digits.data() + digits.size(), result);
  return result;
}

Value round(Runtime&, const Value& subject, const Arguments& arguments) {
  const Parameters parameters("filter 'round'", arguments, {"precision", "method"});
  require_defined(subject);
  const std::int64_t precision = parameters.integer(0, 0);
  const std::string_view method = parameters.text(1, "common");
  const std::optional<double> real = as_real(subject);
  if (!real) {
    throw TemplateError(
        fmt::format("filter 'round': found {}, expected a number", type_name(subject)));
  }
  if (method == "common") {
    const std::optional<std::int64_t> whole = as_integer(subject);
    if (!whole) return Value(rounded(*real, precision));
    return precision >= 0 ? Value(*whole) : Value(truncated(rounded(*real, precision)));
  }
  const double scale = std::pow(10.0, static_cast<double>(precision));
  if (method == "ceil") return Value(std::ceil(*real * scale) / scale);
  if (method == "floor") return Value(std::floor(*real * scale) / scale);
  throw TemplateError("filter 'round': method must be common, ceil or floor");
}

}  // namespace

void add_number_filters(FilterTable* table) {
  table->insert({{"int", to_int}, {"float", to_float}, {"abs", absolute}, {"round", round}});
}

}  // namespace plimsoll::jinja
