#include <fmt/format.h>

#include <algorithm>

#include "text/jinja/arguments.h"
#include "text/jinja/builtins.h"
#include "text/jinja/characters.h"
#include "text/jinja/format.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/text_operations.h"
#include "text/jinja/text_search.h"

namespace plimsoll::jinja {

namespace {

bool is_markup(const Value& value) {
  return value.text() != nullptr && value.text()->markup;
}

template <std::string (*kMap)(std::string_view)>
Value mapped(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const Parameters none("a text filter", arguments, {});
  return runtime.text(kMap(to_text(runtime, subject)), is_markup(subject));
}

Value trim(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const Parameters parameters("filter 'trim'", arguments, {"chars"});
  const std::optional<std::string_view> characters =
      parameters.absent(0) ? std::nullopt : std::optional(parameters.text(0, ""));
  const std::string text = to_text(runtime, subject);
  return runtime.text(std::string(strip(runtime, text, characters, true, true)),
                      is_markup(subject));
}

Value replace_filter(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const Parameters parameters("filter 'replace'", arguments, {"old", "new", "count"}, 2);
  const std::int64_t limit = parameters.absent(2) ? -1 : parameters.integer(2, -1);
  return runtime.text(replace(runtime, to_text(runtime, subject),
                              to_text(runtime, parameters.value(0)),
                              to_text(runtime, parameters.value(1)), limit));
}

Value as_string(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const Parameters none("filter 'string'", arguments, {});
  return subject.text() != nullptr ? subject : runtime.text(to_text(runtime, subject));
}

Value safe(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const Parameters none("filter 'safe'", arguments, {});
  return runtime.text(to_text(runtime, subject), true);
}

Value escape(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const Parameters none("filter 'escape'", arguments, {});
  if (is_markup(subject)) return subject;
  return runtime.text(escape_html(runtime, to_text(runtime, subject)), true);
}

Value force_escape(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const Parameters none("filter 'forceescape'", arguments, {});
  return runtime.text(escape_html(runtime, to_text(runtime, subject)), true);
}

std::string_view require_text(std::string_view filter, const Value& subject) {
  require_defined(subject);
  if (subject.text() != nullptr) return subject.text()->bytes;
  throw TemplateError(
      fmt::format("filter '{}': found {}, expected a text", filter, type_name(subject)));
}

Value indent(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const Parameters parameters("filter 'indent'", arguments, {"width", "first", "blank"});
  const std::string_view text = require_text("indent", subject);
  Builder space(runtime);
  if (parameters.value(0).text() != nullptr) {
    space.append(parameters.text(0, ""));
  } else {
    space.append(static_cast<std::uint64_t>(std::max<std::int64_t>(0, parameters.integer(0, 4))),
                 " ");
  }
  Builder out(runtime);
  if (parameters.flag(1, false)) out.append(space.view());
  // A line end of its own, so that a text's last line end shows as an empty line.
  const std::vector<Value> lines = split_lines(runtime, std::string(text) + '\n', false);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::string& line = lines[i].text()->bytes;
    if (i > 0) out.append("\n");
    if (i > 0 && (parameters.flag(2, false) || !line.empty())) out.append(space.view());
    out.append(line);
  }
  return out.finish(is_markup(subject));
}

Value truncate(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const Parameters parameters("filter 'truncate'", arguments,
                              {"length", "killwords", "end", "leeway"});
  if (subject.is_undefined()) return subject;
  const std::string_view text = require_text("truncate", subject);
  const std::int64_t length = parameters.integer(0, 255);
  const std::string_view end = parameters.text(2, "...");
  const std::int64_t leeway = parameters.absent(3) ? 5 : parameters.integer(3, 5);
  const auto end_length = static_cast<std::int64_t>(count_code_points(end));
  if (length < end_length || leeway < 0) {
    throw TemplateError(
        fmt::format("filter 'truncate': expected length >= {} and leeway >= 0", end_length));
  }
  // Subtracting, since a sum of two arguments could overflow.
  if (static_cast<std::int64_t>(subject.text()->length) - length <= leeway) return subject;
  std::string_view kept =
      text.substr(0, byte_offset(text, static_cast<std::size_t>(length - end_length)));
  if (!parameters.flag(1, false)) kept = kept.substr(0, find_last_text(kept, " "));
  return runtime.text(std::string(kept) + std::string(end), is_markup(subject));
}

Value word_count(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const Parameters none("filter 'wordcount'", arguments, {});
  const std::string text = to_text(runtime, subject);
  return Value(static_cast<std::int64_t>(count_words(text)));
}

Value center(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const Parameters parameters("filter 'center'", arguments, {"width"});
  const Value text = runtime.text(to_text(runtime, subject), is_markup(subject));
  return justify(runtime, *text.text(), parameters.integer(0, 80), " ", '^');
}

Value format(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  if (!arguments.positional.empty() && !arguments.named.empty()) {
    throw TemplateError("can't handle positional and keyword arguments at the same time");
  }
  const Value text = runtime.text(to_text(runtime, subject));
  if (arguments.named.empty()) {
    return percent_format(runtime, *text.text(), runtime.tuple(arguments.positional));
  }
  Dict::Entries entries;
  for (const auto& [name, value] : arguments.named) {
    entries.emplace_back(runtime.text(name), value);
  }
  return percent_format(runtime, *text.text(), runtime.dict(entries));
}

/// urllib.parse.quote, or quote_plus for a query string.
std::string url_quoted(Runtime& runtime, std::string_view text, bool query) {
  Builder out(runtime);
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       std::string_view("_.-~").find(c) != std::string_view::npos ||
                       (c == '/' && !query);
    if (plain) {
      out.append(std::string_view(&c, 1));
    } else if (c == ' ' && query) {
      out.append("+");
    } else {
      out.append(fmt::format("%{:02X}", static_cast<unsigned char>(c)));
    }
  }
  return out.release();
}

