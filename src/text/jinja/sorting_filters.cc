// Filters that order values or find equal ones: sort, dictsort, groupby, unique, min, max.
#include <fmt/format.h>

#include <algorithm>

#include "text/jinja/arguments.h"
#include "text/jinja/attributes.h"
#include "text/jinja/builtins.h"
#include "text/jinja/characters.h"
#include "text/jinja/operators.h"

namespace plimsoll::jinja {

namespace {

struct Keyed {
  Value key;
  Value element;
};

/// Stable, also downwards, as Python's sorted() is.
void sort_by_key(Runtime& runtime, std::vector<Keyed>* rows, bool downwards) {
  std::stable_sort(rows->begin(), rows->end(), [&](const Keyed& a, const Keyed& b) {
    return downwards ? less(runtime, b.key, a.key) : less(runtime, a.key, b.key);
  });
}

Value elements_of(Runtime& runtime, const std::vector<Keyed>& rows) {
  std::vector<Value> elements;
  for (const Keyed& row : rows) elements.push_back(row.element);
  return runtime.list(std::move(elements));
}

Value key_of(Runtime& runtime, const Value& element, const Value& path, bool case_sensitive) {
  const Value key = get_path(runtime, element, path);
  return case_sensitive ? key : without_case(runtime, key);
}

/// "a,b.c" as one key: the values of both paths.
Value joint_key(Runtime& runtime, const Value& element, const Value& paths, bool case_sensitive) {
  std::vector<Value> keys;
  if (paths.text() == nullptr) {
    keys.push_back(key_of(runtime, element, paths, case_sensitive));
  } else {
    std::string_view rest = paths.text()->bytes;
    for (std::size_t comma = 0; comma != std::string_view::npos;) {
      comma = rest.find(',');
      keys.push_back(key_of(runtime, element, runtime.text(std::string(rest.substr(0, comma))),
                            case_sensitive));
      if (comma != std::string_view::npos) rest.remove_prefix(comma + 1);
    }
  }
  return runtime.list(std::move(keys));
}

Value optional_path(const Parameters& parameters, std::size_t index) {
  return parameters.absent(index) ? Value(None{}) : parameters.value(index);
}

Value sort(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const Parameters parameters("filter 'sort'", arguments,
                              {"reverse", "case_sensitive", "attribute"});
  std::vector<Keyed> rows;
  for (const Value& element : iterate(runtime, subject)) {
    rows.push_back(
        {joint_key(runtime, element, optional_path(parameters, 2), parameters.flag(1, false)),
         element});
  }
  sort_by_key(runtime, &rows, parameters.flag(0, false));
  return elements_of(runtime, rows);
}

Value dictsort(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const Parameters parameters("filter 'dictsort'", arguments, {"case_sensitive", "by", "reverse"});
  require_defined(subject);
  const std::string_view by = parameters.text(1, "key");
  if (by != "key" && by != "value") {
    throw TemplateError("You can only sort by either \"key\" or \"value\"");
  }
  if (subject.dict() == nullptr) {
    throw TemplateError(
        fmt::format("filter 'dictsort': found {}, expected a dict", type_name(subject)));
  }
  std::vector<Keyed> rows;
  for (const auto& [key, value] : subject.dict()->entries()) {
    const Value& sorted_by = by == "key" ? key : value;
    rows.push_back({parameters.flag(0, false) ? sorted_by : without_case(runtime, sorted_by),
                    runtime.tuple({key, value})});
  }
  sort_by_key(runtime, &rows, parameters.flag(2, false));
  return elements_of(runtime, rows);
}

Value groupby(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const Parameters parameters("filter 'groupby'", arguments,
                              {"attribute", "default", "case_sensitive"}, 1);
  const bool case_sensitive = parameters.flag(2, false);
  const auto grouper = [&](const Value& element) {
    const Value found = get_path(runtime, element, parameters.value(0));
    return found.is_undefined() && !parameters.absent(1) ? parameters.value(1) : found;
  };
  std::vector<Keyed> rows;
  for (const Value& element : iterate(runtime, subject)) {
    const Value key = grouper(element);
    rows.push_back({case_sensitive ? key : without_case(runtime, key), element});
  }
  sort_by_key(runtime, &rows, false);
  std::vector<Value> groups;
  for (std::size_t start = 0; start < rows.size();) {
    std::vector<Value> members;
    std::size_t end = start;
    while (end < rows.size() && equal(runtime, rows[end].key, rows[start].key)) {
      members.push_back(rows[end++].element);
    }
    if (members.empty()) throw TemplateError("filter 'groupby': a key is not equal to itself");
    groups.push_back(runtime.sequence(
        Sequence::Kind::group, {grouper(members.front()), runtime.list(std::move(members))}));
    start = end;
  }
  return runtime.list(std::move(groups));
}

Value unique(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const Parameters parameters("filter 'unique'", arguments, {"case_sensitive", "attribute"});
  Dict seen;
  std::vector<Value> kept;
  for (const Value& element : iterate(runtime, subject)) {
    const Value key =
        key_of(runtime, element, optional_path(parameters, 1), parameters.flag(0, false));
    if (seen.find(key) != nullptr) continue;
    seen.set(key, key);
    kept.push_back(element);
  }
  return runtime.generator(std::move(kept));
}

template <bool kLargest>
Value extreme(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const Parameters parameters(kLargest ? "filter 'max'" : "filter 'min'", arguments,
                              {"case_sensitive", "attribute"});
  std::optional<Keyed> best;
  for (const Value& element : iterate(runtime, subject)) {
    const Value key =
        key_of(runtime, element, optional_path(parameters, 1), parameters.flag(0, false));
    if (!best || (kLargest ? less(runtime, best->key, key) : less(runtime, key, best->key))) {
      best = Keyed{key, element};
    }
  }
  return best ? best->element : runtime.undefined("No aggregated item, sequence was empty.");
}

}  // namespace

Value without_case(Runtime& runtime, const Value& value) {
  return value.text() == nullptr ? value : runtime.text(to_lower(value.text()->bytes));
}

void add_sorting_filters(FilterTable* table) {
  table->insert({{"sort", sort},
                 {"dictsort", dictsort},
                 {"groupby", groupby},
                 {"unique", unique},
                 {"min", extreme<false>},
                 {"max", extreme<true>}});
}

}  // namespace plimsoll::jinja
