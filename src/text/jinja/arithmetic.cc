// The arithmetic half of operators.h.
#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "text/jinja/format.h"
#include "text/jinja/operators.h"

namespace plimsoll::jinja {

namespace {

constexpr std::int64_t kSmallest = std::numeric_limits<std::int64_t>::min();

std::string_view symbol(Operator operation) {
  switch (operation) {
    case Operator::add:
      return "+";
    case Operator::subtract:
      return "-";
    case Operator::multiply:
      return "*";
    case Operator::divide:
      return "/";
    case Operator::floor_divide:
      return "//";
    case Operator::modulo:
      return "%";
    case Operator::power:
      return "**";
  }
  return "";
}

[[noreturn]] void refuse_operands(Operator operation, const Value& a, const Value& b) {
  throw TemplateError(fmt::format("unsupported operand type(s) for {}: '{}' and '{}'",
                                  symbol(operation), type_name(a), type_name(b)));
}

[[noreturn]] void refuse_overflow() {
  throw TemplateError("an integer leaves 64 bits");
}
[[noreturn]] void refuse_zero() {
  throw TemplateError("division by zero");
}

Value whole_power(std::int64_t base, std::int64_t exponent) {
  std::int64_t result = 1;
  while (exponent > 0) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) refuse_overflow();
    exponent >>= 1;
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) refuse_overflow();
  }
  return Value(result);
}

Value real_power(double a, double b) {
  if (a == 0 && b < 0) refuse_zero();
  const double result = std::pow(a, b);
  if (std::isnan(result) && !std::isnan(a) && !std::isnan(b)) {
    throw TemplateError("a power of a negative number is not real");
  }
  if (std::isinf(result) && !std::isinf(a) && !std::isinf(b)) {
    throw TemplateError("a power is too large");
  }
  return Value(result);
}

/// Python rounds the quotient down and gives the remainder the divisor's sign.
Value whole_floor_divide(std::int64_t a, std::int64_t b) {
  if (b == 0) refuse_zero();
  if (a == kSmallest && b == -1) refuse_overflow();
  const std::int64_t quotient = a / b;
  return Value(a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient);
}

Value whole_modulo(std::int64_t a, std::int64_t b) {
  if (b == 0) refuse_zero();
  if (b == -1) return Value(std::int64_t{0});
  const std::int64_t remainder = a % b;
  return Value(remainder != 0 && (remainder < 0) != (b < 0) ? remainder + b : remainder);
}

double real_modulo(double a, double b) {
  const double remainder = std::fmod(a, b);
  if (remainder == 0) return std::copysign(0.0, b);
  return (remainder < 0) != (b < 0) ? remainder + b : remainder;
}

double real_floor_divide(double a, double b) {
  const double quotient = (a - real_modulo(a, b)) / b;
  const double down = std::floor(quotient);
  return quotient - down > 0.5 ? down + 1 : down;
}

Value on_integers(Operator operation, std::int64_t a, std::int64_t b) {
  std::int64_t result = 0;
  switch (operation) {
    case Operator::add:
      if (__builtin_add_overflow(a, b, &result)) refuse_overflow();
      return Value(result);
    case Operator::subtract:
      if (__builtin_sub_overflow(a, b, &result)) refuse_overflow();
      return Value(result);
    case Operator::multiply:
      if (__builtin_mul_overflow(a, b, &result)) refuse_overflow();
      return Value(result);
    case Operator::divide:
      if (b == 0) refuse_zero();
      return Value(static_cast<double>(a) / static_cast<double>(b));
    case Operator::floor_divide:
      return whole_floor_divide(a, b);
    case Operator::modulo:
      return whole_modulo(a, b);
    case Operator::power:
      if (b >= 0) return whole_power(a, b);
      return real_power(static_cast<double>(a), static_cast<double>(b));
  }
  return {};
}

Value on_reals(Operator operation, double a, double b) {
  const bool divides = operation == Operator::divide || operation == Operator::floor_divide ||
                       operation == Operator::modulo;
  if (divides && b == 0) refuse_zero();
  switch (operation) {
    case Operator::add:
      return Value(a + b);
    case Operator::subtract:
      return Value(a - b);
    case Operator::multiply:
      return Value(a * b);
    case Operator::divide:
      return Value(a / b);
    case Operator::floor_divide:
      return Value(real_floor_divide(a, b));
    case Operator::modulo:
      return Value(real_modulo(a, b));
    case Operator::power:
      return real_power(a, b);
  }
  return {};
}

