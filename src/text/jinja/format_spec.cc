#include "text/jinja/format_spec.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "text/jinja/characters.h"
#include "text/jinja/print.h"

namespace plimsoll::jinja {

namespace {

constexpr std::uint64_t kLargestNumber = 1ULL << 32;
/// A double has at most 1074 digits behind the point.
constexpr std::uint64_t kLargestPrecision = 1100;

void pad(std::string_view sign, std::string_view body, char align, const FormatSpec& spec,
         Builder* out) {
  const std::uint64_t length = count_code_points(sign) + count_code_points(body);
  const std::uint64_t padding = spec.width > length ? spec.width - length : 0;
  const std::uint64_t before = align == '<' ? 0 : align == '^' ? padding / 2 : padding;
  if (align == '=') out->append(sign);
  out->append(before, spec.fill);
  if (align != '=') out->append(sign);
  out->append(body);
  out->append(padding - before, spec.fill);
}

std::string_view sign_of(bool negative, const FormatSpec& spec) {
  if (negative) return "-";
  return spec.sign == '+' ? "+" : spec.sign == ' ' ? " " : "";
}

/// Separators into the digits before the point or the exponent.
std::string grouped(std::string digits, const FormatSpec& spec) {
  if (spec.grouping == 0) return digits;
  std::size_t end = digits.find_first_not_of("0123456789");
  if (end == std::string::npos) end = digits.size();
  for (std::size_t at = end; at > 3; at -= 3) digits.insert(at - 3, 1, spec.grouping);
  return digits;
}

[[noreturn]] void refuse_type(char type, std::string_view what) {
  throw TemplateError(fmt::format("Unknown format code '{}' for object of type '{}'", type, what));
}

}  // namespace

std::optional<std::uint64_t> read_number(std::string_view text, std::size_t* position) {
  std::optional<std::uint64_t> number;
  for (; *position < text.size() && text[*position] >= '0' && text[*position] <= '9'; ++*position) {
    number = number.value_or(0) * 10 + static_cast<std::uint64_t>(text[*position] - '0');
    if (*number > kLargestNumber) throw TemplateError("a format has too large a number");
  }
  return number;
}

void format_text(std::string_view text, const FormatSpec& spec, Builder* out) {
  if (spec.type != 0 && spec.type != 's') refuse_type(spec.type, "str");
  if (spec.align == '=') throw TemplateError("'=' alignment not allowed in string format");
  const std::string_view shown =
      spec.precision ? text.substr(0, byte_offset(text, *spec.precision)) : text;
  pad("", shown, spec.align == 0 ? '<' : spec.align, spec, out);
}

void format_integer(std::int64_t number, const FormatSpec& spec, Builder* out) {
  if (std::string_view("eEfFgG%").find(spec.type) != std::string_view::npos && spec.type != 0) {
    return format_real(static_cast<double>(number), spec, out);
  }
  // Negating the smallest integer does not fit, but its magnitude does without a sign.
  const std::uint64_t magnitude =
      number < 0 ? ~static_cast<std::uint64_t>(number) + 1 : static_cast<std::uint64_t>(number);
  std::string digits;
  std::string prefix;
  switch (spec.type) {
    case 0:
    case 'd':
    case 'i':
    case 'u':
    case 'n':
      digits = grouped(fmt::to_string(magnitude), spec);
      break;
    case 'x':
    case 'X':
      digits = spec.type == 'x' ? fmt::format("{:x}", magnitude) : fmt::format("{:X}", magnitude);
      prefix = spec.type == 'x' ? "0x" : "0X";
      break;
    case 'o':
      digits = fmt::format("{:o}", magnitude);
      prefix = "0o";
      break;
    case 'b':
      digits = fmt::format("{:b}", magnitude);
      prefix = "0b";
      break;
    default:
      refuse_type(spec.type, "int");
  }
  if (spec.precision && digits.size() < *spec.precision) {
    digits.insert(0, std::min(*spec.precision, kLargestPrecision) - digits.size(), '0');
  }
  const std::string sign = std::string(sign_of(number < 0, spec)) + (spec.alternate ? prefix : "");
  pad(sign, digits, spec.align == 0 ? '>' : spec.align, spec, out);
}

void format_real(double number, const FormatSpec& spec, Builder* out) {
  const double magnitude = std::abs(number);
  const auto precision = static_cast<int>(
      std::min(spec.precision.value_or(spec.type == 0 ? 12 : 6), kLargestPrecision));
  std::string digits;
  switch (spec.type) {
    case 0:
      if (!spec.precision) {
        digits = float_text(magnitude);
        break;
      }
      digits = fmt::format("{:.{}g}", magnitude, precision);
      if (digits.find_first_of(".ein") == std::string::npos) digits += ".0";
      break;
    case 'f':
    case 'F':
      digits = fmt::format("{:.{}f}", magnitude, precision);
      break;
    case 'e':
      digits = fmt::format("{:.{}e}", magnitude, precision);
      break;
    case 'E':
      digits = fmt::format("{:.{}E}", magnitude, precision);
      break;
    case 'g':
      digits = fmt::format("{:.{}g}", magnitude, precision);
      break;
    case 'G':
      digits = fmt::format("{:.{}G}", magnitude, precision);
      break;
    case '%':
      digits = fmt::format("{:.{}f}%", magnitude * 100, precision);
      break;
    default:
      refuse_type(spec.type, "float");
  }
  pad(sign_of(std::signbit(number) && !std::isnan(number), spec), grouped(digits, spec),
      spec.align == 0 ? '>' : spec.align, spec, out);
}

}  // namespace plimsoll::jinja
