// The constants, names, lists and dicts of Parser.
#include <fmt/format.h>

#include <charconv>

#include "text/jinja/parser.h"

namespace plimsoll::jinja {

using Kind = Expression::Kind;

const Expression* Parser::constant_or_name() {
  const Token token = take();
  Expression* made = new_expression(Kind::constant, token.line);
  if (token.text == "true" || token.text == "True") {
    made->constant = Value(true);
  } else if (token.text == "false" || token.text == "False") {
    made->constant = Value(false);
  } else if (token.text == "none" || token.text == "None") {
    made->constant = Value(None{});
  } else {
    made->kind = Kind::name;
    made->name = token.text;
    for (MacroDefinition* macro : open_macros_) {
      macro->reads_caller |= token.text == "caller";
      macro->reads_varargs |= token.text == "varargs";
      macro->reads_kwargs |= token.text == "kwargs";
    }
  }
  return made;
}

const Expression* Parser::string_constant() {
  const int line = current().line;
  std::string text;
  while (current().kind == Token::Kind::string) text += take().text;
  Expression* made = new_expression(Kind::constant, line);
  made->constant = Value(&program_->texts.emplace_back(std::move(text), false));
  return made;
}

const Expression* Parser::number_constant() {
  const Token token = take();
  Expression* made = new_expression(Kind::constant, token.line);
  const char* end = token.text.data() + token.text.size();
  if (token.kind == Token::Kind::real) {
    double number = 0;
    const auto [stopped, error] = std::from_chars(token.text.data(), end, number);
    if (error != std::errc() || stopped != end) {
      throw SyntaxError(token.line, fmt::format("the number {} is out of range", token.text));
    }
    made->constant = Value(number);
    return made;
  }
  const char marker = token.text.size() > 2 ? static_cast<char>(token.text[1] | 0x20) : '0';
  const int base = marker == 'x' ? 16 : marker == 'o' ? 8 : marker == 'b' ? 2 : 10;
  std::int64_t number = 0;
  const auto [stopped, error] =
      std::from_chars(token.text.data() + (base == 10 ? 0 : 2), end, number, base);
  if (error != std::errc() || stopped != end) {
    throw SyntaxError(token.line, fmt::format("the integer {} leaves 64 bits", token.text));
  }
  made->constant = Value(number);
  return made;
}

const Expression* Parser::list() {
  Expression* made = new_expression(Kind::list, current().line);
  expect_operator("[");
  while (!current().is_operator("]")) {
    made->parts.push_back(expression());
    if (!skip_operator(",")) break;
  }
  expect_operator("]");
  return made;
}

const Expression* Parser::dict() {
  Expression* made = new_expression(Kind::dict, current().line);
  expect_operator("{");
  while (!current().is_operator("}")) {
    made->parts.push_back(expression());
    expect_operator(":");
    made->parts.push_back(expression());
    if (!skip_operator(",")) break;
  }
  expect_operator("}");
  return made;
}

}  // namespace plimsoll::jinja
