#include "text/huggingface/pipeline_json.h"

#include "text/utf8.h"

namespace plimsoll {

void refuse_type(std::string_view type, std::string_view where) {
  throw InputError(where, "type", quote(type), "a type that this program knows");
}

void for_each_part(const Json& part, std::string_view members, const std::string& where,
                   const PartVisitor& visit) {
  object_value(part, "value", where);
  const std::string& type = require_string(part, "type", where);
  if (type != "Sequence") return visit(part, type, where);
  std::size_t index = 0;
  for (const Json& member : require_array(part, members, where)) {
    for_each_part(member, members, fmt::format("{}: {}[{}]", where, members, index++), visit);
  }
}

Pattern read_pattern(const Json& part, const std::string& where) {
  const Json& pattern = require_object(part, "pattern", where);
  if (const auto text = find_string(pattern, "String", where)) {
    if (text->empty()) throw InputError(where, "pattern", "\"\"", "a string to look for");
    return Pattern::literal(*text);
  }
  const std::string& regex = require_string(pattern, "Regex", where);
  return Pattern::regex(Regex(oniguruma_to_pcre(regex, where), where));
}

char32_t read_character(const Json& part, std::string_view field, const std::string& where) {
  const std::string& text = require_string(part, field, where);
  if (text.empty() || utf8::length(text.front()) != text.size()) {
    throw InputError(where, field, quote(text), "one character");
  }
  return utf8::first(text);
}

}  // namespace plimsoll
