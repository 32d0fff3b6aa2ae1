// A parsed template. Nodes point at one another and are owned by the Program, so that neither
// copying nor destroying a deeply nested template recurses.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "text/jinja/operators.h"
#include "text/jinja/value.h"

namespace plimsoll::jinja {

struct Expression {
  enum class Kind {
    constant,     // constant
    name,         // name
    list,         // parts: elements
    tuple,        // parts: elements
    dict,         // parts: key, value, key, value, ...
    attribute,    // parts: object; name
    item,         // parts: object, key
    slice,        // parts: object, start, stop, step; null for a bound left out
    call,         // parts: function, arguments...; named, spread, named_spread
    filter,       // parts: subject (null in a filter block), arguments...; name, named, spreads
    test,         // as filter
    negative,     // parts: operand
    positive,     // parts: operand
    logical_not,  // parts: operand
    logical_and,  // parts: left, right
    logical_or,   // parts: left, right
    comparison,   // parts: a, b, c, ...; comparisons between them, which chain
    arithmetic,   // parts: left, right; operation
    concat,       // parts: all operands of ~
    conditional   // parts: condition, then, else (null when there is none)
  };
  Kind kind;
  int line;
  std::string name;
  Value constant;
  std::vector<const Expression*> parts;
  std::vector<std::pair<std::string, const Expression*>> named;
  const Expression* spread = nullptr;        // *arguments
  const Expression* named_spread = nullptr;  // **arguments
  std::vector<Comparison> comparisons;
  Operator operation = Operator::add;
};

struct Statement;
using Body = std::vector<const Statement*>;

/// The parameters and body of a macro, or of a call block's caller.
struct MacroDefinition {
  std::string name;
  std::vector<std::string> parameters;
  /// Of the last parameters.
  std::vector<const Expression*> defaults;
  Body body;
  // Which of the special names the body reads.
  bool reads_caller = false;
  bool reads_varargs = false;
  bool reads_kwargs = false;
};

struct Statement {
  enum class Kind {
    data,           // data
    print,          // value
    conditional,    // branches; otherwise
    loop,           // target, value (what is iterated), condition (optional), body, otherwise
    assign,         // target, value
    assign_block,   // target, filters, body
    with,           // assignments, body
    macro,          // macro
    call,           // value (a call), macro (the caller)
    filter,         // filters, body
    scope,          // body, with names of its own
    break_loop,     //
    continue_loop,  //
  };
  Kind kind;
  int line;
  std::string data;
  /// A name, a tuple of targets, or an attribute of a name (a namespace's).
  const Expression* target = nullptr;
  const Expression* value = nullptr;
  const Expression* condition = nullptr;
  std::vector<const Expression*> filters;
  std::vector<std::pair<const Expression*, const Expression*>> assignments;
  std::vector<std::pair<const Expression*, Body>> branches;
  MacroDefinition macro;
  Body body;
  Body otherwise;
};

struct Program {
  Body body;
  std::deque<Expression> expressions;
  std::deque<Statement> statements;
  /// The string constants.
  std::deque<Text> texts;
};

}  // namespace plimsoll::jinja
