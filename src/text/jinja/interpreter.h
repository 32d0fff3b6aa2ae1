// Runs a Program.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/runtime.h"

namespace plimsoll::jinja {

class Interpreter {
 public:
  Interpreter(const Program& program, Runtime& runtime) : program_(program), runtime_(runtime) {}

  /// The rendered text. `variables` is a dict. TemplateError; line() then tells where.
  std::string run(const Value& variables);
  int line() const { return line_; }

 private:
  /// Names and what they hold, seen from the innermost scope outwards. Those of a for loop's body
  /// last for one turn, as in Jinja.
  struct Scope : Object {
    explicit Scope(Scope* outer_scope) : outer(outer_scope) {}
    Scope* const outer;
    std::vector<std::pair<std::string_view, Value>> names;
  };
  enum class Flow { next, break_loop, continue_loop };

  Scope* new_scope(Scope* outer);
  void assign(Scope* scope, std::string_view name, const Value& value);
  Value lookup(Scope* scope, const std::string& name);

  // interpreter.cc
  Flow execute(const Body& body, Scope* scope);
  Flow execute(const Statement& statement, Scope* scope);
  Flow conditional(const Statement& statement, Scope* scope);
  Flow loop(const Statement& statement, Scope* scope);
  Flow with(const Statement& statement, Scope* scope);
  Flow captured(const Statement& statement, Scope* scope);
  void call_block(const Statement& statement, Scope* scope);
  std::vector<Value> loop_items(const Statement& statement, Scope* scope);
  void assign_target(const Expression& target, const Value& value, Scope* scope);
  Value macro(const MacroDefinition& definition, Scope* scope);
  Value invoke(const MacroDefinition& definition, Scope* scope, const Arguments& arguments);
  void bind_parameters(const MacroDefinition& definition, Scope* scope, const Arguments& arguments);

  // evaluate.cc
  Value evaluate(const Expression& expression, Scope* scope);
  Value elements(const Expression& expression, Scope* scope);
  Value dict(const Expression& expression, Scope* scope);
  Value slice(const Expression& expression, Scope* scope);
  Value call(const Expression& expression, Scope* scope, const Value* caller);
  Value filter(const Expression& expression, const Value& subject, Scope* scope);
  Value test(const Expression& expression, Scope* scope);
  Value comparison(const Expression& expression, Scope* scope);
  Value arithmetic_operation(const Expression& expression, Scope* scope);
  Value concat(const Expression& expression, Scope* scope);
  Value conditional_value(const Expression& expression, Scope* scope);
  /// The arguments of a call, filter or test: the parts behind the first, and the named ones.
  Arguments arguments(const Expression& expression, Scope* scope);

  const Program& program_;
  Runtime& runtime_;
  Builder* out_ = nullptr;
  int line_ = 1;
};

}  // namespace plimsoll::jinja
