// A template's text as tokens, with white space trimmed the way Hugging Face sets Jinja up
// (trim_blocks and lstrip_blocks on, one line end at the end of the file dropped).
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace plimsoll::jinja {

/// The text is not a template that we can run.
class SyntaxError : public std::runtime_error {
 public:
  SyntaxError(int line_number, const std::string& message)
      : std::runtime_error(message), line(line_number) {}
  const int line;
};

struct Token {
  enum class Kind {
    data,            // text: what is printed as it stands
    variable_begin,  // {{
    variable_end,    // }}
    block_begin,     // {%
    block_end,       // %}
    name,
    string,    // text: without its quotes, escapes resolved
    integer,   // text: digits with their prefix, without underscores
    real,      // text: without underscores
    operator_  // text: the operator
    ,
    end
  };
  Kind kind;
  std::string text;
  int line;

  bool is_operator(std::string_view wanted) const {
    return kind == Kind::operator_ && text == wanted;
  }
  bool is_name(std::string_view wanted) const { return kind == Kind::name && text == wanted; }
};

/// The last token is `end`. SyntaxError for text that is not UTF-8 or too long, for a tag without
/// its end, for brackets that do not match.
std::vector<Token> tokenise(std::string_view source);

}  // namespace plimsoll::jinja
