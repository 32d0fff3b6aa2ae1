// Python's two ways of formatting: "%05.1f" % x and "{:>8}".format(x).
#pragma once

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace plimsoll::jinja {

/// format % values: a tuple holds one value for each conversion, a dict the values of %(name)s,
/// anything else is the one value. TemplateError for what Python refuses, and for '*' as a width.
Value percent_format(Runtime& runtime, const Text& format, const Value& values);

/// format.format(...). TemplateError for what Python refuses, and for fields within a field's
/// specification.
Value brace_format(Runtime& runtime, const Text& format, const Arguments& arguments);

}  // namespace plimsoll::jinja
