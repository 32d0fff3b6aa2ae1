// The filters, tests and global functions that templates know.
#pragma once

#include <map>
#include <optional>
#include <string_view>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace plimsoll::jinja {

using Filter = Value (*)(Runtime&, const Value& subject, const Arguments&);
using FilterTable = std::map<std::string_view, Filter>;

/// subject|name(arguments). TemplateError when there is no such filter.
Value apply_filter(Runtime& runtime, std::string_view name, const Value& subject,
                   const Arguments& arguments);
bool has_filter(std::string_view name);

/// subject is name(arguments). TemplateError when there is no such test.
bool apply_test(Runtime& runtime, std::string_view name, const Value& subject,
                const Arguments& arguments);
bool has_test(std::string_view name);

/// range, dict, namespace, joiner, cycler, raise_exception, strftime_now.
std::optional<Value> global_function(Runtime& runtime, std::string_view name);

// One file each; builtins.cc joins them.
void add_text_filters(FilterTable* table);
void add_number_filters(FilterTable* table);
void add_sequence_filters(FilterTable* table);
void add_sorting_filters(FilterTable* table);
void add_selection_filters(FilterTable* table);

/// What case-insensitive sorting compares: texts in lower case, other values as they are.
Value without_case(Runtime& runtime, const Value& value);

}  // namespace plimsoll::jinja
