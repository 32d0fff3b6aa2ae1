// Oniguruma's dialect (https://github.com/kkos/oniguruma/blob/master/doc/RE) in PCRE2's, for what
// tokenizers use. Where the two differ:
//   \s \w \d  properties, so that Unicode means the same in both; \h is a hexadecimal digit
//   \p{Han}   the script itself, where PCRE2 would take script extensions
//   x{2,3}+   a repeated repeat, where PCRE2 would take a possessive one; x{2}? likewise; x{,3}
#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/quote.h"
#include "text/regex.h"
#include "text/utf8.h"

namespace plimsoll {

namespace {

constexpr std::string_view kWord = R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc})";

bool is_ascii_alnum(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

class Translator {
 public:
  Translator(std::string_view pattern, std::string_view where) : pattern_(pattern), where_(where) {}

  std::string translate() {
    while (at_ < pattern_.size()) step();
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    throw InputError(where_, fmt::format("pattern {}", quote(pattern_)),
                     fmt::format("{} at byte {}", what, at_),
                     "a regular expression that means the same to PCRE2");
  }

  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < pattern_.size() ? pattern_[at_ + ahead] : '\0';
  }
  bool looking_at(std::string_view text) const { return pattern_.substr(at_).starts_with(text); }

  /// One element outside a character class.
  void step() {
    const char c = peek();
    if (c == '(') return open_group();
    if (c == ')') {
      if (groups_.empty()) refuse("an unmatched )");
      out_ += ')';
      ++at_;
      atom_ = groups_.back();
      groups_.pop_back();
      return;
    }
    if (c == '{' && interval()) return;
    if (c == '*' || c == '+' || c == '?' || c == '|' || c == '^' || c == '$') {
      out_ += c;
      ++at_;
      return;
    }
    atom_ = out_.size();
    if (c == '[') return character_class();
    if (c == '\\') return escape(/*in_class=*/false);
    if (c == '.') {
      out_ += c;
      ++at_;
      return;
    }
    literal();
  }

  void literal() {
    const std::size_t size = utf8::length(peek());
    if (size == 1 && !is_ascii_alnum(peek()) && peek() > ' ' && peek() != '\x7F') out_ += '\\';
    out_ += pattern_.substr(at_, size);
    at_ += size;
  }

  void open_group() {
    static constexpr std::array<std::string_view, 8> kKinds = {
        "(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?-i:"};
    groups_.push_back(out_.size());
    for (const std::string_view kind : kKinds) {
      if (looking_at(kind)) {
        out_ += kind;
        at_ += kind.size();
        return;
      }
    }
    if (at_ == 0 && looking_at("(?i)")) {
      groups_.pop_back();
      out_ += "(?i)";
      at_ += 4;
      return;
    }
    if (peek(1) == '?' || peek(1) == '*') refuse("an unknown kind of group");
    out_ += '(';
    ++at_;
  }

  /// {n}, {n,}, {,m}, {n,m}; false when the brace is a character.
  bool interval() {
    std::size_t end = at_ + 1;
    const auto number = [&] {
      const std::size_t begin = end;
      while (end < pattern_.size() && is_digit(pattern_[end])) ++end;
      return pattern_.substr(begin, end - begin);
    };
    const std::string_view low = number();
    const bool comma = end < pattern_.size() && pattern_[end] == ',';
    if (comma) ++end;
    const std::string_view high = comma ? number() : low;
    if (end >= pattern_.size() || pattern_[end] != '}' || (low.empty() && high.empty())) {
      return false;
    }
    at_ = end + 1;
    out_ += fmt::format("{{{}{}{}}}", low.empty() ? "0" : low, comma ? "," : "", comma ? high : "");
    if (peek() == '+' || (peek() == '?' && !comma)) {
      out_.insert(atom_, "(?:");
      out_ += ')';
    }
    return true;
  }

  void character_class() {
    out_ += '[';
    ++at_;
    if (peek() == '^') {
      out_ += '^';
      ++at_;
    }
    for (bool first = true;; first = false) {
      if (at_ >= pattern_.size()) refuse("an unclosed [");
      if (peek() == ']' && !first) break;
      if (looking_at("&&")) refuse("an intersection of classes");
      if (looking_at("[:")) {
        posix_class();
      } else if (peek() == '[') {
        refuse("a class in a class");
      } else if (peek() == '\\') {
        escape(/*in_class=*/true);
      } else if (peek() == '-') {
        out_ += '-';
        ++at_;
      } else {
        literal();
      }
    }
    out_ += ']';
    ++at_;
  }

  void posix_class() {
    static constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kClasses = {{
        {"[:alpha:]", R"(\p{Alphabetic})"},
        {"[:alnum:]", R"(\p{Alphabetic}\p{Nd})"},
        {"[:digit:]", R"(\p{Nd})"},
        {"[:space:]", R"(\p{White_Space})"},
        {"[:upper:]", R"(\p{Uppercase})"},
        {"[:lower:]", R"(\p{Lowercase})"},
        {"[:punct:]", R"(\p{P}$+<=>\^`|~)"},
    }};
    for (const auto& [name, meaning] : kClasses) {
      if (looking_at(name)) {
        out_ += meaning;
        at_ += name.size();
        return;
      }
    }
    refuse("an unknown POSIX class");
  }

  void escape(bool in_class) {
    const char c = peek(1);
    if (at_ + 1 >= pattern_.size()) refuse("a \\ at the end");
    if (!is_ascii_alnum(c)) {
      ++at_;
      return literal();
    }
    const auto put = [&](std::string_view meaning) {
      out_ += meaning;
      at_ += 2;
    };
    const auto bracketed = [&](std::string_view set) {
      put(in_class ? std::string(set) : fmt::format("[{}]", set));
    };
    switch (c) {
      case 's':
        return put(R"(\p{White_Space})");
      case 'S':
        return put(R"(\P{White_Space})");
      case 'd':
        return put(R"(\p{Nd})");
      case 'D':
        return put(R"(\P{Nd})");
      case 'w':
        return bracketed(kWord);
      case 'h':
        return bracketed("0-9A-Fa-f");
      case 'W':
        if (in_class) refuse("\\W in a class");
        return put(fmt::format("[^{}]", kWord));
      case 'H':
        if (in_class) refuse("\\H in a class");
        return put("[^0-9A-Fa-f]");
      case 'n':
      case 'r':
      case 't':
      case 'f':
      case 'a':
      case 'e':
        return put(pattern_.substr(at_, 2));
      case 'v':
        return put(R"(\x0B)");
      case 'b':
        return put(in_class ? R"(\x08)"
                            : fmt::format("(?:(?<=[{0}])(?![{0}])|(?<![{0}])(?=[{0}]))", kWord));
      case 'A':
      case 'z':
      case 'Z':
      case 'G':
        if (in_class) break;
        return put(pattern_.substr(at_, 2));
      case 'p':
      case 'P':
        return property();
      case 'x':
      case 'u':
        return code_point();
      default:
        break;
    }
    refuse(fmt::format("the escape \\{}", c));
  }

  void property() {
    bool negative = peek(1) == 'P';
    const std::size_t close = pattern_.find('}', at_);
    if (peek(2) != '{' || close == std::string_view::npos) refuse("a property without braces");
    std::string name(pattern_.substr(at_ + 3, close - at_ - 3));
    if (name.starts_with('^')) {
      negative = !negative;
      name.erase(0, 1);
    }
    const bool plain = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
      return is_ascii_alnum(c) || c == '_' || c == ' ' || c == '-';
    });
    if (!plain) refuse("a property's name");
    out_ += fmt::format("\\{}{{{}}}", negative ? 'P' : 'p', pcre_property(name));
    at_ = close + 1;
  }

  /// Oniguruma's own names, general categories spelt out and scripts; the rest is the same.
  static std::string pcre_property(const std::string& name) {
    std::string key;
    for (const char c : name) {
      if (is_ascii_alnum(c)) key += static_cast<char>(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    static constexpr std::array<std::pair<std::string_view, std::string_view>, 18> kNames = {{
        {"alpha", "Alphabetic"},
        {"digit", "Nd"},
        {"space", "White_Space"},
        {"upper", "Uppercase"},
        {"lower", "Lowercase"},
        {"letter", "L"},
        {"uppercaseletter", "Lu"},
        {"lowercaseletter", "Ll"},
        {"titlecaseletter", "Lt"},
        {"modifierletter", "Lm"},
        {"otherletter", "Lo"},
        {"mark", "M"},
        {"nonspacingmark", "Mn"},
        {"number", "N"},
        {"decimalnumber", "Nd"},
        {"punctuation", "P"},
        {"symbol", "S"},
        {"separator", "Z"},
    }};
    for (const auto& [from, to] : kNames) {
      if (key == from) return std::string(to);
    }
    if (key.size() <= 2) return name;  // a general category
    const std::string script = "sc:" + name;
    try {
      const Regex known(fmt::format("\\p{{{}}}", script), "");
      return script;
    } catch (const InputError&) {
      return name;  // a binary property, or unknown to PCRE2, which will say so
    }
  }

  /// \xHH, \x{H...}, \uHHHH
  void code_point() {
    const bool braces = peek(1) == 'x' && peek(2) == '{';
    const std::size_t begin = at_ + (braces ? 3 : 2);
    const std::size_t most = braces ? 6 : peek(1) == 'u' ? 4 : 2;
    std::size_t end = begin;
    char32_t value = 0;
    while (end < pattern_.size() && end - begin < most) {
      const char c = pattern_[end];
      const char lower = static_cast<char>(c | 0x20);
      if (is_digit(c)) {
        value = value * 16 + static_cast<char32_t>(c - '0');
      } else if (lower >= 'a' && lower <= 'f') {
        value = value * 16 + static_cast<char32_t>(lower - 'a' + 10);
      } else {
        break;
      }
      ++end;
    }
    const bool closed = !braces || (end < pattern_.size() && pattern_[end] == '}');
    const bool byte = peek(1) == 'x' && !braces && value >= 0x80;
    const bool surrogate = value >= 0xD800 && value < 0xE000;
    if (end == begin || !closed || byte || surrogate || value > 0x10FFFF) refuse("a code point");
    out_ += fmt::format("\\x{{{:X}}}", static_cast<std::uint32_t>(value));
    at_ = end + (braces ? 1 : 0);
  }

  std::string_view pattern_;
  std::string_view where_;
  std::size_t at_ = 0;
  std::string out_;
  std::size_t atom_ = 0;             // where in out_ the last repeatable element starts
  std::vector<std::size_t> groups_;  // where in out_ the open groups start
};

}  // namespace

std::string oniguruma_to_pcre(std::string_view pattern, std::string_view where) {
  return Translator(pattern, where).translate();
}

}  // namespace plimsoll
