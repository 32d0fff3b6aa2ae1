// What the methods of str and the filters of the same name share.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace plimsoll::jinja {

/// Without white space (or the `characters`) at the ends asked for.
std::string_view strip(Runtime& runtime, std::string_view text,
                       std::optional<std::string_view> characters, bool left, bool right);

/// str.split and str.rsplit: at most `limit` cuts, all of them when negative. Lists of texts.
Value split_at(Runtime& runtime, std::string_view text, std::string_view separator,
               std::int64_t limit, bool from_right);
Value split_at_spaces(Runtime& runtime, std::string_view text, std::int64_t limit, bool from_right);
/// str.splitlines, with Unicode's line ends too.
std::vector<Value> split_lines(Runtime& runtime, std::string_view text, bool keep_ends);

/// str.replace: at most `limit` times, everywhere when negative.
std::string replace(Runtime& runtime, std::string_view text, std::string_view old,
                    std::string_view with, std::int64_t limit);

/// str.ljust ('<'), str.rjust ('>') and str.center ('^').
Value justify(Runtime& runtime, const Text& text, std::int64_t width, std::string_view fill,
              char align);

}  // namespace plimsoll::jinja
