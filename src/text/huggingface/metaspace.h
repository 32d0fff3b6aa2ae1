// Metaspace: a space is written "▁" (U+2581), and a word may get one in front, so that it is spelt
// the same at the start of a text as inside it.
#pragma once

#include <string>

#include "text/huggingface/pipeline_json.h"
#include "text/utf8.h"

namespace plimsoll {

struct Metaspace {
  enum class Prepend { always, first, never };

  std::string replacement;
  Prepend prepend = Prepend::always;
  bool split = true;

  static Metaspace read(const Json& part, const std::string& where) {
    Metaspace metaspace;
    utf8::append(metaspace.replacement, read_character(part, "replacement", where));
    metaspace.split = find_bool(part, "split", where).value_or(true);
    const auto scheme = find_string(part, "prepend_scheme", where);
    // Older files say only whether there is a prefix.
    const bool prefix = find_bool(part, "add_prefix_space", where).value_or(true);
    if (scheme == "always") {
      metaspace.prepend = Prepend::always;
    } else if (scheme == "first") {
      metaspace.prepend = Prepend::first;
    } else if (scheme == "never") {
      metaspace.prepend = Prepend::never;
    } else if (scheme) {
      throw InputError(where, "prepend_scheme", quote(*scheme), "always, first or never");
    } else {
      metaspace.prepend = prefix ? Prepend::always : Prepend::never;
    }
    return metaspace;
  }
};

}  // namespace plimsoll
