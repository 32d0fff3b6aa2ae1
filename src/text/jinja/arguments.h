// The arguments of a filter, test, method or function, matched with its parameters' names.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/value.h"

namespace plimsoll::jinja {

class Parameters {
 public:
  /// The first `required` of `names` must be given. TemplateError for arguments missing, unknown,
  /// given twice or too many. `function` names it in errors: "filter 'replace'".
  Parameters(std::string function, const Arguments& arguments,
             std::initializer_list<std::string_view> names, std::size_t required = 0);

  bool given(std::size_t index) const { return given_[index]; }
  /// Not given and none alike.
  bool absent(std::size_t index) const { return !given_[index] || values_[index].is_none(); }
  /// Undefined when not given.
  const Value& value(std::size_t index) const { return values_[index]; }

  // TemplateError when the argument is of another type.
  std::int64_t integer(std::size_t index, std::int64_t otherwise) const;
  std::string_view text(std::size_t index, std::string_view otherwise) const;
  /// Any value's truth.
  bool flag(std::size_t index, bool otherwise) const;

 private:
  [[noreturn]] void refuse(std::size_t index, std::string_view expected) const;

  std::string function_;
  std::vector<std::string_view> names_;
  std::vector<Value> values_;
  std::vector<bool> given_;
};

}  // namespace plimsoll::jinja
