#include "text/jinja/lexer.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/jinja/characters.h"
#include "text/jinja/string_literal.h"
#include "text/utf8.h"

namespace plimsoll::jinja {

namespace {

/// Ten times the longest template in use. Parsed, a template takes up to 250 times its bytes.
constexpr std::size_t kLongestSource = 1U << 18;

/// Every line end as \n, and without the last one.
std::string normalised(std::string_view source) {
  std::string text;
  text.reserve(source.size());
  for (std::size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      text += '\n';
      if (source.substr(i + 1, 1) == "\n") ++i;
    } else {
      text += source[i];
    }
  }
  if (text.ends_with('\n')) text.pop_back();
  return text;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_word(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : text_(normalised(source)), source_(text_) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) root();
    push(Token::Kind::end, "");
    return std::move(tokens_);
  }

 private:
  bool looking_at(std::string_view wanted) const { return source_.substr(at_).starts_with(wanted); }
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < source_.size() ? source_[at_ + ahead] : '\0';
  }

  void push(Token::Kind kind, std::string text) {
    tokens_.push_back({kind, std::move(text), line_});
  }

  /// Moves behind `size` bytes, counting lines.
  void advance(std::size_t size) {
    const std::string_view passed = source_.substr(at_, size);
    line_ += static_cast<int>(std::count(passed.begin(), passed.end(), '\n'));
    at_ += passed.size();
  }

  /// Bytes of white space at `from`.
  std::size_t spaces_at(std::size_t from) const {
    std::size_t end = from;
    for (std::size_t next = from; next < source_.size(); end = next) {
      if (!is_space(next_code_point(source_, &next))) break;
    }
    return end - from;
  }

  void skip_spaces() { advance(spaces_at(at_)); }

  /// Moves behind a tag's end at at_: "-" takes all white space with it, none the line end.
  void finish_tag(std::string_view end, bool trim_line_end) {
    const std::size_t start = at_;
    const bool minus = looking_at("-");
    const bool plus = looking_at("+");
    advance((minus || plus ? 1 : 0) + end.size());
    if (minus) {
      skip_spaces();
    } else if (!plus && trim_line_end && peek() == '\n') {
      advance(1);
    }
    line_starts_ = at_ > start && source_[at_ - 1] == '\n';
  }

  bool at_tag_end(std::string_view end, bool allow_plus) const {
    return looking_at(end) || (looking_at("-") && source_.substr(at_ + 1).starts_with(end)) ||
           (allow_plus && looking_at("+") && source_.substr(at_ + 1).starts_with(end));
  }

  /// Data up to the tag at `tag`, with the white space before it trimmed as the tag's sign says.
  void data_before(std::size_t tag, bool variable) {
    std::string_view data = source_.substr(at_, tag - at_);
    const char sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
    if (sign == '-') {
      while (!data.empty()) {
        const std::size_t last = last_start(data);
        std::size_t position = last;
        if (!is_space(next_code_point(data, &position))) break;
        data = data.substr(0, last);
      }
    } else if (sign != '+' && !variable) {
      const std::size_t line_end = data.rfind('\n');
      const std::size_t line = line_end == std::string_view::npos ? 0 : line_end + 1;
      const bool whole_line = line > 0 || line_starts_;
      if (whole_line && spaces_at(at_ + line) >= data.size() - line) data = data.substr(0, line);
    }
    if (!data.empty()) push(Token::Kind::data, std::string(data));
    advance(tag - at_);
  }

  void root() {
    std::size_t tag = at_;
    const auto is_tag = [&] {
      const char second = tag + 1 < source_.size() ? source_[tag + 1] : '\0';
      return second == '%' || second == '{' || second == '#';
    };
    for (tag = source_.find('{', tag); tag != std::string_view::npos && !is_tag();) {
      tag = source_.find('{', tag + 1);
    }
    if (tag == std::string_view::npos) {
      push(Token::Kind::data, std::string(source_.substr(at_)));
      return advance(source_.size() - at_);
    }
    const char kind = source_[tag + 1];
    data_before(tag, kind == '{');
    if (kind == '%' && raw_block()) return;
    const int opened = line_;
    const auto begin = kind == '%' ? Token::Kind::block_begin : Token::Kind::variable_begin;
    if (kind != '#') push(begin, "");
    advance(peek(2) == '-' || peek(2) == '+' ? 3 : 2);
    if (kind == '#') return comment(opened);
    inside_tag(kind == '%' ? "%}" : "}}", opened);
  }

  void comment(int opened) {
    const std::size_t end = source_.find("#}", at_);
    if (end == std::string_view::npos) throw SyntaxError(opened, "a comment lacks its end '#}'");
    const bool sign = end > at_ && (source_[end - 1] == '-' || source_[end - 1] == '+');
    advance(end - at_ - (sign ? 1 : 0));
    finish_tag("#}", true);
  }

  /// {% raw %} at at_ and all up to its end, as data; false when it is another tag.
  bool raw_block() {
    const std::size_t start = at_;
    const int opened = line_;
    advance(peek(2) == '-' || peek(2) == '+' ? 3 : 2);
    skip_spaces();
    const bool named = looking_at("raw");
    if (named) advance(3);
    skip_spaces();
    if (!named || !at_tag_end("%}", false)) {
      at_ = start;
      line_ = opened;
      return false;
    }
    // No line end is trimmed here: Jinja trims it behind endraw only.
    finish_tag("%}", false);
    for (std::size_t tag = source_.find("{%", at_); tag != std::string_view::npos;
         tag = source_.find("{%", tag + 2)) {
      std::size_t word = tag + 2;
      if (word < source_.size() && (source_[word] == '-' || source_[word] == '+')) ++word;
      word += spaces_at(word);
      if (!source_.substr(word).starts_with("endraw")) continue;
      const std::size_t end = word + 6 + spaces_at(word + 6);
      const std::string_view rest = source_.substr(end);
      if (!rest.starts_with("%}") && !rest.starts_with("-%}") && !rest.starts_with("+%}")) continue;
      data_before(tag, false);
      advance(end - at_);
      finish_tag("%}", true);
      return true;
    }
    throw SyntaxError(opened, "a raw block lacks its endraw");
  }

  void inside_tag(std::string_view end, int opened) {
    std::string open_brackets;
    while (true) {
      skip_spaces();
      if (at_ >= source_.size()) {
        throw SyntaxError(opened, fmt::format("a tag lacks its end '{}'", end));
      }
      const bool block = end == "%}";
      if (open_brackets.empty() && at_tag_end(end, block)) {
        push(block ? Token::Kind::block_end : Token::Kind::variable_end, "");
        return finish_tag(end, block);
      }
      token(&open_brackets);
    }
  }

  void token(std::string* open_brackets) {
    const char c = peek();
    if (is_digit(c)) return number();
    if (c == '\'' || c == '"') return string();
    if (is_word(c)) return name();
    operator_token(open_brackets);
  }

  void name() {
    std::size_t size = 0;
    while (is_word(peek(size))) ++size;
    const std::string text(source_.substr(at_, size));
    if (!is_all(TextClass::identifier, text)) {
      throw SyntaxError(line_, fmt::format("'{}' is not a name", text));
    }
    push(Token::Kind::name, text);
    advance(size);
  }

  void string() {
    const char quote = peek();
    std::size_t size = 1;
    while (at_ + size < source_.size() && peek(size) != quote) size += peek(size) == '\\' ? 2 : 1;
    if (at_ + size >= source_.size()) throw SyntaxError(line_, "a string lacks its closing quote");
    push(Token::Kind::string, unescaped(source_.substr(at_ + 1, size - 1), line_));
    advance(size + 1);
  }

  /// Digits of `base` from `from` on, single underscores between them; the size in bytes.
  std::size_t digits(std::size_t from, int base) const {
    const auto fits = [&](char c) {
      return base == 16 ? std::isxdigit(static_cast<unsigned char>(c)) != 0
                        : c >= '0' && c < '0' + base;
    };
    std::size_t size = 0;
    while (fits(peek(from + size)) ||
           (size > 0 && peek(from + size) == '_' && fits(peek(from + size + 1)))) {
      ++size;
    }
    return size;
  }

  void number() {
    const char marker = static_cast<char>(peek(1) | 0x20);
    const int base = marker == 'x' ? 16 : marker == 'o' ? 8 : marker == 'b' ? 2 : 10;
    std::size_t size = 0;
    Token::Kind kind = Token::Kind::integer;
    const std::size_t skip = peek(2) == '_' ? 3 : 2;
    if (peek() == '0' && base != 10 && digits(skip, base) > 0) {
      size = skip + digits(skip, base);
    } else {
      size = digits(0, 10);
      // x.0.5 is two indexes, not a float.
      const bool behind_dot = at_ > 0 && source_[at_ - 1] == '.';
      if (!behind_dot && peek(size) == '.' && digits(size + 1, 10) > 0) {
        size += 1 + digits(size + 1, 10);
        kind = Token::Kind::real;
      }
      const std::size_t sign = peek(size + 1) == '+' || peek(size + 1) == '-' ? 1 : 0;
      if (!behind_dot && (peek(size) | 0x20) == 'e' && digits(size + 1 + sign, 10) > 0) {
        size += 1 + sign + digits(size + 1 + sign, 10);
        kind = Token::Kind::real;
      }
      if (kind == Token::Kind::integer && peek() == '0' &&
          source_.substr(at_, size).find_first_not_of("0_") != std::string_view::npos) {
        throw SyntaxError(line_, "a number starts with zero");
      }
    }
    std::string text(source_.substr(at_, size));
    std::erase(text, '_');
    push(kind, std::move(text));
    advance(size);
  }

  void operator_token(std::string* open_brackets) {
    constexpr std::string_view kPairs[] = {"**", "//", "==", "!=", ">=", "<="};
    for (const std::string_view pair : kPairs) {
      if (!looking_at(pair)) continue;
      push(Token::Kind::operator_, std::string(pair));
      return advance(2);
    }
    const char c = peek();
    if (std::string_view("+-/*%~[](){}><=.:|,;").find(c) == std::string_view::npos) {
      throw SyntaxError(line_, fmt::format("unexpected character '{}'", c));
    }
    if (c == '(' || c == '[' || c == '{') {
      open_brackets->push_back(c == '(' ? ')' : c == '[' ? ']' : '}');
    } else if (c == ')' || c == ']' || c == '}') {
      if (open_brackets->empty() || open_brackets->back() != c) {
        throw SyntaxError(line_, fmt::format("unexpected '{}'", c));
      }
      open_brackets->pop_back();
    }
    push(Token::Kind::operator_, std::string(1, c));
    advance(1);
  }

  std::string text_;
  std::string_view source_;
  std::size_t at_ = 0;
  int line_ = 1;
  /// What was passed last ended with a line end.
  bool line_starts_ = true;
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenise(std::string_view source) {
  if (source.size() > kLongestSource) {
    throw SyntaxError(1, fmt::format("a template of {} bytes, expected at most {}", source.size(),
                                     kLongestSource));
  }
  if (utf8::find_invalid(source)) throw SyntaxError(1, "a template that is not UTF-8");
  return Lexer(source).run();
}

}  // namespace plimsoll::jinja
