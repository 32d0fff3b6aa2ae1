#include <fmt/format.h>

#include <algorithm>

#include "text/jinja/parser.h"

namespace plimsoll::jinja {

using Kind = Expression::Kind;

Expression* Parser::new_expression(Kind kind, int line) {
  Expression& made = program_->expressions.emplace_back();
  made.kind = kind;
  made.line = line;
  return &made;
}

Expression* Parser::binary(Kind kind, int line, const Expression* a, const Expression* b) {
  Expression* made = new_expression(kind, line);
  made->parts = {a, b};
  return made;
}

const Expression* Parser::expression(bool with_conditional) {
  const Nesting nesting(this);
  return with_conditional ? conditional() : logical_or();
}

bool Parser::at_tuple_end(std::string_view end_name) const {
  const Token& token = current();
  return token.kind == Token::Kind::variable_end || token.kind == Token::Kind::block_end ||
         token.is_operator(")") || (!end_name.empty() && token.is_name(end_name));
}

const Expression* Parser::tuple_or_expression(bool with_conditional, std::string_view end_name,
                                              bool parenthesised) {
  const int line = current().line;
  std::vector<const Expression*> elements;
  bool is_tuple = false;
  while (!at_tuple_end(end_name)) {
    elements.push_back(expression(with_conditional));
    if (!skip_operator(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && !elements.empty()) return elements.front();
  if (!is_tuple && !parenthesised) refuse("an expression");
  Expression* tuple = new_expression(Kind::tuple, line);
  tuple->parts = std::move(elements);
  return tuple;
}

const Expression* Parser::conditional() {
  const int line = current().line;
  const Expression* value = logical_or();
  while (skip_name("if")) {
    Expression* made = new_expression(Kind::conditional, line);
    const Expression* condition = logical_or();
    const Expression* otherwise = skip_name("else") ? expression() : nullptr;
    made->parts = {condition, value, otherwise};
    value = made;
  }
  return value;
}

const Expression* Parser::logical_or() {
  const int line = current().line;
  const Expression* left = logical_and();
  while (skip_name("or")) left = binary(Kind::logical_or, line, left, logical_and());
  return left;
}

const Expression* Parser::logical_and() {
  const int line = current().line;
  const Expression* left = logical_not();
  while (skip_name("and")) left = binary(Kind::logical_and, line, left, logical_not());
  return left;
}

const Expression* Parser::logical_not() {
  const int line = current().line;
  if (!skip_name("not")) return comparison();
  const Nesting nesting(this);
  Expression* made = new_expression(Kind::logical_not, line);
  made->parts = {logical_not()};
  return made;
}

const Expression* Parser::comparison() {
  struct Symbol {
    std::string_view text;
    Comparison comparison;
  };
  constexpr Symbol kSymbols[] = {{"==", Comparison::equal},  {"!=", Comparison::not_equal},
                                 {"<", Comparison::less},    {"<=", Comparison::less_equal},
                                 {">", Comparison::greater}, {">=", Comparison::greater_equal}};
  const int line = current().line;
  std::vector<const Expression*> operands{sum()};
  std::vector<Comparison> comparisons;
  while (true) {
    const auto* symbol =
        std::find_if(std::begin(kSymbols), std::end(kSymbols),
                     [&](const Symbol& s) { return current().is_operator(s.text); });
    if (symbol != std::end(kSymbols)) {
      take();
      comparisons.push_back(symbol->comparison);
    } else if (skip_name("in")) {
      comparisons.push_back(Comparison::in);
    } else if (current().is_name("not") && ahead().is_name("in")) {
      take();
      take();
      comparisons.push_back(Comparison::not_in);
    } else {
      break;
    }
    operands.push_back(sum());
  }
  if (comparisons.empty()) return operands.front();
  Expression* made = new_expression(Kind::comparison, line);
  made->parts = std::move(operands);
  made->comparisons = std::move(comparisons);
  return made;
}

const Expression* Parser::sum() {
  const int line = current().line;
  const Expression* left = concat();
  while (current().is_operator("+") || current().is_operator("-")) {
    const Operator operation = take().text == "+" ? Operator::add : Operator::subtract;
    Expression* made = binary(Kind::arithmetic, line, left, concat());
    made->operation = operation;
    left = made;
  }
  return left;
}

const Expression* Parser::concat() {
  const int line = current().line;
  std::vector<const Expression*> operands{product()};
  while (skip_operator("~")) operands.push_back(product());
  if (operands.size() == 1) return operands.front();
  Expression* made = new_expression(Kind::concat, line);
  made->parts = std::move(operands);
  return made;
}

const Expression* Parser::product() {
  const int line = current().line;
  const Expression* left = power();
  while (current().is_operator("*") || current().is_operator("/") || current().is_operator("//") ||
         current().is_operator("%")) {
    const std::string symbol = take().text;
    Expression* made = binary(Kind::arithmetic, line, left, power());
    made->operation = symbol == "*"    ? Operator::multiply
                      : symbol == "/"  ? Operator::divide
                      : symbol == "//" ? Operator::floor_divide
                                       : Operator::modulo;
    left = made;
  }
  return left;
}

const Expression* Parser::power() {
  // To the left, unlike Python: Jinja 3.1 parses 2**3**2 as (2**3)**2.
  const int line = current().line;
  const Expression* left = unary();
  while (skip_operator("**")) {
    Expression* made = binary(Kind::arithmetic, line, left, unary());
    made->operation = Operator::power;
    left = made;
  }
  return left;
}

const Expression* Parser::unary(bool with_filters) {
  const int line = current().line;
  const Expression* value = nullptr;
  if (current().is_operator("-") || current().is_operator("+")) {
    const Nesting nesting(this);
    const Kind kind = take().text == "-" ? Kind::negative : Kind::positive;
    Expression* made = new_expression(kind, line);
    made->parts = {unary(false)};
    value = made;
  } else {
    value = primary();
  }
  value = postfix(value);
  return with_filters ? filters_and_tests(value) : value;
}

const Expression* Parser::primary() {
  const Token& token = current();
  switch (token.kind) {
    case Token::Kind::name:
      return constant_or_name();
    case Token::Kind::string:
      return string_constant();
    case Token::Kind::integer:
    case Token::Kind::real:
      return number_constant();
    default:
      break;
  }
  if (token.is_operator("[")) return list();
  if (token.is_operator("{")) return dict();
  if (!skip_operator("(")) refuse("an expression");
  const Expression* inside = tuple_or_expression(true, {}, true);
  expect_operator(")");
  return inside;
}

const Expression* Parser::postfix(const Expression* object) {
  while (true) {
    if (current().is_operator(".") || current().is_operator("[")) {
      object = subscript(object);
    } else if (current().is_operator("(")) {
      Expression* call = new_expression(Kind::call, current().line);
      call->parts = {object};
      call_arguments(call);
      object = call;
    } else {
      return object;
    }
  }
}

const Expression* Parser::filters_and_tests(const Expression* subject) {
  while (true) {
    if (current().is_operator("|")) {
      take();
      subject = filter(subject);
    } else if (current().is_name("is")) {
      subject = test(subject);
    } else if (current().is_operator("(")) {
      subject = postfix(subject);
    } else {
      return subject;
    }
  }
}

const Expression* Parser::subscript(const Expression* object) {
  const int line = current().line;
  if (skip_operator("[")) return bracket(object, line);
  expect_operator(".");
  if (current().kind == Token::Kind::integer) {
    return binary(Kind::item, line, object, number_constant());
  }
  Expression* made = new_expression(Kind::attribute, line);
  made->parts = {object};
  made->name = expect_any_name("a name or number after '.'");
  return made;
}

const Expression* Parser::bracket(const Expression* object, int line) {
  const bool no_start = current().is_operator(":");
  const Expression* start = no_start ? nullptr : expression();
  if (!current().is_operator(":")) {
    if (current().is_operator(",")) {
      throw SyntaxError(line, "an index of several values is not supported");
    }
    expect_operator("]");
    return binary(Kind::item, line, object, start);
  }
  Expression* made = new_expression(Kind::slice, line);
  made->parts = {object, start, nullptr, nullptr};
  for (std::size_t bound = 2; bound < 4 && skip_operator(":"); ++bound) {
    const bool absent = current().is_operator(":") || current().is_operator("]");
    made->parts[bound] = absent ? nullptr : expression();
  }
  expect_operator("]");
  return made;
}

std::string Parser::dotted_name() {
  std::string name = expect_any_name("a filter's or test's name");
  while (skip_operator(".")) name += '.' + expect_any_name("a name after '.'");
  return name;
}

const Expression* Parser::filter(const Expression* subject) {
  Expression* made = new_expression(Kind::filter, current().line);
  made->name = dotted_name();
  made->parts = {subject};
  if (current().is_operator("(")) call_arguments(made);
  return made;
}

const Expression* Parser::test(const Expression* subject) {
  const int line = current().line;
  expect_name("is");
  const bool negated = skip_name("not");
  Expression* made = new_expression(Kind::test, line);
  made->name = dotted_name();
  made->parts = {subject};
  const Token& token = current();
  const bool argument = token.kind == Token::Kind::string || token.kind == Token::Kind::integer ||
                        token.kind == Token::Kind::real || token.is_operator("[") ||
                        token.is_operator("{") ||
                        (token.kind == Token::Kind::name && !token.is_name("else") &&
                         !token.is_name("or") && !token.is_name("and"));
  if (token.is_operator("(")) {
    call_arguments(made);
  } else if (argument) {
    if (token.is_name("is")) throw SyntaxError(line, "tests cannot be chained with 'is'");
    made->parts.push_back(postfix(primary()));
  }
  if (!negated) return made;
  Expression* inverted = new_expression(Kind::logical_not, line);
  inverted->parts = {made};
  return inverted;
}

void Parser::call_arguments(Expression* call) {
  expect_operator("(");
  while (!current().is_operator(")")) {
    const bool spread_seen = call->spread != nullptr || call->named_spread != nullptr;
    if (current().is_operator("*") && !spread_seen) {
      take();
      call->spread = expression();
    } else if (current().is_operator("**") && call->named_spread == nullptr) {
      take();
      call->named_spread = expression();
    } else if (current().kind == Token::Kind::name && ahead().is_operator("=") &&
               call->named_spread == nullptr) {
      std::string name = take().text;
      take();
      call->named.emplace_back(std::move(name), expression());
    } else if (!spread_seen && call->named.empty()) {
      call->parts.push_back(expression());
    } else {
      refuse("arguments in Python's order");
    }
    if (!skip_operator(",")) break;
  }
  expect_operator(")");
}

}  // namespace plimsoll::jinja