Value urlencode(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  const Parameters none("filter 'urlencode'", arguments, {});
  if (subject.text() != nullptr || !is_iterable(subject)) {
    return runtime.text(url_quoted(runtime, to_text(runtime, subject), false));
  }
  const Value pairs =
      subject.dict() == nullptr ? subject : apply_filter(runtime, "items", subject, {});
  Builder out(runtime);
  for (const Value& pair : iterate(runtime, pairs)) {
    const std::vector<Value> parts = iterate(runtime, pair);
    if (parts.size() != 2) throw TemplateError("filter 'urlencode' expects pairs");
    if (!out.view().empty()) out.append("&");
    out.append(url_quoted(runtime, to_text(runtime, parts[0]), true));
    out.append("=");
    out.append(url_quoted(runtime, to_text(runtime, parts[1]), true));
  }
  return out.finish();
}

Value tojson(Runtime& runtime, const Value& subject, const Arguments& arguments) {
  // Hugging Face's own filter, not Jinja's: its parameters, no escaping of HTML.
  const Parameters parameters("filter 'tojson'", arguments,
                              {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = parameters.flag(0, false);
  style.sort_keys = parameters.flag(3, false);
  if (!parameters.absent(1)) {
    style.item_separator = ",";
    if (parameters.value(1).text() != nullptr) {
      style.indent = std::string(parameters.text(1, ""));
    } else {
      Builder spaces(runtime);
      spaces.append(static_cast<std::uint64_t>(std::max<std::int64_t>(0, parameters.integer(1, 0))),
                    " ");
      style.indent = spaces.release();
    }
  }
  if (!parameters.absent(2)) {
    const std::vector<Value> separators = iterate(runtime, parameters.value(2));
    if (separators.size() != 2 || separators[0].text() == nullptr ||
        separators[1].text() == nullptr) {
      throw TemplateError("filter 'tojson': separators must be two texts");
    }
    style.item_separator = separators[0].text()->bytes;
    style.key_separator = separators[1].text()->bytes;
  }
  return to_json(runtime, subject, style);
}

}  // namespace

std::string escape_html(Runtime& runtime, std::string_view text) {
  Builder out(runtime);
  std::size_t from = 0;
  for (std::size_t at = text.find_first_of("&<>'\""); at != std::string_view::npos;
       at = text.find_first_of("&<>'\"", from)) {
    out.append(text.substr(from, at - from));
    switch (text[at]) {
      case '&':
        out.append("&amp;");
        break;
      case '<':
        out.append("&lt;");
        break;
      case '>':
        out.append("&gt;");
        break;
      case '\'':
        out.append("&#39;");
        break;
      default:
        out.append("&#34;");
    }
    from = at + 1;
  }
  out.append(text.substr(from));
  return out.release();
}

void add_text_filters(FilterTable* table) {
  table->insert({{"upper", mapped<to_upper>},
                 {"lower", mapped<to_lower>},
                 {"capitalize", mapped<capitalize>},
                 {"title", mapped<title_of_words>},
                 {"trim", trim},
                 {"replace", replace_filter},
                 {"string", as_string},
                 {"safe", safe},
                 {"e", escape},
                 {"escape", escape},
                 {"forceescape", force_escape},
                 {"indent", indent},
                 {"truncate", truncate},
                 {"wordcount", word_count},
                 {"center", center},
                 {"format", format},
                 {"urlencode", urlencode},
                 {"tojson", tojson}});
}

}  // namespace plimsoll::jinja
