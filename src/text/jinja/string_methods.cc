// str's methods, as far as templates use them.
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "text/jinja/arguments.h"
#include "text/jinja/attributes.h"
#include "text/jinja/characters.h"
#include "text/jinja/format.h"
#include "text/jinja/operators.h"
#include "text/jinja/text_operations.h"
#include "text/jinja/text_search.h"

namespace plimsoll::jinja {

namespace {

using Method = Value (*)(Runtime&, const Text&, const Arguments&);

template <std::string (*kMap)(std::string_view)>
Value mapped(Runtime& runtime, const Text& text, const Arguments& arguments) {
  const Parameters none("a str method", arguments, {});
  runtime.read(text.bytes.size());
  return runtime.text(kMap(text.bytes), text.markup);
}

template <TextClass kClass>
Value in_class(Runtime& runtime, const Text& text, const Arguments& arguments) {
  const Parameters none("a str method", arguments, {});
  runtime.read(text.bytes.size());
  return Value(is_all(kClass, text.bytes));
}

template <bool kLeft, bool kRight>
Value stripped(Runtime& runtime, const Text& text, const Arguments& arguments) {
  const Parameters parameters("str.strip", arguments, {"chars"});
  const std::optional<std::string_view> characters =
      parameters.absent(0) ? std::nullopt : std::optional(parameters.text(0, ""));
  return runtime.text(std::string(strip(runtime, text.bytes, characters, kLeft, kRight)),
                      text.markup);
}

template <bool kFromRight>
Value split_method(Runtime& runtime, const Text& text, const Arguments& arguments) {
  const Parameters parameters("str.split", arguments, {"sep", "maxsplit"});
  const std::int64_t limit = parameters.integer(1, -1);
  if (parameters.absent(0)) return split_at_spaces(runtime, text.bytes, limit, kFromRight);
  return split_at(runtime, text.bytes, parameters.text(0, ""), limit, kFromRight);
}

Value splitlines(Runtime& runtime, const Text& text, const Arguments& arguments) {
  const Parameters parameters("str.splitlines", arguments, {"keepends"});
  return runtime.list(split_lines(runtime, text.bytes, parameters.flag(0, false)));
}

/// The part of `text` between the optional arguments start and end, which count code points.
std::string_view window(Runtime& runtime, const Text& text, const Parameters& parameters,
                        std::size_t* start) {
  runtime.read(text.bytes.size());
  const auto length = static_cast<std::int64_t>(text.length);
  const auto bound = [&](std::size_t index, std::int64_t otherwise) {
    const std::int64_t given = parameters.absent(index) ? otherwise : parameters.integer(index, 0);
    return std::clamp<std::int64_t>(given < 0 ? given + length : given, 0, length);
  };
  const std::int64_t from = bound(1, 0);
  const std::int64_t to = std::max(from, bound(2, length));
  *start = static_cast<std::size_t>(from);
  const std::size_t first = byte_offset(text.bytes, *start);
  const std::size_t last = byte_offset(text.bytes, static_cast<std::size_t>(to));
  return std::string_view(text.bytes).substr(first, last - first);
}

template <bool kAtEnd>
Value affix(Runtime& runtime, const Text& text, const Arguments& arguments) {
  const Parameters parameters(kAtEnd ? "str.endswith" : "str.startswith", arguments,
                              {"affix", "start", "end"}, 1);
  std::size_t start = 0;
  const std::string_view part = window(runtime, text, parameters, &start);
  const auto fits = [&](std::string_view wanted) {
    return kAtEnd ? part.ends_with(wanted) : part.starts_with(wanted);
  };
  const Sequence* choices = parameters.value(0).sequence();
  if (choices == nullptr || !choices->is_tuple()) return Value(fits(parameters.text(0, "")));
  return Value(
      std::any_of(choices->elements.begin(), choices->elements.end(), [&](const Value& choice) {
        if (choice.text() != nullptr) return fits(choice.text()->bytes);
        throw TemplateError("a tuple for startswith holds other than texts");
      }));
}

template <bool kLast, bool kMustBeThere>
Value position(Runtime& runtime, const Text& text, const Arguments& arguments) {
  const Parameters parameters("str.find", arguments, {"sub", "start", "end"}, 1);
  std::size_t start = 0;
  const std::string_view part = window(runtime, text, parameters, &start);
  const std::string_view wanted = parameters.text(0, "");
  const std::size_t found = kLast ? find_last_text(part, wanted) : find_text(part, wanted);
  if (found != std::string_view::npos) {
    return Value(static_cast<std::int64_t>(start + count_code_points(part.substr(0, found))));
  }
  if (kMustBeThere) throw TemplateError("substring not found");
  return Value(std::int64_t{-1});
}

Value count(Runtime& runtime, const Text& text, const Arguments& arguments) {
  const Parameters parameters("str.count", arguments, {"sub", "start", "end"}, 1);
  std::size_t start = 0;
  const std::string_view part = window(runtime, text, parameters, &start);
  const std::string_view wanted = parameters.text(0, "");
  if (wanted.empty()) return Value(static_cast<std::int64_t>(count_code_points(part) + 1));
  std::int64_t times = 0;
  for (std::size_t at = find_text(part, wanted); at != std::string_view::npos;
       at = find_text(part, wanted, at + wanted.size())) {
    runtime.read(wanted.size());
    ++times;
  }
  return Value(times);
}

Value replace_method(Runtime& runtime, const Text& text, const Arguments& arguments) {
  const Parameters parameters("str.replace", arguments, {"old", "new", "count"}, 2);
  return runtime.text(replace(runtime, text.bytes, parameters.text(0, ""), parameters.text(1, ""),
                              parameters.integer(2, -1)),
                      text.markup);
}

Value join_method(Runtime& runtime, const Text& text, const Arguments& arguments) {
  const Parameters parameters("str.join", arguments, {"iterable"}, 1);
  Builder out(runtime);
  bool first = true;
  for (const Value& element : iterate(runtime, parameters.value(0))) {
    if (element.text() == nullptr) {
      throw TemplateError(
          fmt::format("str.join: expected str instance, {} found", type_name(element)));
    }
    if (!first) out.append(text.bytes);
    first = false;
    out.append(element.text()->bytes);
  }
  return out.finish(text.markup);
}

template <bool kAtEnd>
Value without_affix(Runtime& runtime, const Text& text, const Arguments& arguments) {
  const Parameters parameters("str.removeprefix", arguments, {"affix"}, 1);
  std::string_view rest = text.bytes;
  const std::string_view wanted = parameters.text(0, "");
  if (kAtEnd && rest.ends_with(wanted)) rest.remove_suffix(wanted.size());
  if (!kAtEnd && rest.starts_with(wanted)) rest.remove_prefix(wanted.size());
  return runtime.text(std::string(rest), text.markup);
}

template <char kAlign>
Value padded(Runtime& runtime, const Text& text, const Arguments& arguments) {
  const Parameters parameters("str.ljust", arguments, {"width", "fillchar"}, 1);
  const std::string_view fill = parameters.text(1, " ");
  if (count_code_points(fill) != 1) {
    throw TemplateError("the fill character must be exactly one character long");
  }
  return justify(runtime, text, parameters.integer(0, 0), fill, kAlign);
}

Value zfill(Runtime& runtime, const Text& text, const Arguments& arguments) {
  const Parameters parameters("str.zfill", arguments, {"width"}, 1);
  const auto width =
      static_cast<std::uint64_t>(std::max<std::int64_t>(0, parameters.integer(0, 0)));
  const bool sign = text.bytes.starts_with('+') || text.bytes.starts_with('-');
  Builder out(runtime);
  out.append(std::string_view(text.bytes).substr(0, sign ? 1 : 0));
  out.append(width > text.length ? width - text.length : 0, "0");
  out.append(std::string_view(text.bytes).substr(sign ? 1 : 0));
  return out.finish(text.markup);
}

template <bool kLast>
Value partition(Runtime& runtime, const Text& text, const Arguments& arguments) {
  const Parameters parameters("str.partition", arguments, {"sep"}, 1);
  const std::string_view separator = parameters.text(0, "");
  if (separator.empty()) throw TemplateError("empty separator");
  runtime.read(text.bytes.size());
  const std::size_t found =
      kLast ? find_last_text(text.bytes, separator) : find_text(text.bytes, separator);
  if (found == std::string_view::npos) {
    const Value nothing = runtime.text("");
    const Value whole = runtime.text(text.bytes);
    return kLast ? runtime.tuple({nothing, nothing, whole})
                 : runtime.tuple({whole, nothing, nothing});
  }
  return runtime.tuple({runtime.text(text.bytes.substr(0, found)),
                        runtime.text(std::string(separator)),
                        runtime.text(text.bytes.substr(found + separator.size()))});
}

const std::map<std::string_view, Method>& methods() {
  static const std::map<std::string_view, Method> kMethods{
      {"upper", mapped<to_upper>},
      {"lower", mapped<to_lower>},
      {"casefold", mapped<to_lower>},
      {"capitalize", mapped<capitalize>},
      {"title", mapped<title_of_letters>},
      {"isalpha", in_class<TextClass::alpha>},
      {"isdigit", in_class<TextClass::digit>},
      {"isdecimal", in_class<TextClass::decimal>},
      {"isnumeric", in_class<TextClass::numeric>},
      {"isalnum", in_class<TextClass::alnum>},
      {"isupper", in_class<TextClass::upper>},
      {"islower", in_class<TextClass::lower>},
      {"isspace", in_class<TextClass::space>},
      {"isidentifier", in_class<TextClass::identifier>},
      {"strip", stripped<true, true>},
      {"lstrip", stripped<true, false>},
      {"rstrip", stripped<false, true>},
      {"split", split_method<false>},
      {"rsplit", split_method<true>},
      {"splitlines", splitlines},
      {"startswith", affix<false>},
      {"endswith", affix<true>},
      {"find", position<false, false>},
      {"rfind", position<true, false>},
      {"index", position<false, true>},
      {"rindex", position<true, true>},
      {"count", count},
      {"replace", replace_method},
      {"join", join_method},
      {"format", brace_format},
      {"removeprefix", without_affix<false>},
      {"removesuffix", without_affix<true>},
      {"ljust", padded<'<'>},
      {"rjust", padded<'>'>},
      {"center", padded<'^'>},
      {"zfill", zfill},
      {"partition", partition<false>},
      {"rpartition", partition<true>},
  };
  return kMethods;
}

}  // namespace

std::optional<Value> string_method(Runtime& runtime, const Value& text, std::string_view name) {
  const auto found = methods().find(name);
  if (found == methods().end()) return std::nullopt;
  return runtime.callable(std::string(name), [owner = text.text(), method = found->second](
                                                 Runtime& current, const Arguments& arguments) {
    return method(current, *owner, arguments);
  });
}

}  // namespace plimsoll::jinja
