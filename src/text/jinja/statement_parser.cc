#include <fmt/format.h>

#include <algorithm>

#include "text/jinja/parser.h"

namespace plimsoll::jinja {

using Kind = Statement::Kind;

namespace {

constexpr int kDeepestNesting = 200;

std::string describe(const Token& token) {
  switch (token.kind) {
    case Token::Kind::data:
      return "text";
    case Token::Kind::variable_begin:
      return "'{{'";
    case Token::Kind::variable_end:
      return "'}}'";
    case Token::Kind::block_begin:
      return "'{%'";
    case Token::Kind::block_end:
      return "'%}'";
    case Token::Kind::string:
      return "a string";
    case Token::Kind::name:
    case Token::Kind::integer:
    case Token::Kind::real:
    case Token::Kind::operator_:
      return fmt::format("'{}'", token.text);
    case Token::Kind::end:
      return "the end of the template";
  }
  return {};
}

/// Tags of Jinja that chat templates have no use for; naming them beats "unknown".
bool is_unsupported_tag(std::string_view name) {
  constexpr std::string_view kTags[] = {"include", "import", "from",       "extends",
                                        "block",   "do",     "autoescape", "trans"};
  return std::find(std::begin(kTags), std::end(kTags), name) != std::end(kTags);
}

}  // namespace

Parser::Nesting::Nesting(Parser* parser) : parser_(parser) {
  if (++parser_->depth_ <= kDeepestNesting) return;
  --parser_->depth_;
  throw SyntaxError(parser_->current().line,
                    fmt::format("nested deeper than {} levels", kDeepestNesting));
}

void Parser::refuse(std::string_view expected) const {
  throw SyntaxError(current().line,
                    fmt::format("found {}, expected {}", describe(current()), expected));
}

bool Parser::skip_operator(std::string_view symbol) {
  const bool found = current().is_operator(symbol);
  if (found) take();
  return found;
}

bool Parser::skip_name(std::string_view name) {
  const bool found = current().is_name(name);
  if (found) take();
  return found;
}

void Parser::expect_operator(std::string_view symbol) {
  if (!skip_operator(symbol)) refuse(fmt::format("'{}'", symbol));
}

void Parser::expect_name(std::string_view name) {
  if (!skip_name(name)) refuse(fmt::format("'{}'", name));
}

std::string Parser::expect_any_name(std::string_view what) {
  if (current().kind != Token::Kind::name) refuse(what);
  return take().text;
}

void Parser::expect(Token::Kind kind, std::string_view what) {
  if (current().kind != kind) refuse(what);
  take();
}

Statement* Parser::new_statement(Kind kind, int line) {
  Statement& made = program_->statements.emplace_back();
  made.kind = kind;
  made.line = line;
  return &made;
}

void Parser::run() {
  program_->body = body_until({});
  if (current().kind != Token::Kind::end) refuse("the end of the template");
}

Body Parser::body_until(const Ends& ends) {
  const Nesting nesting(this);
  Body body;
  while (current().kind != Token::Kind::end) {
    const int line = current().line;
    if (current().kind == Token::Kind::data) {
      Statement* made = new_statement(Kind::data, line);
      made->data = take().text;
      body.push_back(made);
    } else if (current().kind == Token::Kind::variable_begin) {
      take();
      Statement* made = new_statement(Kind::print, line);
      made->value = tuple_or_expression();
      expect(Token::Kind::variable_end, "'}}'");
      body.push_back(made);
    } else {
      expect(Token::Kind::block_begin, "'{%'");
      const bool ended = std::any_of(ends.begin(), ends.end(),
                                     [&](std::string_view end) { return current().is_name(end); });
      if (ended) return body;
      body.push_back(statement());
      expect(Token::Kind::block_end, "'%}'");
    }
  }
  if (!ends.empty()) refuse(fmt::format("'{}'", ends.back()));
  return body;
}

Body Parser::block_body(const Ends& ends, std::string* end) {
  skip_operator(":");
  expect(Token::Kind::block_end, "'%}'");
  Body body = body_until(ends);
  const std::string name = take().text;
  if (end != nullptr) *end = name;
  return body;
}

const Statement* Parser::statement() {
  const Token& token = current();
  if (token.kind != Token::Kind::name) refuse("a tag's name");
  if (token.text == "if") return if_statement();
  if (token.text == "for") return for_statement();
  if (token.text == "set") return set_statement();
  if (token.text == "with") return with_statement();
  if (token.text == "macro") return macro_statement();
  if (token.text == "call") return call_statement();
  if (token.text == "filter") return filter_statement();
  if (token.text == "generation") return generation_statement();
  if (token.text == "print") return print_statement();
  if (token.text == "break" || token.text == "continue") return leave_loop_statement();
  if (is_unsupported_tag(token.text)) {
    throw SyntaxError(token.line, fmt::format("the tag '{}' is not supported", token.text));
  }
  throw SyntaxError(token.line, fmt::format("unknown tag '{}'", token.text));
}

const Statement* Parser::if_statement() {
  Statement* made = new_statement(Kind::conditional, take().line);
  std::string end = "elif";
  while (end == "elif") {
    const Expression* condition = tuple_or_expression(false);
    made->branches.emplace_back(condition, block_body({"elif", "else", "endif"}, &end));
  }
  if (end == "else") made->otherwise = block_body({"endif"});
  return made;
}

const Statement* Parser::for_statement() {
  Statement* made = new_statement(Kind::loop, take().line);
  made->target = assign_target(false, "in");
  expect_name("in");
  made->value = tuple_or_expression(false, "recursive");
  if (skip_name("if")) made->condition = expression();
  if (current().is_name("recursive")) {
    throw SyntaxError(current().line, "a recursive for loop is not supported");
  }
  std::string end;
  ++loops_;
  made->body = block_body({"endfor", "else"}, &end);
  --loops_;
  if (end == "else") made->otherwise = block_body({"endfor"});
  return made;
}

const Statement* Parser::set_statement() {
  Statement* made = new_statement(Kind::assign, take().line);
  made->target = assign_target(true, {});
  if (skip_operator("=")) {
    made->value = tuple_or_expression();
    return made;
  }
  made->kind = Kind::assign_block;
  if (skip_operator("|")) made->filters = filter_chain();
  made->body = block_body({"endset"});
  return made;
}

const Statement* Parser::with_statement() {
  Statement* made = new_statement(Kind::with, take().line);
  while (current().kind != Token::Kind::block_end && !current().is_operator(":")) {
    if (!made->assignments.empty()) expect_operator(",");
    const Expression* target = assign_target(false, {});
    expect_operator("=");
    made->assignments.emplace_back(target, expression());
  }
  made->body = block_body({"endwith"});
  return made;
}

void Parser::signature(MacroDefinition* macro) {
  expect_operator("(");
  while (!current().is_operator(")")) {
    if (!macro->parameters.empty()) expect_operator(",");
    macro->parameters.push_back(expect_any_name("a parameter's name"));
    if (skip_operator("=")) {
      macro->defaults.push_back(expression());
    } else if (!macro->defaults.empty()) {
      refuse("a default, as the parameter before has one");
    }
  }
  expect_operator(")");
}

void Parser::macro_body(MacroDefinition* macro, std::string_view end) {
  // A break in the body cannot leave a loop around the macro.
  const int loops_around = std::exchange(loops_, 0);
  open_macros_.push_back(macro);
  macro->body = block_body({end});
  open_macros_.pop_back();
  loops_ = loops_around;
}

const Statement* Parser::macro_statement() {
  Statement* made = new_statement(Kind::macro, take().line);
  made->macro.name = expect_any_name("a macro's name");
  signature(&made->macro);
  macro_body(&made->macro, "endmacro");
  return made;
}

const Statement* Parser::call_statement() {
  Statement* made = new_statement(Kind::call, take().line);
  made->macro.name = "caller";
  if (current().is_operator("(")) signature(&made->macro);
  made->value = expression();
  if (made->value->kind != Expression::Kind::call) {
    throw SyntaxError(made->line, "a call block needs a call");
  }
  macro_body(&made->macro, "endcall");
  return made;
}

std::vector<const Expression*> Parser::filter_chain() {
  std::vector<const Expression*> chain{filter(nullptr)};
  while (skip_operator("|")) chain.push_back(filter(nullptr));
  return chain;
}

const Statement* Parser::filter_statement() {
  Statement* made = new_statement(Kind::filter, take().line);
  made->filters = filter_chain();
  made->body = block_body({"endfilter"});
  return made;
}

const Statement* Parser::generation_statement() {
  // Hugging Face marks the assistant's tokens with it; the text is the body's.
  Statement* made = new_statement(Kind::scope, take().line);
  macro_body(&made->macro, "endgeneration");
  made->body = std::move(made->macro.body);
  return made;
}

const Statement* Parser::print_statement() {
  Statement* made = new_statement(Kind::scope, take().line);
  do {
    Statement* print = new_statement(Kind::print, current().line);
    print->value = expression();
    made->body.push_back(print);
  } while (skip_operator(","));
  return made;
}

const Statement* Parser::leave_loop_statement() {
  const Token token = take();
  if (loops_ == 0) {
    throw SyntaxError(token.line, fmt::format("'{}' outside a for loop", token.text));
  }
  return new_statement(token.text == "break" ? Kind::break_loop : Kind::continue_loop, token.line);
}

const Expression* Parser::assign_target(bool with_attribute, std::string_view end_name) {
  const Nesting nesting(this);
  const int line = current().line;
  std::vector<const Expression*> targets;
  bool is_tuple = false;
  do {
    const bool ends = current().is_operator("=") || at_tuple_end(end_name);
    if (!targets.empty() && ends) break;
    const bool parenthesised = current().is_operator("(");
    if (parenthesised) {
      take();
      targets.push_back(assign_target(false, {}));
      expect_operator(")");
    } else {
      Expression* name = new_expression(Expression::Kind::name, current().line);
      name->name = expect_any_name("a name to assign to");
      const bool constant = name->name == "true" || name->name == "false" || name->name == "none" ||
                            name->name == "True" || name->name == "False" || name->name == "None";
      if (constant) throw SyntaxError(line, fmt::format("can't assign to '{}'", name->name));
      targets.push_back(name);
    }
    if (with_attribute && targets.size() == 1 && !parenthesised && skip_operator(".")) {
      Expression* attribute = new_expression(Expression::Kind::attribute, line);
      attribute->parts = targets;
      attribute->name = expect_any_name("a namespace's attribute");
      return attribute;
    }
    is_tuple = is_tuple || current().is_operator(",");
  } while (skip_operator(","));
  if (!is_tuple) return targets.front();
  Expression* tuple = new_expression(Expression::Kind::tuple, line);
  tuple->parts = std::move(targets);
  return tuple;
}

std::shared_ptr<const Program> parse_program(std::string_view source) {
  auto program = std::make_shared<Program>();
  Parser(tokenise(source), program.get()).run();
  return program;
}

}  // namespace plimsoll::jinja
