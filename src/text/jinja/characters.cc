#include "text/jinja/characters.h"

#include <utf8proc.h>

#include <algorithm>
#include <utility>

#include "text/utf8.h"

namespace plimsoll::jinja {

namespace {

utf8proc_category_t category(char32_t c) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(c));
}

bool is_letter(char32_t c) {
  switch (category(c)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return true;
    default:
      return false;
  }
}

bool is_upper(char32_t c) {
  return category(c) == UTF8PROC_CATEGORY_LU;
}
bool is_lower(char32_t c) {
  return category(c) == UTF8PROC_CATEGORY_LL;
}
bool is_cased(char32_t c) {
  return is_upper(c) || is_lower(c) || category(c) == UTF8PROC_CATEGORY_LT;
}

bool is_decimal(char32_t c) {
  return category(c) == UTF8PROC_CATEGORY_ND;
}
bool is_digit(char32_t c) {
  const bool raised = c == 0xB2 || c == 0xB3 || c == 0xB9 || c == 0x2070 ||
                      (c >= 0x2074 && c <= 0x2079) || (c >= 0x2080 && c <= 0x2089);
  return is_decimal(c) || raised;
}
bool is_numeric(char32_t c) {
  return is_digit(c) || category(c) == UTF8PROC_CATEGORY_NL || category(c) == UTF8PROC_CATEGORY_NO;
}

bool starts_name(char32_t c) {
  return c == '_' || is_letter(c) || category(c) == UTF8PROC_CATEGORY_NL;
}
bool continues_name(char32_t c) {
  const utf8proc_category_t its = category(c);
  return starts_name(c) || is_decimal(c) || its == UTF8PROC_CATEGORY_MN ||
         its == UTF8PROC_CATEGORY_MC || its == UTF8PROC_CATEGORY_PC;
}

template <class Predicate>
bool every(std::string_view text, Predicate holds) {
  for (std::size_t at = 0; at < text.size();) {
    if (!holds(next_code_point(text, &at))) return false;
  }
  return !text.empty();
}

/// One case throughout: some character of it, and none of the other.
bool has_one_case(std::string_view text, bool (*wanted)(char32_t)) {
  bool seen = false;
  const bool consistent = every(text, [&](char32_t c) {
    seen = seen || wanted(c);
    return wanted(c) || !is_cased(c);
  });
  return consistent && seen;
}

void append_upper(std::string* text, char32_t c) {
  constexpr char32_t kSharpS = 0xDF;
  if (c == kSharpS) {
    text->append("SS");
  } else {
    utf8::append(*text, static_cast<char32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c))));
  }
}

void append_lower(std::string* text, char32_t c) {
  utf8::append(*text, static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
}

/// Every character in upper case where `raised` says so of the one before it, in lower case
/// elsewhere. The first character has 0 before it.
template <class Raised>
std::string with_cases(std::string_view text, Raised raised) {
  std::string result;
  char32_t before = 0;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, &at);
    if (raised(before)) {
      append_upper(&result, c);
    } else {
      append_lower(&result, c);
    }
    before = c;
  }
  return result;
}

}  // namespace

std::size_t count_code_points(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

std::size_t byte_offset(std::string_view text, std::size_t index) {
  std::size_t position = 0;
  for (; index > 0 && position < text.size(); --index) position += utf8::length(text[position]);
  return position;
}

std::size_t last_start(std::string_view text) {
  std::size_t at = text.size() - 1;
  while (at > 0 && (static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) --at;
  return at;
}

std::string_view code_point_at(std::string_view text, std::size_t position) {
  return text.substr(position, utf8::length(text[position]));
}

char32_t next_code_point(std::string_view text, std::size_t* position) {
  const char32_t c = utf8::first(text.substr(*position));
  *position += utf8::length(text[*position]);
  return c;
}

bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

bool is_printable(char32_t c) {
  switch (category(c)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return false;
    case UTF8PROC_CATEGORY_ZS:
      return c == ' ';
    default:
      return true;
  }
}

bool is_all(TextClass text_class, std::string_view text) {
  switch (text_class) {
    case TextClass::alpha:
      return every(text, is_letter);
    case TextClass::digit:
      return every(text, is_digit);
    case TextClass::decimal:
      return every(text, is_decimal);
    case TextClass::numeric:
      return every(text, is_numeric);
    case TextClass::alnum:
      return every(text, [](char32_t c) { return is_letter(c) || is_numeric(c); });
    case TextClass::upper:
      return has_one_case(text, is_upper);
    case TextClass::lower:
      return has_one_case(text, is_lower);
    case TextClass::space:
      return every(text, is_space);
    case TextClass::identifier:
      return every(text, continues_name) && starts_name(utf8::first(text));
  }
  return false;
}

std::size_t count_words(std::string_view text) {
  std::size_t count = 0;
  bool inside = false;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, &at);
    const bool word = c == '_' || is_letter(c) || is_numeric(c);
    if (word && !inside) ++count;
    inside = word;
  }
  return count;
}

std::string to_upper(std::string_view text) {
  return with_cases(text, [](char32_t) { return true; });
}

std::string to_lower(std::string_view text) {
  return with_cases(text, [](char32_t) { return false; });
}

std::string capitalize(std::string_view text) {
  return with_cases(text, [first = true](char32_t) mutable { return std::exchange(first, false); });
}

std::string title_of_letters(std::string_view text) {
  return with_cases(text, [](char32_t before) { return !is_cased(before); });
}

std::string title_of_words(std::string_view text) {
  return with_cases(text, [](char32_t before) {
    return before == 0 || is_space(before) ||
           (before < 0x80 &&
            std::string_view("-({[<").find(static_cast<char>(before)) != std::string_view::npos);
  });
}

}  // namespace plimsoll::jinja
