// What `is` knows.
#include <fmt/format.h>

#include <functional>
#include <map>

#include "text/jinja/arguments.h"
#include "text/jinja/builtins.h"
#include "text/jinja/characters.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"

namespace plimsoll::jinja {

namespace {

using Test = std::function<bool(Runtime&, const Value& subject, const Arguments&)>;

/// A test without arguments, of the value alone.
Test plain(bool (*holds)(const Value&)) {
  return [holds](Runtime&, const Value& subject, const Arguments& arguments) {
    const Parameters none("a test", arguments, {});
    return holds(subject);
  };
}

template <Comparison kComparison>
bool compares(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const Parameters parameters("a comparing test", arguments, {"other"}, 1);
  return compare(runtime, kComparison, subject, parameters.value(0));
}

bool remainder_is(Runtime& runtime, const Value& subject, std::int64_t divisor,
                  std::int64_t remainder) {
  return equal(runtime, arithmetic(runtime, Operator::modulo, subject, Value(divisor)),
               Value(remainder));
}

bool odd(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const Parameters none("test 'odd'", arguments, {});
  return remainder_is(runtime, subject, 2, 1);
}

bool even(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const Parameters none("test 'even'", arguments, {});
  return remainder_is(runtime, subject, 2, 0);
}

bool divisible_by(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const Parameters parameters("test 'divisibleby'", arguments, {"num"}, 1);
  const Value remainder = arithmetic(runtime, Operator::modulo, subject, parameters.value(0));
  return equal(runtime, remainder, Value(std::int64_t{0}));
}

template <TextClass kClass>
bool in_class(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const Parameters none("a test", arguments, {});
  return is_all(kClass, to_text(runtime, subject));
}

bool same_as(Runtime&, const Value& subject, const Arguments& arguments) {
  const Parameters parameters("test 'sameas'", arguments, {"other"}, 1);
  return subject.storage().index() == parameters.value(0).storage().index() &&
         scalars_equal(subject, parameters.value(0));
}

const std::map<std::string_view, Test>& tests() {
  static const std::map<std::string_view, Test> kTests{
      {"defined", plain([](const Value& v) { return !v.is_undefined(); })},
      {"undefined", plain([](const Value& v) { return v.is_undefined(); })},
      {"none", plain([](const Value& v) { return v.is_none(); })},
      {"boolean", plain([](const Value& v) { return v.is<bool>(); })},
      {"true", plain([](const Value& v) { return v.is<bool>() && *v.get_if<bool>(); })},
      {"false", plain([](const Value& v) { return v.is<bool>() && !*v.get_if<bool>(); })},
      {"integer", plain([](const Value& v) { return v.integer() != nullptr; })},
      {"float", plain([](const Value& v) { return v.is<double>(); })},
      {"number", plain([](const Value& v) { return as_real(v).has_value(); })},
      {"string", plain([](const Value& v) { return v.text() != nullptr; })},
      {"mapping", plain([](const Value& v) { return v.dict() != nullptr; })},
      {"sequence", plain([](const Value& v) {
         return v.text() != nullptr || v.dict() != nullptr || v.is_undefined() ||
                (v.sequence() != nullptr && v.sequence()->indexed());
       })},
      {"iterable", plain([](const Value& v) { return is_iterable(v) || v.loop() != nullptr; })},
      {"callable", plain([](const Value& v) {
         // Jinja's undefined has a __call__, which raises; Python therefore says yes.
         return v.callable() != nullptr || v.loop() != nullptr || v.is_undefined();
       })},
      {"escaped", plain([](const Value& v) { return v.text() != nullptr && v.text()->markup; })},
      {"filter",
       plain([](const Value& v) { return v.text() != nullptr && has_filter(v.text()->bytes); })},
      {"test",
       plain([](const Value& v) { return v.text() != nullptr && has_test(v.text()->bytes); })},
      {"odd", odd},
      {"even", even},
      {"divisibleby", divisible_by},
      {"lower", in_class<TextClass::lower>},
      {"upper", in_class<TextClass::upper>},
      {"sameas", same_as},
      {"in", compares<Comparison::in>},
      {"==", compares<Comparison::equal>},
      {"eq", compares<Comparison::equal>},
      {"equalto", compares<Comparison::equal>},
      {"!=", compares<Comparison::not_equal>},
      {"ne", compares<Comparison::not_equal>},
      {"<", compares<Comparison::less>},
      {"lt", compares<Comparison::less>},
      {"lessthan", compares<Comparison::less>},
      {"<=", compares<Comparison::less_equal>},
      {"le", compares<Comparison::less_equal>},
      {">", compares<Comparison::greater>},
      {"gt", compares<Comparison::greater>},
      {"greaterthan", compares<Comparison::greater>},
      {">=", compares<Comparison::greater_equal>},
      {"ge", compares<Comparison::greater_equal>},
  };
  return kTests;
}

}  // namespace

bool apply_test(Runtime& runtime, std::string_view name, const Value& subject,
                const Arguments& arguments) {
  runtime.step();
  const auto found = tests().find(name);
  if (found == tests().end()) throw TemplateError(fmt::format("no test named '{}'", name));
  return found->second(runtime, subject, arguments);
}

bool has_test(std::string_view name) {
  return tests().contains(name);
}

}  // namespace plimsoll::jinja