Value joined_texts(Runtime& runtime, const Text& a, const Text& b) {
  const bool markup = a.markup || b.markup;
  Builder builder(runtime);
  const auto append = [&](const Text& part) {
    if (markup && !part.markup) {
      builder.append(escape_html(runtime, part.bytes));
    } else {
      builder.append(part.bytes);
    }
  };
  append(a);
  append(b);
  return builder.finish(markup);
}

Value joined_sequences(Runtime& runtime, const Sequence& a, const Sequence& b) {
  runtime.take((a.elements.size() + b.elements.size()) * sizeof(Value));
  std::vector<Value> elements = a.elements;
  elements.insert(elements.end(), b.elements.begin(), b.elements.end());
  return runtime.sequence(a.is_tuple() ? Sequence::Kind::tuple : a.kind, std::move(elements));
}

/// A text or a list times a number; nothing for other operands.
std::optional<Value> repeated(Runtime& runtime, const Value& value, std::int64_t count) {
  const auto times = static_cast<std::uint64_t>(std::max<std::int64_t>(count, 0));
  if (const Text* text = value.text()) {
    Builder builder(runtime);
    builder.append(times, text->bytes);
    return builder.finish(text->markup);
  }
  const Sequence* sequence = value.sequence();
  if (sequence == nullptr || !(sequence->kind == Sequence::Kind::list || sequence->is_tuple())) {
    return std::nullopt;
  }
  const std::uint64_t bytes = sequence->elements.size() * sizeof(Value);
  if (bytes > 0 && times > runtime.limits().value_bytes / bytes) {
    runtime.take(runtime.limits().value_bytes);
    runtime.take(1);
  }
  runtime.take(times * bytes);
  std::vector<Value> elements;
  elements.reserve(times * sequence->elements.size());
  for (std::uint64_t i = 0; i < (bytes == 0 ? 0 : times); ++i) {
    elements.insert(elements.end(), sequence->elements.begin(), sequence->elements.end());
  }
  return runtime.sequence(sequence->is_tuple() ? Sequence::Kind::tuple : sequence->kind,
                          std::move(elements));
}

std::optional<Value> on_containers(Runtime& runtime, Operator operation, const Value& a,
                                   const Value& b) {
  if (operation == Operator::modulo && a.text() != nullptr) {
    return percent_format(runtime, *a.text(), b);
  }
  if (operation == Operator::add) {
    if (a.text() != nullptr && b.text() != nullptr) {
      return joined_texts(runtime, *a.text(), *b.text());
    }
    const Sequence* left = a.sequence();
    const Sequence* right = b.sequence();
    const bool joinable = left != nullptr && right != nullptr &&
                          ((left->is_tuple() && right->is_tuple()) ||
                           (left->kind == Sequence::Kind::list && right->kind == left->kind));
    if (joinable) return joined_sequences(runtime, *left, *right);
  }
  if (operation == Operator::multiply) {
    if (const std::optional<std::int64_t> times = as_integer(b)) {
      return repeated(runtime, a, *times);
    }
    if (const std::optional<std::int64_t> times = as_integer(a)) {
      return repeated(runtime, b, *times);
    }
  }
  return std::nullopt;
}

}  // namespace

Value arithmetic(Runtime& runtime, Operator operation, const Value& a, const Value& b) {
  runtime.step();
  require_defined(a);
  // "%s" % undefined prints nothing; every other operator refuses it.
  if (operation != Operator::modulo || a.text() == nullptr) require_defined(b);
  const std::optional<std::int64_t> whole_a = as_integer(a);
  const std::optional<std::int64_t> whole_b = as_integer(b);
  if (whole_a && whole_b) return on_integers(operation, *whole_a, *whole_b);
  const std::optional<double> real_a = as_real(a);
  const std::optional<double> real_b = as_real(b);
  if (real_a && real_b) return on_reals(operation, *real_a, *real_b);
  if (std::optional<Value> result = on_containers(runtime, operation, a, b)) return *result;
  refuse_operands(operation, a, b);
}

Value negative(const Value& value) {
  require_defined(value);
  if (const std::optional<std::int64_t> whole = as_integer(value)) {
    if (*whole == kSmallest) refuse_overflow();
    return Value(-*whole);
  }
  if (const auto* real = value.get_if<double>()) return Value(-*real);
  throw TemplateError(fmt::format("bad operand type for unary -: '{}'", type_name(value)));
}

Value positive(const Value& value) {
  require_defined(value);
  if (const std::optional<std::int64_t> whole = as_integer(value)) return Value(*whole);
  if (value.is<double>()) return value;
  throw TemplateError(fmt::format("bad operand type for unary +: '{}'", type_name(value)));
}

}  // namespace plimsoll::jinja
