#include "text/jinja/text_operations.h"

#include <algorithm>
#include <limits>

#include "text/jinja/characters.h"
#include "text/jinja/text_search.h"

namespace plimsoll::jinja {

namespace {

bool is_space_at(std::string_view text, std::size_t at) {
  return is_space(next_code_point(text, &at));
}

bool ends_line(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

/// Pieces found from the right come last first.
Value finished(Runtime& runtime, std::vector<Value> pieces, bool from_right) {
  if (from_right) std::reverse(pieces.begin(), pieces.end());
  return runtime.list(std::move(pieces));
}

std::uint64_t cuts(std::int64_t limit) {
  return limit < 0 ? std::numeric_limits<std::uint64_t>::max() : static_cast<std::uint64_t>(limit);
}

}  // namespace

std::string_view strip(Runtime& runtime, std::string_view text,
                       std::optional<std::string_view> characters, bool left, bool right) {
  runtime.read(text.size());
  const auto goes = [&](std::size_t at) {
    if (!characters) return is_space_at(text, at);
    runtime.read(characters->size());
    return characters->find(code_point_at(text, at)) != std::string_view::npos;
  };
  while (left && !text.empty() && goes(0)) text.remove_prefix(code_point_at(text, 0).size());
  while (right && !text.empty() && goes(last_start(text))) text = text.substr(0, last_start(text));
  return text;
}

Value split_at(Runtime& runtime, std::string_view text, std::string_view separator,
               std::int64_t limit, bool from_right) {
  if (separator.empty()) throw TemplateError("empty separator");
  runtime.read(text.size());
  // All cuts from the left, then the last ones only: a text such as "aaa" cut at "aa" from the
  // right differs, which is why that direction works on the reversed texts.
  std::string reversed_text;
  std::string reversed_separator;
  if (from_right) {
    reversed_text.assign(text.rbegin(), text.rend());
    reversed_separator.assign(separator.rbegin(), separator.rend());
  }
  const std::string_view haystack = from_right ? std::string_view(reversed_text) : text;
  const std::string_view needle = from_right ? std::string_view(reversed_separator) : separator;
  std::vector<Value> pieces;
  std::size_t start = 0;
  for (std::uint64_t left = cuts(limit); left > 0; --left) {
    runtime.read(needle.size());
    const std::size_t found = find_text(haystack, needle, start);
    if (found == std::string_view::npos) break;
    const std::size_t begin = from_right ? text.size() - found : start;
    const std::size_t end = from_right ? text.size() - start : found;
    pieces.push_back(runtime.text(std::string(text.substr(begin, end - begin))));
    start = found + needle.size();
  }
  const std::string_view rest =
      from_right ? text.substr(0, text.size() - start) : text.substr(start);
  pieces.push_back(runtime.text(std::string(rest)));
  return finished(runtime, std::move(pieces), from_right);
}

Value split_at_spaces(Runtime& runtime, std::string_view text, std::int64_t limit,
                      bool from_right) {
  std::vector<Value> pieces;
  text = strip(runtime, text, std::nullopt, !from_right, from_right);
  for (std::uint64_t left = cuts(limit); left > 0 && !text.empty(); --left) {
    std::size_t edge = from_right ? text.size() : 0;
    while (from_right ? edge > 0 : edge < text.size()) {
      const std::size_t at = from_right ? last_start(text.substr(0, edge)) : edge;
      if (is_space_at(text, at)) break;
      edge = from_right ? at : at + code_point_at(text, at).size();
    }
    pieces.push_back(
        runtime.text(std::string(from_right ? text.substr(edge) : text.substr(0, edge))));
    text = from_right ? text.substr(0, edge) : text.substr(edge);
    // Stripping looks at the spaces only, so that the whole stays linear.
    while (!text.empty() && is_space_at(text, from_right ? last_start(text) : 0)) {
      text = from_right ? text.substr(0, last_start(text))
                        : text.substr(code_point_at(text, 0).size());
    }
  }
  if (!text.empty()) pieces.push_back(runtime.text(std::string(text)));
  return finished(runtime, std::move(pieces), from_right);
}

std::vector<Value> split_lines(Runtime& runtime, std::string_view text, bool keep_ends) {
  runtime.read(text.size());
  std::vector<Value> lines;
  std::size_t start = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = at;
    if (!ends_line(next_code_point(text, &at))) continue;
    if (text.substr(end, 2) == "\r\n") ++at;
    lines.push_back(runtime.text(std::string(text.substr(start, (keep_ends ? at : end) - start))));
    start = at;
  }
  if (start < text.size()) lines.push_back(runtime.text(std::string(text.substr(start))));
  return lines;
}

std::string replace(Runtime& runtime, std::string_view text, std::string_view old,
                    std::string_view with, std::int64_t limit) {
  runtime.read(text.size());
  Builder out(runtime);
  std::size_t from = 0;
  std::uint64_t left = cuts(limit);
  if (old.empty()) {
    // Before every character and at the end.
    for (; left > 0; --left) {
      out.append(with);
      if (from == text.size()) return out.release();
      const std::string_view character = code_point_at(text, from);
      out.append(character);
      from += character.size();
    }
  }
  for (; left > 0; --left) {
    runtime.read(old.size());
    const std::size_t found = find_text(text, old, from);
    if (found == std::string_view::npos) break;
    out.append(text.substr(from, found - from));
    out.append(with);
    from = found + old.size();
  }
  out.append(text.substr(from));
  return out.release();
}

Value justify(Runtime& runtime, const Text& text, std::int64_t width, std::string_view fill,
              char align) {
  const auto wanted = static_cast<std::uint64_t>(std::max<std::int64_t>(width, 0));
  const std::uint64_t padding = wanted > text.length ? wanted - text.length : 0;
  // Python's center gives an odd place to the left side when the width is odd too.
  const std::uint64_t half = padding / 2 + (padding & wanted & 1);
  const std::uint64_t before = align == '<' ? 0 : align == '>' ? padding : half;
  Builder out(runtime);
  out.append(before, fill);
  out.append(text.bytes);
  out.append(padding - before, fill);
  return out.finish(text.markup);
}

}  // namespace plimsoll::jinja
