// From tokens to a Program: Jinja's grammar, less what needs other files (include, import,
// extends).
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/lexer.h"

namespace plimsoll::jinja {

/// SyntaxError with the line and the construct.
std::shared_ptr<const Program> parse_program(std::string_view source);

/// The machinery behind parse_program(): statements in statement_parser.cc, expressions in
/// expression_parser.cc.
class Parser {
 public:
  Parser(std::vector<Token> tokens, Program* program)
      : tokens_(std::move(tokens)), program_(program) {}
  void run();

 private:
  using Ends = std::vector<std::string_view>;

  // Tokens.
  const Token& current() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  Token take() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }
  bool skip_operator(std::string_view symbol);
  bool skip_name(std::string_view name);
  void expect_operator(std::string_view symbol);
  void expect_name(std::string_view name);
  std::string expect_any_name(std::string_view what);
  void expect(Token::Kind kind, std::string_view what);
  [[noreturn]] void refuse(std::string_view expected) const;

  // Statements.
  Body body_until(const Ends& ends);
  /// The body between the current block's end and the tag of `ends`, whose name is taken.
  Body block_body(const Ends& ends, std::string* end = nullptr);
  const Statement* statement();
  const Statement* if_statement();
  const Statement* for_statement();
  const Statement* set_statement();
  const Statement* with_statement();
  const Statement* macro_statement();
  const Statement* call_statement();
  const Statement* filter_statement();
  const Statement* generation_statement();
  const Statement* print_statement();
  const Statement* leave_loop_statement();
  void signature(MacroDefinition* macro);
  void macro_body(MacroDefinition* macro, std::string_view end);
  const Expression* assign_target(bool with_attribute, std::string_view end_name);
  std::vector<const Expression*> filter_chain();
  Statement* new_statement(Statement::Kind kind, int line);

  // Expressions, loosest binding first.
  const Expression* expression(bool with_conditional = true);
  const Expression* tuple_or_expression(bool with_conditional = true,
                                        std::string_view end_name = {}, bool parenthesised = false);
  const Expression* conditional();
  const Expression* logical_or();
  const Expression* logical_and();
  const Expression* logical_not();
  const Expression* comparison();
  const Expression* sum();
  const Expression* concat();
  const Expression* product();
  const Expression* power();
  const Expression* unary(bool with_filters = true);
  const Expression* primary();
  const Expression* constant_or_name();
  const Expression* string_constant();
  const Expression* number_constant();
  const Expression* list();
  const Expression* dict();
  const Expression* postfix(const Expression* object);
  const Expression* filters_and_tests(const Expression* subject);
  const Expression* subscript(const Expression* object);
  const Expression* bracket(const Expression* object, int line);
  const Expression* filter(const Expression* subject);
  const Expression* test(const Expression* subject);
  void call_arguments(Expression* call);
  std::string dotted_name();
  bool at_tuple_end(std::string_view end_name) const;
  Expression* new_expression(Expression::Kind kind, int line);
  Expression* binary(Expression::Kind kind, int line, const Expression* a, const Expression* b);

  /// Held while the grammar recurses; SyntaxError when it does so too deeply.
  class Nesting {
   public:
    explicit Nesting(Parser* parser);
    ~Nesting() { --parser_->depth_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

   private:
    Parser* parser_;
  };

  std::vector<Token> tokens_;
  Program* program_;
  std::size_t at_ = 0;
  int depth_ = 0;
  /// For loops around the current statement within its macro.
  int loops_ = 0;
  std::vector<MacroDefinition*> open_macros_;
};

}  // namespace plimsoll::jinja
