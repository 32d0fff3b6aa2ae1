#include "text/jinja/builtins.h"

#include <fmt/format.h>

namespace plimsoll::jinja {

namespace {
const FilterTable& filters() {
  static const FilterTable kFilters = [] {
    FilterTable table;
    add_text_filters(&table);
    add_number_filters(&table);
    add_sequence_filters(&table);
    add_sorting_filters(&table);
    add_selection_filters(&table);
    return table;
  }();
  return kFilters;
}
}  // namespace

Value apply_filter(Runtime& runtime, std::string_view name, const Value& subject,
                   const Arguments& arguments) {
  runtime.step();
  const auto found = filters().find(name);
  if (found == filters().end()) throw TemplateError(fmt::format("no filter named '{}'", name));
  return found->second(runtime, subject, arguments);
}

bool has_filter(std::string_view name) {
  return filters().contains(name);
}

}  // namespace plimsoll::jinja
