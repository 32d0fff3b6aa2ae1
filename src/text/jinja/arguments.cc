#include "text/jinja/arguments.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/jinja/operators.h"

namespace plimsoll::jinja {

Parameters::Parameters(std::string function, const Arguments& arguments,
                       std::initializer_list<std::string_view> names, std::size_t required)
    : function_(std::move(function)),
      names_(names),
      values_(names.size()),
      given_(names.size(), false) {
  if (arguments.positional.size() > names_.size()) {
    throw TemplateError(fmt::format("{} takes at most {} arguments, {} were given", function_,
                                    names_.size(), arguments.positional.size()));
  }
  for (std::size_t i = 0; i < arguments.positional.size(); ++i) {
    values_[i] = arguments.positional[i];
    given_[i] = true;
  }
  for (const auto& [name, value] : arguments.named) {
    const auto found = std::find(names_.begin(), names_.end(), name);
    if (found == names_.end()) {
      throw TemplateError(fmt::format("{} has no argument '{}'", function_, name));
    }
    const auto index = static_cast<std::size_t>(found - names_.begin());
    if (given_[index]) {
      throw TemplateError(fmt::format("{}: argument '{}' is given twice", function_, name));
    }
    values_[index] = value;
    given_[index] = true;
  }
  for (std::size_t i = 0; i < required; ++i) {
    if (!given_[i]) {
      throw TemplateError(fmt::format("{} needs the argument '{}'", function_, names_[i]));
    }
  }
}

void Parameters::refuse(std::size_t index, std::string_view expected) const {
  require_defined(values_[index]);
  throw TemplateError(fmt::format("{}: argument '{}': found {}, expected {}", function_,
                                  names_[index], type_name(values_[index]), expected));
}

std::int64_t Parameters::integer(std::size_t index, std::int64_t otherwise) const {
  if (!given_[index]) return otherwise;
  const std::optional<std::int64_t> number = as_integer(values_[index]);
  if (!number) refuse(index, "an integer");
  return *number;
}

std::string_view Parameters::text(std::size_t index, std::string_view otherwise) const {
  if (!given_[index]) return otherwise;
  const Text* text = values_[index].text();
  if (text == nullptr) refuse(index, "a text");
  return text->bytes;
}

bool Parameters::flag(std::size_t index, bool otherwise) const {
  return given_[index] ? truthy(values_[index]) : otherwise;
}

}  // namespace plimsoll::jinja
