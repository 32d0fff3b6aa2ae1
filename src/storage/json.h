// Reading JSON that others wrote: every mistake is one InputError that names file, field, what was
// found and what was expected.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "core/error.h"
#include "core/quote.h"

namespace plimsoll {

using Json = nlohmann::json;

/// InputError for a syntax error, text that is not UTF-8, a key twice in one object (nlohmann would
/// keep the last), and nesting deeper than any real file's (nlohmann copies and prints recursively:
/// a million brackets would overflow the stack). `where` names the file in messages.
Json parse_json(std::string_view text, std::string_view where);
/// read_text_file() and parse_json().
Json read_json_file(const std::filesystem::path& path);

/// A value as a message shows it: `null`, `-3`, `"gelu"` (quote(), capped), `an object`.
std::string describe(const Json& value);

// In what follows `where` is what to blame: a file ("DIR/config.json"), or a file and the object
// inside it ("DIR/config.json: rope_scaling"). An absent field and null are the same, as in
// Python's config classes. The bounds are inclusive.

/// nullptr when the field is absent or null, or when `object` is not an object.
const Json* find_field(const Json& object, std::string_view field);
/// InputError "found nothing" when absent or null. `expected` is what should be there: "an
/// integer".
const Json& require_field(const Json& object, std::string_view field, std::string_view where,
                          std::string_view expected);

/// The value itself as the type asked for; InputError naming `field` when it is another or out of
/// bounds. A number must be finite; 64.0 is no integer.
std::int64_t int_value(const Json& value, std::string_view field, std::string_view where,
                       std::int64_t min = std::numeric_limits<std::int64_t>::min(),
                       std::int64_t max = std::numeric_limits<std::int64_t>::max());
double number_value(const Json& value, std::string_view field, std::string_view where,
                    double min = std::numeric_limits<double>::lowest(),
                    double max = std::numeric_limits<double>::max());
bool bool_value(const Json& value, std::string_view field, std::string_view where);
const std::string& string_value(const Json& value, std::string_view field, std::string_view where);
const Json& array_value(const Json& value, std::string_view field, std::string_view where);
const Json& object_value(const Json& value, std::string_view field, std::string_view where);

/// A field of `object` that must be there.
std::int64_t require_int(const Json& object, std::string_view field, std::string_view where,
                         std::int64_t min = std::numeric_limits<std::int64_t>::min(),
                         std::int64_t max = std::numeric_limits<std::int64_t>::max());
double require_number(const Json& object, std::string_view field, std::string_view where,
                      double min = std::numeric_limits<double>::lowest(),
                      double max = std::numeric_limits<double>::max());
bool require_bool(const Json& object, std::string_view field, std::string_view where);
const std::string& require_string(const Json& object, std::string_view field,
                                  std::string_view where);
const Json& require_array(const Json& object, std::string_view field, std::string_view where);
const Json& require_object(const Json& object, std::string_view field, std::string_view where);

/// A field of `object` that may be absent or null; of the wrong type it is still an InputError.
std::optional<std::int64_t> find_int(const Json& object, std::string_view field,
                                     std::string_view where,
                                     std::int64_t min = std::numeric_limits<std::int64_t>::min(),
                                     std::int64_t max = std::numeric_limits<std::int64_t>::max());
std::optional<double> find_number(const Json& object, std::string_view field,
                                  std::string_view where,
                                  double min = std::numeric_limits<double>::lowest(),
                                  double max = std::numeric_limits<double>::max());
std::optional<bool> find_bool(const Json& object, std::string_view field, std::string_view where);
std::optional<std::string> find_string(const Json& object, std::string_view field,
                                       std::string_view where);
/// nullptr when absent or null.
const Json* find_array(const Json& object, std::string_view field, std::string_view where);
const Json* find_object(const Json& object, std::string_view field, std::string_view where);

}  // namespace plimsoll
