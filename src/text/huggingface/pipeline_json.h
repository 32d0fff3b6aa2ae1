// What the parts of a tokenizer.json have in common: an object with a "type", a Sequence of such
// objects, a pattern.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "storage/json.h"
#include "text/regex.h"

namespace plimsoll {

/// InputError for a type that the program does not know, which names it.
[[noreturn]] void refuse_type(std::string_view type, std::string_view where);

/// Visits `part`, or where it is a Sequence its members under `members`, nested ones too. `visit`
/// gets the object, its type and its place for messages.
using PartVisitor =
    std::function<void(const Json& part, const std::string& type, const std::string& where)>;
void for_each_part(const Json& part, std::string_view members, const std::string& where,
                   const PartVisitor& visit);

/// The field "pattern": {"String": s} or {"Regex": r}.
Pattern read_pattern(const Json& part, const std::string& where);

/// A field that holds exactly one character, as a code point.
char32_t read_character(const Json& part, std::string_view field, const std::string& where);

}  // namespace plimsoll
