// The expressions of Interpreter.
#include <fmt/format.h>

#include "text/jinja/attributes.h"
#include "text/jinja/builtins.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"

namespace plimsoll::jinja {

Value Interpreter::evaluate(const Expression& expression, Scope* scope) {
  using Kind = Expression::Kind;
  const Runtime::Nesting nesting(runtime_, 0);
  runtime_.step();
  line_ = expression.line;
  const auto part = [&](std::size_t index) { return evaluate(*expression.parts[index], scope); };
  switch (expression.kind) {
    case Kind::constant:
      return expression.constant;
    case Kind::name:
      return lookup(scope, expression.name);
    case Kind::list:
    case Kind::tuple:
      return elements(expression, scope);
    case Kind::dict:
      return dict(expression, scope);
    case Kind::attribute: {
      const Value object = part(0);
      line_ = expression.line;
      return get_attribute(runtime_, object, expression.name);
    }
    case Kind::item: {
      const Value object = part(0);
      const Value key = part(1);
      line_ = expression.line;
      return get_item(runtime_, object, key);
    }
    case Kind::slice:
      return slice(expression, scope);
    case Kind::call:
      return call(expression, scope, nullptr);
    case Kind::filter:
      return filter(expression, part(0), scope);
    case Kind::test:
      return test(expression, scope);
    case Kind::negative:
      return negative(part(0));
    case Kind::positive:
      return positive(part(0));
    case Kind::logical_not:
      return Value(!truthy(part(0)));
    case Kind::logical_and: {
      const Value left = part(0);
      return truthy(left) ? part(1) : left;
    }
    case Kind::logical_or: {
      const Value left = part(0);
      return truthy(left) ? left : part(1);
    }
    case Kind::comparison:
      return comparison(expression, scope);
    case Kind::arithmetic:
      return arithmetic_operation(expression, scope);
    case Kind::concat:
      return concat(expression, scope);
    case Kind::conditional:
      return conditional_value(expression, scope);
  }
  return {};
}

Value Interpreter::elements(const Expression& expression, Scope* scope) {
  std::vector<Value> values;
  for (const Expression* part : expression.parts) values.push_back(evaluate(*part, scope));
  return expression.kind == Expression::Kind::list ? runtime_.list(std::move(values))
                                                   : runtime_.tuple(std::move(values));
}

Value Interpreter::dict(const Expression& expression, Scope* scope) {
  Dict::Entries entries;
  for (std::size_t i = 0; i < expression.parts.size(); i += 2) {
    const Value key = evaluate(*expression.parts[i], scope);
    entries.emplace_back(key, evaluate(*expression.parts[i + 1], scope));
  }
  return runtime_.dict(entries);
}

Value Interpreter::slice(const Expression& expression, Scope* scope) {
  const auto bound = [&](std::size_t index) {
    const Expression* part = expression.parts[index];
    return part == nullptr ? Value(None{}) : evaluate(*part, scope);
  };
  const Value object = evaluate(*expression.parts[0], scope);
  const Value start = bound(1);
  const Value stop = bound(2);
  const Value step = bound(3);
  line_ = expression.line;
  return get_slice(runtime_, object, start, stop, step);
}

Arguments Interpreter::arguments(const Expression& expression, Scope* scope) {
  Arguments given;
  for (std::size_t i = 1; i < expression.parts.size(); ++i) {
    given.positional.push_back(evaluate(*expression.parts[i], scope));
  }
  if (expression.spread != nullptr) {
    const std::vector<Value> more = iterate(runtime_, evaluate(*expression.spread, scope));
    given.positional.insert(given.positional.end(), more.begin(), more.end());
  }
  for (const auto& [name, value] : expression.named) {
    given.named.emplace_back(name, evaluate(*value, scope));
  }
  if (expression.named_spread != nullptr) {
    const Value more = evaluate(*expression.named_spread, scope);
    if (more.dict() == nullptr) throw TemplateError("the argument after ** must be a mapping");
    for (const auto& [key, value] : more.dict()->entries()) {
      if (key.text() == nullptr) throw TemplateError("keywords must be strings");
      given.named.emplace_back(key.text()->bytes, value);
    }
  }
  return given;
}

Value Interpreter::call(const Expression& expression, Scope* scope, const Value* caller) {
  const Value function = evaluate(*expression.parts[0], scope);
  Arguments given = arguments(expression, scope);
  if (caller != nullptr) given.named.emplace_back("caller", *caller);
  line_ = expression.line;
  return runtime_.call(function, given);
}

Value Interpreter::filter(const Expression& expression, const Value& subject, Scope* scope) {
  const Arguments given = arguments(expression, scope);
  line_ = expression.line;
  return apply_filter(runtime_, expression.name, subject, given);
}

Value Interpreter::test(const Expression& expression, Scope* scope) {
  const Value subject = evaluate(*expression.parts[0], scope);
  const Arguments given = arguments(expression, scope);
  line_ = expression.line;
  return Value(apply_test(runtime_, expression.name, subject, given));
}

Value Interpreter::comparison(const Expression& expression, Scope* scope) {
  Value left = evaluate(*expression.parts[0], scope);
  for (std::size_t i = 0; i < expression.comparisons.size(); ++i) {
    const Value right = evaluate(*expression.parts[i + 1], scope);
    line_ = expression.line;
    if (!compare(runtime_, expression.comparisons[i], left, right)) return Value(false);
    left = right;
  }
  return Value(true);
}

Value Interpreter::arithmetic_operation(const Expression& expression, Scope* scope) {
  const Value left = evaluate(*expression.parts[0], scope);
  const Value right = evaluate(*expression.parts[1], scope);
  line_ = expression.line;
  return arithmetic(runtime_, expression.operation, left, right);
}

Value Interpreter::concat(const Expression& expression, Scope* scope) {
  Builder joined(runtime_);
  for (const Expression* part : expression.parts) {
    print(runtime_, evaluate(*part, scope), &joined);
  }
  return joined.finish();
}

Value Interpreter::conditional_value(const Expression& expression, Scope* scope) {
  const bool holds = truthy(evaluate(*expression.parts[0], scope));
  if (holds) return evaluate(*expression.parts[1], scope);
  if (expression.parts[2] != nullptr) return evaluate(*expression.parts[2], scope);
  return runtime_.undefined(
      fmt::format("the inline if-expression on line {} has no else", expression.line));
}

}  // namespace plimsoll::jinja
