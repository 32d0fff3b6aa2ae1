#include "text/jinja/attributes.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "text/jinja/characters.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"

namespace plimsoll::jinja {

namespace {

Value missing(Runtime& runtime, const Value& value, std::string_view name) {
  return runtime.undefined(
      value.dict() != nullptr
          ? fmt::format("'dict object' has no attribute '{}'", name)
          : fmt::format("'{}' object has no attribute '{}'", type_name(value), name));
}

/// The attributes and methods proper, without a dict's keys.
std::optional<Value> own_attribute(Runtime& runtime, const Value& value, std::string_view name) {
  if (name.starts_with('_')) return std::nullopt;
  if (value.text() != nullptr) return string_method(runtime, value, name);
  if (value.dict() != nullptr || value.sequence() != nullptr) {
    return container_method(runtime, value, name);
  }
  if (Loop* loop = value.loop()) return loop_attribute(runtime, loop, name);
  if (const Namespace* space = value.name_space()) {
    const auto found = space->attributes.find(std::string(name));
    if (found != space->attributes.end()) return found->second;
  }
  return std::nullopt;
}

/// value[key] as Python has it; nothing where Python raises.
std::optional<Value> element(Runtime& runtime, const Value& value, const Value& key) {
  if (const Dict* dict = value.dict()) {
    const bool hashable =
        key.dict() == nullptr && (key.sequence() == nullptr || key.sequence()->is_tuple());
    const Value* found = hashable ? dict->find(key) : nullptr;
    return found == nullptr ? std::nullopt : std::optional<Value>(*found);
  }
  const std::optional<std::int64_t> index = as_integer(key);
  const std::optional<std::size_t> length = length_of(value);
  if (!index || !length) return std::nullopt;
  const std::int64_t size = static_cast<std::int64_t>(*length);
  const std::int64_t place = *index < 0 ? *index + size : *index;
  if (place < 0 || place >= size) return std::nullopt;
  const auto at = static_cast<std::size_t>(place);
  if (const Sequence* sequence = value.sequence()) {
    return sequence->indexed() ? std::optional<Value>(sequence->elements[at]) : std::nullopt;
  }
  const Text* text = value.text();
  if (text == nullptr) return std::nullopt;
  if (!text->ascii()) runtime.read(text->bytes.size());
  const std::size_t offset = text->ascii() ? at : byte_offset(text->bytes, at);
  return runtime.text(std::string(code_point_at(text->bytes, offset)), text->markup);
}

/// Python's slice.indices(): the positions that value[start:stop:step] takes, in order.
std::vector<std::size_t> slice_positions(Runtime& runtime, std::size_t length, const Value& start,
                                         const Value& stop, const Value& step) {
  const auto absent = [](const Value& v) { return v.is_none(); };
  const auto bound = [&](const Value& v) {
    require_defined(v);
    const std::optional<std::int64_t> number = as_integer(v);
    if (!number) throw TemplateError("slice indices must be integers or None");
    return *number;
  };
  const std::int64_t stride = absent(step) ? 1 : bound(step);
  if (stride == 0) throw TemplateError("slice step cannot be zero");
  const auto size = static_cast<std::int64_t>(length);
  const std::int64_t low = stride < 0 ? -1 : 0;
  const std::int64_t high = stride < 0 ? size - 1 : size;
  const auto clamped = [&](const Value& v) {
    const std::int64_t number = bound(v);
    return std::clamp(number < 0 ? number + size : number, low, high);
  };
  const std::int64_t first = absent(start) ? (stride < 0 ? high : low) : clamped(start);
  const std::int64_t last = absent(stop) ? (stride < 0 ? low : high) : clamped(stop);
  std::vector<std::size_t> positions;
  const std::int64_t span = stride < 0 ? first - last : last - first;
  if (span <= 0) return positions;
  // Dividing before multiplying: a stride near the ends of 64 bits must not overflow.
  const std::uint64_t width =
      stride < 0 ? ~static_cast<std::uint64_t>(stride) + 1 : static_cast<std::uint64_t>(stride);
  const std::uint64_t count = (static_cast<std::uint64_t>(span) - 1) / width + 1;
  runtime.step(1 + count / 8);
  runtime.take(count * sizeof(std::size_t));
  positions.reserve(count);
  std::int64_t place = first;
  for (std::uint64_t i = 0; i < count; ++i) {
    positions.push_back(static_cast<std::size_t>(place));
    if (i + 1 < count) place += stride;
  }
  return positions;
}

Value slice_of_text(Runtime& runtime, const Text& text, const std::vector<std::size_t>& positions) {
  runtime.read(text.bytes.size());
  std::vector<std::size_t> offsets;
  if (!text.ascii()) {
    runtime.take(text.length * sizeof(std::size_t));
    offsets.reserve(text.length);
    for (std::size_t at = 0; at < text.bytes.size(); at += code_point_at(text.bytes, at).size()) {
      offsets.push_back(at);
    }
  }
  std::string sliced;
  for (const std::size_t place : positions) {
    sliced += code_point_at(text.bytes, text.ascii() ? place : offsets[place]);
  }
  return runtime.text(std::move(sliced), text.markup);
}

}  // namespace

Value get_attribute(Runtime& runtime, const Value& value, std::string_view name) {
  require_defined(value);
  if (std::optional<Value> found = own_attribute(runtime, value, name)) return *found;
  if (const Dict* dict = value.dict()) {
    if (const Value* found = dict->find(name)) return *found;
  }
  return missing(runtime, value, name);
}

Value get_item(Runtime& runtime, const Value& value, const Value& key) {
  runtime.step();
  require_defined(value);
  if (std::optional<Value> found = element(runtime, value, key)) return *found;
  if (const Text* name = key.text()) {
    if (std::optional<Value> found = own_attribute(runtime, value, name->bytes)) return *found;
    return missing(runtime, value, name->bytes);
  }
  return runtime.undefined(
      fmt::format("{} object has no element {}", type_name(value),
                  key.callable() != nullptr ? type_name(key) : to_repr(runtime, key)));
}

Value get_slice(Runtime& runtime, const Value& value, const Value& start, const Value& stop,
                const Value& step) {
  require_defined(value);
  const Text* text = value.text();
  const Sequence* sequence = value.sequence();
  const bool sliceable = text != nullptr || (sequence != nullptr && sequence->indexed());
  // Jinja hands slices to Python as they are, which is why this is no undefined value.
  if (!sliceable) throw TemplateError(fmt::format("'{}' has no slices", type_name(value)));
  const std::size_t length = text != nullptr ? text->length : sequence->elements.size();
  const std::vector<std::size_t> positions = slice_positions(runtime, length, start, stop, step);
  if (text != nullptr) return slice_of_text(runtime, *text, positions);
  std::vector<Value> elements;
  elements.reserve(positions.size());
  for (const std::size_t place : positions) elements.push_back(sequence->elements[place]);
  return runtime.sequence(sequence->is_tuple() ? Sequence::Kind::tuple : sequence->kind,
                          std::move(elements));
}

Value get_path(Runtime& runtime, const Value& value, const Value& path) {
  const Text* text = path.text();
  if (text == nullptr) return path.is_none() ? value : get_item(runtime, value, path);
  Value found = value;
  const std::string_view names = text->bytes;
  for (std::size_t start = 0; start <= names.size();) {
    const std::size_t end = std::min(names.find('.', start), names.size());
    const std::string_view name = names.substr(start, end - start);
    std::int64_t index = 0;
    const auto [rest, error] = std::from_chars(name.data(), name.data() + name.size(), index);
    const bool number = error == std::errc() && rest == name.data() + name.size() && index >= 0;
    found = get_item(runtime, found, number ? Value(index) : runtime.text(std::string(name)));
    start = end + 1;
  }
  return found;
}

}  // namespace plimsoll::jinja
