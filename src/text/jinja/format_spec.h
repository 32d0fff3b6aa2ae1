// What "%-08.3f" and "{:<8.3f}" have in common: one value laid out in a field.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

namespace plimsoll::jinja {

struct FormatSpec {
  std::string fill = " ";
  /// '<', '>', '^', or '=' for padding between the sign and the digits; 0 for the type's own.
  char align = 0;
  /// '+', ' ' or '-'.
  char sign = '-';
  bool alternate = false;
  std::uint64_t width = 0;
  /// ',' or '_' between thousands; 0 for none.
  char grouping = 0;
  std::optional<std::uint64_t> precision;
  /// The presentation: s, d, x, f, g and so on; 0 for the type's own.
  char type = 0;
};

/// A decimal number in `text` at `*position`, which moves behind it; nothing when there is no
/// digit. TemplateError when the number is beyond any sensible width.
std::optional<std::uint64_t> read_number(std::string_view text, std::size_t* position);

void format_text(std::string_view text, const FormatSpec& spec, Builder* out);
void format_integer(std::int64_t number, const FormatSpec& spec, Builder* out);
void format_real(double number, const FormatSpec& spec, Builder* out);

}  // namespace plimsoll::jinja
