#include "text/jinja/interpreter.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/jinja/builtins.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"

namespace plimsoll::jinja {

std::string Interpreter::run(const Value& variables) {
  Builder out(runtime_);
  out_ = &out;
  Scope* root = new_scope(nullptr);
  for (const auto& [key, value] : variables.dict()->entries()) {
    assign(root, key.text()->bytes, value);
  }
  execute(program_.body, new_scope(root));
  return out.release();
}

Interpreter::Scope* Interpreter::new_scope(Scope* outer) {
  return runtime_.make<Scope>(sizeof(Scope) + 64, outer);
}

void Interpreter::assign(Scope* scope, std::string_view name, const Value& value) {
  runtime_.step(1 + scope->names.size() / 16);
  const auto found = std::find_if(scope->names.begin(), scope->names.end(),
                                  [&](const auto& entry) { return entry.first == name; });
  if (found != scope->names.end()) {
    found->second = value;
    return;
  }
  runtime_.take(2 * sizeof(scope->names[0]));
  scope->names.emplace_back(name, value);
}

Value Interpreter::lookup(Scope* scope, const std::string& name) {
  for (; scope != nullptr; scope = scope->outer) {
    runtime_.step(1 + scope->names.size() / 16);
    for (const auto& [known, value] : scope->names) {
      if (known == name) return value;
    }
  }
  if (const std::optional<Value> function = global_function(runtime_, name)) return *function;
  return runtime_.undefined(fmt::format("'{}' is undefined", name));
}

Interpreter::Flow Interpreter::execute(const Body& body, Scope* scope) {
  for (const Statement* statement : body) {
    const Flow flow = execute(*statement, scope);
    if (flow != Flow::next) return flow;
  }
  return Flow::next;
}

Interpreter::Flow Interpreter::execute(const Statement& statement, Scope* scope) {
  const Runtime::Nesting nesting(runtime_, 0);
  runtime_.step();
  line_ = statement.line;
  switch (statement.kind) {
    case Statement::Kind::data:
      out_->append(statement.data);
      return Flow::next;
    case Statement::Kind::print: {
      const Value value = evaluate(*statement.value, scope);
      line_ = statement.line;
      print(runtime_, value, out_);
      return Flow::next;
    }
    case Statement::Kind::conditional:
      return conditional(statement, scope);
    case Statement::Kind::loop:
      return loop(statement, scope);
    case Statement::Kind::assign:
      assign_target(*statement.target, evaluate(*statement.value, scope), scope);
      return Flow::next;
    case Statement::Kind::assign_block:
    case Statement::Kind::filter:
      return captured(statement, scope);
    case Statement::Kind::with:
      return with(statement, scope);
    case Statement::Kind::macro:
      assign(scope, statement.macro.name, macro(statement.macro, scope));
      return Flow::next;
    case Statement::Kind::call:
      call_block(statement, scope);
      return Flow::next;
    case Statement::Kind::scope:
      return execute(statement.body, new_scope(scope));
    case Statement::Kind::break_loop:
      return Flow::break_loop;
    case Statement::Kind::continue_loop:
      return Flow::continue_loop;
  }
  return Flow::next;
}

Interpreter::Flow Interpreter::conditional(const Statement& statement, Scope* scope) {
  for (const auto& [condition, body] : statement.branches) {
    if (truthy(evaluate(*condition, scope))) return execute(body, scope);
  }
  return execute(statement.otherwise, scope);
}

std::vector<Value> Interpreter::loop_items(const Statement& statement, Scope* scope) {
  const Value iterated = evaluate(*statement.value, scope);
  line_ = statement.line;
  std::vector<Value> items = iterate(runtime_, iterated);
  if (statement.condition == nullptr) return items;
  std::vector<Value> kept;
  for (const Value& item : items) {
    Scope* turn = new_scope(scope);
    assign_target(*statement.target, item, turn);
    if (truthy(evaluate(*statement.condition, turn))) kept.push_back(item);
  }
  return kept;
}

Interpreter::Flow Interpreter::loop(const Statement& statement, Scope* scope) {
  Loop* state = runtime_.new_loop(loop_items(statement, scope));
  // Jinja's else runs unless a turn came to its end: a break or continue in the first does not
  // count.
  bool completed = false;
  for (; state->index0 < state->items.size(); ++state->index0) {
    Scope* turn = new_scope(scope);
    assign(turn, "loop", Value(state));
    assign_target(*statement.target, state->items[state->index0], turn);
    const Flow flow = execute(statement.body, turn);
    if (flow == Flow::break_loop) break;
    completed = completed || flow == Flow::next;
  }
  return completed ? Flow::next : execute(statement.otherwise, new_scope(scope));
}

Interpreter::Flow Interpreter::with(const Statement& statement, Scope* scope) {
  Scope* inner = new_scope(scope);
  for (const auto& [target, value] : statement.assignments) {
    assign_target(*target, evaluate(*value, scope), inner);
  }
  return execute(statement.body, inner);
}

/// A set or filter block: what its body prints becomes a value.
Interpreter::Flow Interpreter::captured(const Statement& statement, Scope* scope) {
  Builder inside(runtime_);
  Builder* outside = std::exchange(out_, &inside);
  const Flow flow = execute(statement.body, new_scope(scope));
  out_ = outside;
  if (flow != Flow::next) return flow;
  Value value = inside.finish();
  for (const Expression* step : statement.filters) value = filter(*step, value, scope);
  if (statement.kind == Statement::Kind::filter) {
    print(runtime_, value, out_);
  } else {
    assign_target(*statement.target, value, scope);
  }
  return Flow::next;
}

void Interpreter::call_block(const Statement& statement, Scope* scope) {
  const Value caller = macro(statement.macro, scope);
  print(runtime_, call(*statement.value, scope, &caller), out_);
}

void Interpreter::assign_target(const Expression& target, const Value& value, Scope* scope) {
  if (target.kind == Expression::Kind::name) return assign(scope, target.name, value);
  if (target.kind == Expression::Kind::attribute) {
    const Value owner = evaluate(*target.parts[0], scope);
    if (owner.name_space() == nullptr) {
      throw TemplateError("cannot assign attribute on non-namespace object");
    }
    runtime_.take(sizeof(Value) + target.name.size() + 64);
    owner.name_space()->attributes[target.name] = value;
    return;
  }
  if (!is_iterable(value)) {
    throw TemplateError(fmt::format("cannot unpack non-iterable {} object", type_name(value)));
  }
  const std::vector<Value> parts = iterate(runtime_, value);
  if (parts.size() != target.parts.size()) {
    throw TemplateError(
        fmt::format("found {} values to unpack, expected {}", parts.size(), target.parts.size()));
  }
  for (std::size_t i = 0; i < parts.size(); ++i) assign_target(*target.parts[i], parts[i], scope);
}

Value Interpreter::macro(const MacroDefinition& definition, Scope* scope) {
  return runtime_.callable(definition.name,
                           [this, &definition, scope](Runtime&, const Arguments& given) {
                             return invoke(definition, scope, given);
                           });
}

Value Interpreter::invoke(const MacroDefinition& definition, Scope* scope,
                          const Arguments& arguments) {
  const Runtime::Nesting nesting(runtime_);
  Scope* inner = new_scope(scope);
  bind_parameters(definition, inner, arguments);
  Builder inside(runtime_);
  Builder* outside = std::exchange(out_, &inside);
  execute(definition.body, inner);
  out_ = outside;
  return inside.finish();
}

void Interpreter::bind_parameters(const MacroDefinition& definition, Scope* scope,
                                  const Arguments& arguments) {
  const std::size_t count = definition.parameters.size();
  std::vector<std::pair<std::string, Value>> named = arguments.named;
  const auto take_named = [&](std::string_view name) -> std::optional<Value> {
    const auto found = std::find_if(named.begin(), named.end(),
                                    [&](const auto& entry) { return entry.first == name; });
    if (found == named.end()) return std::nullopt;
    const Value value = found->second;
    named.erase(found);
    return value;
  };
  const std::size_t without_default = count - definition.defaults.size();
  for (std::size_t i = 0; i < count; ++i) {
    const std::string& name = definition.parameters[i];
    std::optional<Value> value;
    if (i < arguments.positional.size()) {
      value = arguments.positional[i];
    } else {
      value = take_named(name);
    }
    if (!value && i >= without_default) {
      value = evaluate(*definition.defaults[i - without_default], scope);
    }
    if (!value) {
      value = runtime_.undefined(fmt::format("parameter '{}' was not provided", name));
    }
    assign(scope, name, *value);
  }
  const bool own_caller = std::find(definition.parameters.begin(), definition.parameters.end(),
                                    "caller") != definition.parameters.end();
  if (definition.reads_caller && !own_caller) {
    const std::optional<Value> caller = take_named("caller");
    assign(scope, "caller", caller ? *caller : runtime_.undefined("No caller defined"));
  }
  if (definition.reads_kwargs) {
    Dict::Entries entries;
    for (const auto& [name, value] : named) entries.emplace_back(runtime_.text(name), value);
    assign(scope, "kwargs", runtime_.dict(entries));
  } else if (!named.empty()) {
    throw TemplateError(fmt::format("macro '{}' takes no keyword argument '{}'", definition.name,
                                    named.front().first));
  }
  const std::size_t given = arguments.positional.size();
  if (definition.reads_varargs) {
    const auto first =
        arguments.positional.begin() + static_cast<std::ptrdiff_t>(std::min(count, given));
    assign(scope, "varargs", runtime_.tuple({first, arguments.positional.end()}));
  } else if (given > count) {
    throw TemplateError(
        fmt::format("macro '{}' takes not more than {} argument(s)", definition.name, count));
  }
}

}  // namespace plimsoll::jinja
